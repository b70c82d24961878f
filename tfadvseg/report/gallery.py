"""The pictures of a report, as parts of its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from tfadvseg.inference.predictor import Predictor
from tfadvseg.progress import Progress, silent
from tfadvseg.report import page
from tfadvseg.report.cases import Predicted, Slice, choose, find_cases, load_slice, predict
from tfadvseg.report.results import Result
from tfadvseg.report.sweep import ALL_LABELS, BASELINE, Run, Setting, Sweep, labels_text
from tfadvseg.report.table import number
from tfadvseg.run_folder import RunFolder


def run_gallery(
    run: Path,
    result: Result,
    *,
    data: Path | None = None,
    checkpoint: str = "best",
    predictor: Predictor | None = None,
) -> str:
    """The best, the median and the worst case of a run.

    Args:
        run: the run folder.
        result: its scores, whose cases are chosen from.
        data: where they lie; None for the run's own data folder.
        checkpoint: which model predicts.
        predictor: with that model, where it is loaded already.
    """
    chosen = choose([result])
    slices = _load(run, list(chosen), data, checkpoint)
    if isinstance(slices, str):
        return page.paragraph(f"No pictures: {slices}.")
    predicted = predict(run, slices, checkpoint, predictor)
    shown = {name: one.around([predicted[name].mask]) for name, one in slices.items()}
    parts = (
        _case(rank, shown[name], result.cases[name], _panels(shown[name], predicted[name]))
        for name, rank in chosen.items()
    )
    return _key(result, list(predicted.values())) + "".join(parts)


def sweep_gallery(sweep: Sweep, progress: Progress = silent) -> str:
    """The best, the median and the worst case of a recipe, and both across all label fractions.

    Args:
        sweep: with at least one finished run.
        progress: wraps the runs whose models have to predict.
    """
    setting = _shown(sweep)
    runs = {run.fold: run for run in reversed(_finished(sweep, setting))}  # the first seed's
    results = {fold: run.result for fold, run in sorted(runs.items()) if run.result is not None}
    chosen = choose(list(results.values()))
    home = {
        case: next(runs[fold] for fold, result in results.items() if case in result.cases)
        for case in chosen
    }
    if not chosen:
        return ""
    slices = _load(sweep.run_folder(home[next(iter(chosen))]), list(chosen), None, "best")
    if isinstance(slices, str):
        return page.paragraph(f"No pictures: {slices}.")
    columns = {case: _columns(sweep, setting, home[case]) for case in chosen}
    seen = _predict_all(sweep, slices, columns, progress)
    parts = []
    for case, rank in chosen.items():
        main, result = home[case], results[home[case].fold]
        shown = slices[case].around([one.mask for (_, name), one in seen.items() if name == case])
        panels = _panels(shown, seen[main.name, case]) if (main.name, case) in seen else ""
        across = _across(shown, case, columns[case], seen)
        parts.append(_case(rank, shown, result.cases[case], panels + across))
    intro = (
        f"Ranked by the Dice of {setting.method}, {labels_text(setting.fraction)}, first seed. "
        "Below each, as in the paper's Fig. 6, the predictions with every label fraction, and "
        "their Dice."
    )
    key = _key(next(iter(results.values())), list(seen.values()))
    return page.paragraph(intro) + key + "".join(parts)


def _shown(sweep: Sweep) -> Setting:
    """Whose cases are shown: where there is one, with unlabelled images and fewer labels."""
    done = [setting for setting in sweep.settings() if _finished(sweep, setting)]
    ranks = [(setting.uses_unlabelled, setting.fraction != ALL_LABELS) for setting in done]
    return done[ranks.index(max(ranks))]


def _finished(sweep: Sweep, setting: Setting) -> list[Run]:
    return [run for run in sweep.settings()[setting] if run.result is not None]


def _columns(sweep: Sweep, shown: Setting, main: Run) -> dict[str, dict[str, Run | None]]:
    """Recipe to fraction to the finished run of that fold and seed, without and with D."""
    table: dict[str, dict[str, Run | None]] = {}
    for recipe in dict.fromkeys((BASELINE, shown.recipe)):
        for setting in sweep.settings():
            if (setting.model, setting.recipe) == (shown.model, recipe):
                runs = _finished(sweep, setting)
                same = [run for run in runs if (run.fold, run.seed) == (main.fold, main.seed)]
                table.setdefault(recipe, {})[setting.fraction] = same[0] if same else None
    return table


def _predict_all(
    sweep: Sweep,
    slices: Mapping[str, Slice],
    columns: Mapping[str, Mapping[str, Mapping[str, Run | None]]],
    progress: Progress,
) -> dict[tuple[str, str], Predicted]:
    """What every run in the columns says of its cases, each model loaded once."""
    wanted: dict[str, dict[str, Slice]] = {}
    for case, recipes in columns.items():
        for run in (run for runs in recipes.values() for run in runs.values()):
            if run is not None and not _no_model(sweep.run_folder(run), "best"):
                wanted.setdefault(run.name, {})[case] = slices[case]
    folder = sweep.folder / "runs"
    return {
        (name, case): one
        for name, own in progress(wanted.items(), len(wanted))
        for case, one in predict(folder / name, own).items()
    }


def _load(
    run: Path, names: Sequence[str], data: Path | None, checkpoint: str
) -> dict[str, Slice] | str:
    """The slices of the cases, or why there can be no pictures."""
    cases = _no_model(run, checkpoint) or find_cases(run, data, names)
    if isinstance(cases, str):
        return cases
    config = RunFolder(run).read_config()
    return {
        name: load_slice(case, config.slice_axis, config.ignored()) for name, case in cases.items()
    }


def _no_model(run: Path, checkpoint: str) -> str:
    model = run / f"{checkpoint}.keras"
    return "" if model.is_file() else f"{model} is not there"


def _case(rank: str, shown: Slice, known: tuple[str, float | None], content: str) -> str:
    patient, dice = known
    whose = "" if patient in shown.name else f" of {patient}"
    title = f"{rank.capitalize()}: {shown.name}{whose}, Dice {number(dice)}"
    return page.group([f"<h3>{escape(title)}</h3>\n", content], "case")


def _panels(shown: Slice, predicted: Predicted) -> str:
    """Image, label, prediction and confidence."""
    pictures = [
        (shown.picture(), "image"),
        (shown.picture(shown.mask), "label"),
        (shown.picture(predicted.mask), "prediction"),
    ]
    if predicted.confidence is not None:
        pictures.append((shown.map(predicted.confidence), "confidence"))
    return page.group(
        (page.picture(url, f"{shown.name}: {text}", text) for url, text in pictures), "pictures"
    )


def _across(
    shown: Slice,
    case: str,
    columns: Mapping[str, Mapping[str, Run | None]],
    seen: Mapping[tuple[str, str], Predicted],
) -> str:
    """The predictions with every label fraction, a line a recipe."""
    cells, most = "", 1
    for recipe, runs in columns.items():
        cells += f"<p>{escape(recipe)}</p>\n"
        for fraction, run in runs.items():
            if run is None or run.result is None or (run.name, case) not in seen:
                why = f"{fraction}: {'not finished' if run is None else 'no model'}"
                cells += f"<figure><figcaption>{escape(why)}</figcaption></figure>\n"
                continue
            caption = f"{fraction}: {number(run.result.cases[case][1])}"
            url = shown.picture(seen[run.name, case].mask)
            cells += page.picture(url, f"{shown.name}: {recipe}, {fraction}", caption)
        most = max(most, len(runs))
    return f'<div class="fractions" style="--columns: {most}">\n{cells}</div>\n'


def _key(result: Result, predicted: Sequence[Predicted]) -> str:
    scale = ""
    if any(one.confidence is not None for one in predicted):
        scale = (
            '<span class="key">probability of being right 0 <span class="scale"></span> 1</span>'
        )
    return f'<p class="legend">{page.class_legend(result.classes[1:])}{scale}</p>\n'
