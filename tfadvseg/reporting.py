"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tfadvseg.inference.summary import Row
from tfadvseg.metrics import SCORES
from tfadvseg.ranking.ranking import Ranking

HEADINGS = {"miou": "MIOU", "dice": "Dice"}
COUNTS = ("measured", "missed", "invented")
MOST_ROWS = 40
MOST_RANKED = 10


def print_scores(console: Console, result: dict[str, Any]) -> None:
    """Shows the content of `metrics.json`."""
    console.print(score_table(result))
    distances = surface_table(result)
    if distances is not None:
        console.print(distances)
    if "quality" in result:
        console.print(self_assessment(result))


def score_table(result: dict[str, Any]) -> Table:
    """The scores of `metrics.json`: every class, foreground and all, pooled and per case."""
    table = Table(title=f"{result['split']} split, {result['cases']} cases")
    table.add_column("")
    for name in SCORES:
        table.add_column(HEADINGS.get(name, name.capitalize()), justify="right")
    for part, title in (("pooled", "pooled pixels"), ("mean_over_cases", "mean over cases")):
        table.add_section()
        scores = result[part]
        macros = {"foreground (macro)": scores["foreground"], "all (macro)": scores["all"]}
        for name, values in {**scores["per_class"], **macros}.items():
            table.add_row(f"{title}: {name}", *(_number(values[score]) for score in SCORES))
    return table


def surface_table(result: dict[str, Any]) -> Table | None:
    """Distances between surfaces over the cases; None where no spacing is known."""
    surface = result["surface"]
    counts = surface["foreground"]
    if counts["without_spacing"] or not any(counts[name] for name in COUNTS):
        return None
    table = Table(title="distances between surfaces, mean over the measured cases")
    for heading in ("", "HD95 mm", "ASSD mm", *COUNTS):
        table.add_column(heading, justify="left" if not heading else "right")
    rows = {**surface["per_class"], "foreground (macro)": surface["foreground"]}
    for name, row in rows.items():
        numbers = (str(row[count]) for count in COUNTS)
        table.add_row(name, _number(row["hd95_mm"]), _number(row["assd_mm"]), *numbers)
    return table


def self_assessment(result: dict[str, Any]) -> str:
    """How well the model knows how good it is, in a sentence."""
    before, after = (result["calibration"][name] for name in ("before", "after"))
    calibrated = "not known when calibrated (it takes two validation patients)"
    if after is not None:
        calibrated = f"calibrated {_number(after['foreground']['ece'])}"
    quality = result["quality"]
    return (
        f"Calibration error on foreground pixels: {_number(before['foreground']['ece'])}, "
        f"{calibrated}. Predicted and true Dice of {quality['cases']} cases: Pearson "
        f"{_number(quality['pearson'])}, Spearman {_number(quality['spearman'])}, mean error "
        f"{_number(quality['mean_absolute_error'])}."
    )


def prediction_table(rows: Sequence[Row], classes: Sequence[str]) -> Table:
    """Size and share of every foreground class of each predicted file, and what to expect of it."""
    table = Table(title=f"{len(rows)} files")
    table.add_column("file")
    asked = any(row.predicted_dice is not None for row in rows)
    for name in ("size", *classes[1:], *(("confidence", "predicted Dice") if asked else ())):
        table.add_column(name, justify="right")
    for row in rows[:MOST_ROWS]:
        cells = ["x".join(map(str, row.size)), *(f"{share:.2%}" for share in row.shares[1:])]
        if row.predicted_dice is not None:
            cells += [_number(row.confidence), _number(row.predicted_dice["foreground"])]
        table.add_row(row.file, *cells)
    if len(rows) > MOST_ROWS:
        table.add_row(f"... and {len(rows) - MOST_ROWS} more")
    return table


def ranking_table(ranking: Ranking) -> Table:
    """The first images to label; the slice only where an image has several."""
    first = ranking.cases[:MOST_RANKED]
    volumes = any(one.slices > 1 for one in first)
    table = Table(title=f"{len(ranking.cases)} images, the first to label")
    table.add_column("rank", justify="right")
    for heading in ("case", "patient"):
        table.add_column(heading, overflow="fold")  # a name cut short would name no file
    for heading in (*(("slice",) if volumes else ()), "gain", "benefit", "novelty"):
        table.add_column(heading, justify="right")
    for one in first:
        table.add_row(
            str(one.rank),
            one.case.name,
            one.case.patient,
            *((f"{one.slice_number} of {one.slices}",) if volumes else ()),
            f"{one.gain:.1%}",
            f"{one.benefit:.2f}",
            f"{one.novelty:.2f}",
        )
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
