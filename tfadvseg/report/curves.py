"""The charts of runs and of sweeps: what is drawn, on which axes, in which style."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from tfadvseg.metrics import mean
from tfadvseg.report import charts
from tfadvseg.report.charts import Axis, Point, Series, Style, chart, legend, linear_axis, log_axis
from tfadvseg.report.comparisons import Comparison
from tfadvseg.report.page import group
from tfadvseg.report.results import FOREGROUND, read_history
from tfadvseg.report.statistics import interval
from tfadvseg.report.sweep import MODELS, Run, Setting, Sweep, labelled, labels_text

History: TypeAlias = Sequence[Mapping[str, Any]]

RECIPES = {
    "supervised": Style(charts.BLACK, "square", "6 3"),
    "adversarial": Style(charts.ORANGE, "triangle", "2 2"),
    "paper": Style(charts.BLUE, "circle"),
    "strong": Style(charts.GREEN, "diamond", "8 2 2 2"),
}
# Columns of history.csv, with their names on the page.
SCORES = {
    "val_dice": ("Dice", Style(charts.BLUE, "circle")),
    "val_miou": ("MIOU", Style(charts.ORANGE, "triangle", "2 2")),
}
LOSSES = {
    "ce_loss": ("L_ce", Style(charts.BLACK, "square")),
    "adv_loss": ("L_adv", Style(charts.ORANGE, "triangle", "2 2")),
    "semi_loss": ("L_semi", Style(charts.BLUE, "circle", "6 3")),
    "d_loss": ("L_D", Style(charts.VERMILLION, "diamond", "8 2 2 2")),
}
JUDGEMENTS = {
    "d_real": ("D(label)", Style(charts.GREEN, "square")),
    "d_fake_labelled": ("D(prediction, labelled)", Style(charts.VERMILLION, "triangle", "2 2")),
    "d_fake_unlabelled": ("D(prediction, unlabelled)", Style(charts.PURPLE, "diamond", "8 2 2 2")),
    "kept": ("kept", Style(charts.BLACK, "circle", "6 3")),
}
SHARE = Axis("", 0.0, 1.0, tuple((n / 5, f"{n / 5:.1f}") for n in range(6)))


def label_efficiency(sweep: Sweep, measure: str, name: str) -> str:
    """A score over the labelled patients, with 95% intervals over the test patients."""
    settings = {s: runs for s, runs in sweep.settings().items() if any(r.result for r in runs)}
    drawn = []
    for model in dict.fromkeys(setting.model for setting in settings):
        own = {setting: runs for setting, runs in settings.items() if setting.model == model}
        ticks = [(at, f"{name}\n{at:.3g}") for at, name in sorted(_places(own).items())]
        series = [
            _recipe_series(
                recipe,
                [_patient_mean(runs, measure) for s, runs in own.items() if s.recipe == recipe],
            )
            for recipe in dict.fromkeys(setting.recipe for setting in own)
        ]
        ends = [v for one in series for p in one.points for v in (p.y, p.low, p.high)]
        if not ends:
            continue
        x = charts.place_axis("labels: fraction, patients", ticks, log=True)
        y = linear_axis(name, (value for value in ends if value is not None))
        drawn.append(chart(MODELS.get(model, model), x, y, series))
    return "".join(drawn)


def patient_differences(comparisons: Sequence[Comparison]) -> str:
    """Every patient's difference in Dice, with the mean and its 95% interval."""
    drawn = []
    pairs = dict.fromkeys(
        (c.setting.model, c.setting.recipe, c.against.recipe) for c in comparisons
    )
    for model, ours, theirs in pairs:
        own = [
            c
            for c in comparisons
            if (c.setting.model, c.setting.recipe, c.against.recipe) == (model, ours, theirs)
            and c.differences
        ]
        if own:
            start = f"{MODELS.get(model, model)}: " if len({p[0] for p in pairs}) > 1 else ""
            drawn.append(_difference_chart(f"{start}{ours} against {theirs}", own))
    return "".join(drawn)


def training_curves(sweep: Sweep) -> str:
    """The validation Dice of every recipe, a chart a model and fraction: means and ranges."""
    drawn, shown = [], []
    for title, own in _histories(sweep).items():
        series = [
            Series(setting.recipe, _style(setting.recipe), _over_steps(histories, "val_dice"))
            for setting, histories in own.items()
        ]
        series = [one for one in series if one.points]
        if series:
            drawn.append((title, series))
            shown += [(one.name, one.style) for one in series]
    return _panels(drawn, "validation Dice", shown, SHARE)


def discriminator_curves(sweep: Sweep) -> str:
    """What D says of labels and predictions, and the kept ratio: means and ranges over the runs."""
    drawn, shown = [], []
    for title, own in _histories(sweep).items():
        for setting, histories in own.items():
            series = _columns(histories, JUDGEMENTS)
            if series:
                drawn.append((f"{title}, {setting.recipe_text}", series))
                shown += [(one.name, one.style) for one in series]
    return _panels(drawn, "", shown, SHARE)


def run_curves(history: History) -> str:
    """The curves of a single run."""
    figures = ""
    scores, losses, judged = (_columns([history], c) for c in (SCORES, LOSSES, JUDGEMENTS))
    for title, series, axis in (
        ("Validation scores", scores, SHARE),
        ("Losses", losses, log_axis("loss", (p.y for one in losses for p in one.points))),
        ("Discriminator", judged, SHARE),
    ):
        if series:
            keys = legend((one.name, one.style) for one in series)
            figures += group([chart(title, _steps([series]), axis, series), keys], "panel")
    return group([figures], "charts") if figures else ""


