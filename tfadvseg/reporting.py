"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from tfadvseg.inference.files import Row
from tfadvseg.metrics import SCORES

HEADINGS = {"miou": "MIOU", "dice": "Dice"}
MOST_ROWS = 40


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


def prediction_table(rows: Sequence[Row], classes: Sequence[str]) -> Table:
    """Size, share of every foreground class and mean confidence of each predicted file."""
    table = Table(title=f"{len(rows)} files")
    table.add_column("file")
    for name in ("size", *classes[1:], "confidence"):
        table.add_column(name, justify="right")
    for row in rows[:MOST_ROWS]:
        shares = (f"{share:.2%}" for share in row.shares[1:])
        size = f"{row.size[1]}x{row.size[0]}"
        table.add_row(row.name, size, *shares, _number(row.confidence))
    if len(rows) > MOST_ROWS:
        table.add_row(f"... and {len(rows) - MOST_ROWS} more")
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
