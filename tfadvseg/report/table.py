"""Tables whose cells hold a number and, small below it, how sure it is; as HTML and as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from statistics import stdev
from typing import TypeAlias

from tfadvseg.metrics import mean

TEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{sign: f"${sign}$" for sign in "<>"},
    "±": r"$\pm$",
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, and what stands small below it."""

    text: str
    below: str = ""


Row: TypeAlias = tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: of its LaTeX file.
        title: above it, if any.
        columns: headings; the first column holds words, the others numbers.
        rows: of cells; a text is the heading of the rows that follow.
        note: below it.
    """

    name: str
    title: str
    columns: Row
    rows: tuple[Row | str, ...]
    note: str = ""


def headings(*texts: str) -> Row:
    """Cells of one text each."""
    return tuple(map(Cell, texts))


def spread(values: Iterable[float | None], digits: int = 3) -> Cell:
    """Mean and, below, standard deviation (n - 1) of what is defined; no deviation of one value."""
    defined = [value for value in values if value is not None]
    deviation = f"±{stdev(defined):.{digits}f}" if len(defined) > 1 else ""
    return Cell(number(mean(defined), digits), deviation)


def number(value: float | None, digits: int = 3) -> str:
    """A number, or a dash where it is not defined."""
    return "-" if value is None else f"{value:.{digits}f}"


def to_html(table: Table) -> str:
    """The table as HTML; it scrolls sideways where it is wider than the page."""
    head = "".join(
        f"<th{' class=number' if place else ''}>{_html_cell(column)}</th>"
        for place, column in enumerate(table.columns)
    )
    body = "".join(_html_row(row, len(table.columns)) for row in table.rows)
    title = f"<caption>{escape(table.title)}</caption>" if table.title else ""
    note = f"<p class=note>{escape(table.note)}</p>\n" if table.note else ""
    return (
        f'<div><div class="scroll"><table>{title}'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n{note}</div>\n"
    )


def to_latex(table: Table) -> str:
    """The table as a LaTeX `tabular`, for the package booktabs."""
    width = len(table.columns)
    lines = [
        f"% {table.title}. Needs \\usepackage{{booktabs}}.",
        *([f"% {table.note}"] if table.note else []),
        f"\\begin{{tabular}}{{l{'r' * (width - 1)}}}",
        "\\toprule",
        _tex_row(table.columns),
    ]
    for place, row in enumerate(table.rows):
        if isinstance(row, str):
            heading = f"\\multicolumn{{{width}}}{{l}}{{\\emph{{{_tex(row)}}}}} \\\\"
            lines += ["\\midrule", heading]
        else:
            lines += [*(["\\midrule"] if place == 0 else []), _tex_row(row)]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def _html_row(row: Row | str, width: int) -> str:
    if isinstance(row, str):
        return f'<tr class="group"><th colspan={width}>{escape(row)}</th></tr>\n'
    cells = "".join(
        f"<td{' class=number' if place else ''}>{_html_cell(cell)}</td>"
        for place, cell in enumerate(row)
    )
    return f"<tr>{cells}</tr>\n"


def _html_cell(cell: Cell) -> str:
    below = f"<small>{escape(cell.below)}</small>" if cell.below else ""
    return escape(cell.text) + below


def _tex_row(cells: Sequence[Cell]) -> str:
    texts = []
    for cell in cells:
        below = cell.below if cell.below.startswith("±") else f"({cell.below})"
        texts.append(_tex(f"{cell.text} {below}" if cell.below else cell.text))
    return " & ".join(texts) + r" \\"


def _tex(text: str) -> str:
    escaped = "".join(TEX.get(sign, sign) for sign in text)
    return re.sub(r"(?<![\w/])-(?=\d)", "$-$", escaped)