def recipe_legend(recipes: Iterable[str]) -> str:
    """The styles of the recipes."""
    return legend((recipe, _style(recipe)) for recipe in dict.fromkeys(recipes))


def _style(recipe: str) -> Style:
    return RECIPES.get(recipe, Style(charts.PURPLE, "diamond"))


def _recipe_series(recipe: str, points: Sequence[Point | None]) -> Series:
    known = sorted((point for point in points if point), key=lambda point: point.x)
    return Series(recipe, _style(recipe), tuple(known), spans="bars")


def _places(settings: Mapping[Setting, Sequence[Run]]) -> dict[float, str]:
    """Numbers of labelled patients with the fractions that give them."""
    places: dict[float, list[str]] = {}
    for setting, runs in settings.items():
        names = places.setdefault(labelled(list(runs)), [])
        names += [setting.fraction] if setting.fraction not in names else []
    return {at: ", ".join(names) for at, names in places.items()}


def _patient_mean(runs: Sequence[Run], measure: str) -> Point | None:
    """Mean over the patients, each the mean of his runs, with the interval over the patients."""
    values: dict[str, list[float | None]] = {}
    for run in runs:
        if run.result is not None:
            for patient, scores in run.result.patients.items():
                values.setdefault(patient, []).append(scores[FOREGROUND][measure])
    means = [value for value in map(mean, values.values()) if value is not None]
    if not means:
        return None
    low, high = interval(means) or (None, None)
    return Point(labelled(list(runs)), float(np.mean(means)), low, high)


def _difference_chart(title: str, comparisons: Sequence[Comparison]) -> str:
    ours = comparisons[0].setting.recipe
    dots, means = [], []
    fewest_first = comparisons[::-1]
    for place, c in enumerate(fewest_first):
        spread = np.linspace(-0.22, 0.22, len(c.differences)) if len(c.differences) > 1 else [0.0]
        order = np.random.default_rng(0).permutation(len(c.differences))
        values = [100 * value for value in c.differences.values()]
        dots += [Point(place + float(spread[i]), v) for i, v in zip(order, values, strict=True)]
        low, high = (None if v is None else 100 * v for v in (c.found.low, c.found.high))
        means.append(Point(place + 0.34, 100 * (c.found.mean or 0), low, high))
    series = [
        Series("a patient", Style(_style(ours).colour), tuple(dots), joined=False),
        Series("mean", Style(charts.BLACK, "square"), tuple(means), spans="bars", joined=False),
    ]
    ticks = [(place, c.setting.fraction) for place, c in enumerate(fewest_first)]
    ends = [v for s in series for p in s.points for v in (p.y, p.low, p.high) if v is not None]
    y = linear_axis(f"Dice difference in points; above 0: {ours} is better", [*ends, 0.0])
    return chart(title, charts.place_axis("labels", ticks), y, series)


def _histories(sweep: Sweep) -> dict[str, dict[Setting, list[History]]]:
    """Model and fraction to setting to the histories of its runs, as far as they have come.

    Settings that are the same runs under two recipes are there once.
    """
    found: dict[str, dict[Setting, list[History]]] = {}
    shown: set[str] = set()
    for setting, runs in sweep.settings().items():
        new = [run for run in runs if run.name not in shown]
        shown |= {run.name for run in new}
        histories = [read_history(sweep.run_folder(run)) for run in new]
        title = f"{MODELS.get(setting.model, setting.model)}, {labels_text(setting.fraction)}"
        found.setdefault(title, {})[setting] = [history for history in histories if history]
    return found


def _columns(
    histories: Sequence[History], columns: Mapping[str, tuple[str, Style]]
) -> list[Series]:
    """A series for each column that has a value above zero or is a share."""
    series = [
        Series(name, style, _over_steps(histories, column, above_zero=columns is LOSSES))
        for column, (name, style) in columns.items()
    ]
    return [one for one in series if one.points]


def _over_steps(
    histories: Sequence[History], column: str, *, above_zero: bool = False
) -> tuple[Point, ...]:
    """Mean and range over the runs at each step."""
    values: dict[float, list[float]] = {}
    for history in histories:
        for row in history:
            if column in row and (row[column] > 0 or not above_zero):
                values.setdefault(row["step"], []).append(row[column])
    return tuple(
        Point(step, float(np.mean(v)), min(v), max(v)) if len(v) > 1 else Point(step, v[0])
        for step, v in sorted(values.items())
    )


def _panels(
    drawn: Sequence[tuple[str, Sequence[Series]]],
    label: str,
    shown: Iterable[tuple[str, Style]],
    y: Axis,
) -> str:
    """Charts with the same axes, below one legend."""
    if not drawn:
        return ""
    axis = Axis(label, y.low, y.high, y.ticks)
    x = _steps([series for _, series in drawn])
    figures = (chart(title, x, axis, series) for title, series in drawn)
    return legend(dict(shown).items()) + group(figures, "charts")


def _steps(panels: Iterable[Sequence[Series]]) -> Axis:
    steps = [point.x for series in panels for one in series for point in one.points]
    return linear_axis("step", [0.0, *steps], most=5)
