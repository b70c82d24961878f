"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import markup
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
    """The first images to label."""
    table = Table(title=f"{len(ranking.cases)} images, the first to label")
    for heading in ("rank", "case", "patient", "patient rank", "slice"):
        table.add_column(heading, justify="left" if heading in ("case", "patient") else "right")
    for heading in ("gain", "benefit", "novelty"):
        table.add_column(heading, justify="right")
    for one in ranking.cases[:MOST_RANKED]:
        places = (one.patient_rank, f"{one.slice_number} of {one.slices}")
        table.add_row(
            str(one.rank),
            markup.escape(one.case.name),
            markup.escape(one.case.patient),
            *map(str, places),
            f"{one.gain:.1%}",
            *map(_number, (one.benefit, one.novelty)),
        )
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
