"""The tables of a sweep, in the layouts of the paper."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tfadvseg.metrics import SCORES, mean
from tfadvseg.report.comparisons import Comparison
from tfadvseg.report.results import FOREGROUND
from tfadvseg.report.sweep import ALL_LABELS, Run, Setting, Sweep, labels_text
from tfadvseg.report.table import Cell, Row, Table, headings, number, spread
from tfadvseg.surface import DISTANCES

# The paper's columns (Tables 2 and 3), and the distance that it lacks.
COLUMNS = {
    "miou": "MIOU",
    "dice": "DICE",
    "specificity": "S",
    "precision": "P",
    "hd95_mm": "HD95",
}


def run_values(runs: Sequence[Run], name: str, measure: str) -> list[float | None]:
    """One value a finished run, of a class or of the foreground: the mean over its patients."""
    return [mean(run.result.values(name, measure)) for run in runs if run.result is not None]


def table_2(sweep: Sweep) -> Table:
    """Every method with all labels."""
    columns = _columns(sweep)
    rows = tuple(
        (Cell(setting.method, _lacking(runs)), *_scores(runs, columns))
        for setting, runs in _begun(sweep).items()
        if setting.fraction == ALL_LABELS
    )
    return Table("table2", "All labels", headings("", *columns.values()), rows, _note(sweep))


def table_3(sweep: Sweep) -> Table:
    """Every method with fewer labels."""
    columns = _columns(sweep)
    rows = _grouped(
        sweep,
        lambda runs: _scores(runs, columns),
        lambda setting: setting.fraction != ALL_LABELS,
    )
    return Table("table3", "Fewer labels", headings("", *columns.values()), rows, _note(sweep))


def per_class(sweep: Sweep, name: str, heading: str, measure: str) -> Table:
    """One score or distance of every foreground class."""
    classes = sweep.classes()[1:]
    rows = _grouped(sweep, lambda runs: [_over_runs(runs, one, measure) for one in classes])
    return Table(name, f"{heading} of each class", headings("", *classes), rows)


def readings(sweep: Sweep) -> Table:
    """MIOU and Dice of pooled voxels, over the foreground classes and over all."""
    keys = [(over, measure) for over in ("foreground", "all") for measure in ("miou", "dice")]

    def cells(runs: Sequence[Run]) -> list[Cell]:
        results = [run.result for run in runs if run.result is not None]
        return [spread(result.pooled[over][m] for result in results) for over, m in keys]

    columns = tuple(Cell(COLUMNS[measure], over) for over, measure in keys)
    note = (
        "The paper does not say over which classes and images its means are taken. Here the voxels "
        "of all test images of a run count together; foreground: mean over the classes but "
        "background; all: over all classes."
    )
    title = "Other readings: pooled voxels"
    return Table("readings", title, (Cell(""), *columns), _grouped(sweep, cells), note)


def budget(sweep: Sweep) -> Table:
    """How many labels each fraction costs, those of validation included."""
    keys = {
        "labelled_patients": Cell("labelled", "patients"),
        "labelled_images": Cell("labelled", "images"),
        "val_patients": Cell("validation", "patients"),
        "unlabelled_patients": Cell("unlabelled", "patients"),
    }
    rows = []
    for fraction in sweep.fractions:
        runs = [run for run in sweep.runs if run.setting.fraction == fraction]
        numbers = [Cell(_range([run.budget[key] for run in runs])) for key in keys]
        rows.append((Cell(labels_text(fraction)), *numbers))
    note = (
        "Of each run; a range where folds differ. The labels of the validation patients choose the "
        "model, so they are part of the price."
    )
    return Table("budget", "Label budget", (Cell(""), *keys.values()), tuple(rows), note)


def comparison_table(name: str, title: str, comparisons: Sequence[Comparison]) -> Table:
    """Paired comparisons, one row each; those that no finished runs make have none."""
    rows: list[Row | str] = []
    for comparison in filter(lambda one: one.pairs, comparisons):
        heading = _heading(comparison.setting, len({c.setting.model for c in comparisons}) > 1)
        rows += [heading] if heading not in rows else []
        rows.append(_comparison_row(comparison))
    columns = (
        Cell(""),
        Cell("difference", "95% interval"),
        Cell("p (Holm)", "uncorrected"),
        Cell("effect"),
        Cell("patients", "higher / lower"),
    )
    return Table(name, title, columns, tuple(rows))


def count(number: int, word: str) -> str:
    """A number of things in words."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def _comparison_row(comparison: Comparison) -> Row:
    found, who = comparison.found, comparison.setting.recipe_text
    if comparison.against.fraction == comparison.setting.fraction:
        who += f" against {comparison.against.recipe_text}"
    pairs = f"{comparison.pairs} of {comparison.planned} pairs of runs"
    difference, low, high = (
        _signed(value, comparison.measure) for value in (found.mean, found.low, found.high)
    )
    return (
        Cell(
            who,
            pairs if comparison.pairs < comparison.planned else "",
        ),
        Cell(difference, "" if found.low is None else f"{low} to {high}"),
        Cell(_p(comparison.p_holm), _p(found.p)),
        Cell("-" if found.effect is None else f"{found.effect:+.2f}"),
        Cell(str(found.patients), f"{found.higher} / {found.lower}"),
    )


def _grouped(
    sweep: Sweep,
    cells: Callable[[Sequence[Run]], Sequence[Cell]],
    wanted: Callable[[Setting], bool] = lambda setting: True,
) -> tuple[Row | str, ...]:
    """A row for each wanted setting that has a result, below headings of model and fraction."""
    settings = {setting: runs for setting, runs in _begun(sweep).items() if wanted(setting)}
    several = len({setting.model for setting in sweep.settings()}) > 1
    rows: list[Row | str] = []
    for setting, runs in settings.items():
        heading = _heading(setting, several)
        rows += [heading] if heading not in rows else []
        rows.append((Cell(setting.recipe_text, _lacking(runs)), *cells(runs)))
    return tuple(rows)


def _heading(setting: Setting, with_model: bool) -> str:
    labels = labels_text(setting.fraction)
    if with_model:
        return f"{setting.method.split(',')[0]}, {labels}"
    return labels[:1].upper() + labels[1:]


def _over_runs(runs: Sequence[Run], name: str, measure: str) -> Cell:
    return spread(run_values(runs, name, measure), 1 if measure in DISTANCES else 3)


def _scores(runs: Sequence[Run], columns: Iterable[str]) -> list[Cell]:
    return [_over_runs(runs, FOREGROUND, measure) for measure in columns]


def _columns(sweep: Sweep) -> dict[str, str]:
    """The scores, and the distance where images tell their pixel size."""
    return {m: name for m, name in COLUMNS.items() if m in SCORES or sweep.measured(m)}


def _begun(sweep: Sweep) -> dict[Setting, list[Run]]:
    """The settings with a finished run, and all runs of each."""
    return {
        setting: runs
        for setting, runs in sweep.settings().items()
        if any(run.result is not None for run in runs)
    }


def _lacking(runs: Sequence[Run]) -> str:
    """Says so where runs are missing from the numbers."""
    done = sum(run.result is not None for run in runs)
    return "" if done == len(runs) else f"{done} of {len(runs)} runs"


def distance_note(*, measured: bool) -> str:
    """What HD95 is, or why there is none."""
    if measured:
        return "HD95 is in mm and leaves out structures that were missed."
    return "no HD95: the images do not tell their pixel size."


def _note(sweep: Sweep) -> str:
    folds, seeds = (
        count(sweep.folds, "fold"),
        count(len({run.seed for run in sweep.runs}), "seed"),
    )
    distance = distance_note(measured=sweep.measured("hd95_mm"))
    return (
        f"Mean and standard deviation over {folds} and {seeds}. The value of a run is the mean "
        "over its test patients, that of a patient the mean over the classes but "
        f"background. S is specificity, P precision; {distance}"
    )


def _range(values: Sequence[int | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    low, high = min(known), max(known)
    return str(low) if low == high else f"{low} to {high}"


def _signed(value: float | None, measure: str) -> str:
    return "-" if value is None else f"{value:+.{1 if measure in DISTANCES else 3}f}"


def _p(value: float | None) -> str:
    return "<0.001" if value is not None and value < 0.001 else number(value)
