"""What `tfadvseg data check` shows: tables for the terminal, and a page for the browser."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import rich.table

from tfadvseg.report import page
from tfadvseg.report.contact_sheet import Thumbnail
from tfadvseg.report.table import Table, headings, to_html

MOST_VALUES = 4
CLASS_COLUMNS = ("class", "share of pixels", "in cases", "in patients")


def tables(summary: Mapping[str, Any]) -> list[rich.table.Table]:
    """The tables of a check.

    Args:
        summary: from `tfadvseg.data.checks.check.summary`.
    """
    overview = rich.table.Table(title=str(summary["data"]), show_header=False)
    for name, value in _overview(summary):
        overview.add_row(name, value)
    classes = rich.table.Table(CLASS_COLUMNS[0])
    for column in CLASS_COLUMNS[1:]:
        classes.add_column(column, justify="right")
    for cells in _class_rows(summary):
        classes.add_row(*cells)
    return [overview, classes]


def headline(summary: Mapping[str, Any]) -> str:
    """The whole check in one line."""
    errors, odd = len(summary["errors"]), len(summary["warnings"])
    return (
        f"{summary['data']}: {_count(summary['cases'], 'case')}, {_count(errors, 'error')}, "
        f"{_count(odd, 'warning')}"
    )


def check_page(summary: Mapping[str, Any], sheet: Sequence[Thumbnail]) -> str:
    """A page of HTML that needs nothing but itself.

    Args:
        summary: from `tfadvseg.data.checks.check.summary`.
        sheet: from `tfadvseg.report.contact_sheet.contact_sheet`.
    """
    rows = tuple(headings(*row) for row in _class_rows(summary))
    classes = Table("classes", "", headings(*CLASS_COLUMNS), rows)
    folders = [str(summary[key]) for key in ("data", "unlabelled") if summary[key]]
    names = [item["name"] for item in summary["classes"]][1:]
    shown = (
        "Evenly over the patients; of a volume the slice with the most foreground. Contours of the "
        "mask:"
    )
    sections = (
        page.paragraph(" and ".join(folders)),
        _findings("errors", summary["errors"]),
        _findings("warnings", summary["warnings"]),
        page.section("Data", page.facts(dict(_overview(summary)))),
        page.section("Classes", to_html(classes)),
        page.section(
            f"{len(sheet)} of {_count(summary['cases'], 'case')}",
            f"<p>{shown} {page.class_legend(names)}</p>\n" if sheet else "",
            page.group(map(_figure, sheet), "sheet"),
        ),
    )
    return page.document(f"Data check: {Path(summary['data']).resolve().name}", sections)


def _overview(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of what is known of all cases; what is not known of any has no row."""
    parts = {part: numbers for part, numbers in summary["parts"].items() if numbers["cases"]}
    rows = [
        ("cannot be used", _count(summary["unusable"], "case") if summary["unusable"] else ""),
        ("all", _amounts({**summary, "cases": summary["cases"] - summary["unusable"]})),
        *((part.replace("_", " "), _amounts(numbers)) for part, numbers in parts.items()),
        ("slices x height x width", _values(summary["sizes"], _by)),
        ("spacing in mm", _values(summary["spacings_mm"], _by)),
        ("orientation", _values(summary["orientations"], str)),
        ("channels", _values(summary["channels"], str)),
        ("type", _values(summary["dtypes"], str)),
    ]
    intensity = summary["intensity"]
    if intensity["minimum"]:
        rows.append(("intensity", _range(intensity["minimum"][0], intensity["maximum"][1])))
        rows.append(("median intensity", _range(*intensity["median"])))
    return [row for row in rows if row[1]]


def _amounts(numbers: Mapping[str, int]) -> str:
    return ", ".join(_count(numbers[f"{word}s"], word) for word in ("case", "slice", "patient"))


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _values(counted: Sequence[Mapping[str, Any]], text: Callable[[Any], str]) -> str:
    known = [item for item in counted if item["value"] is not None]
    shown = [f"{text(item['value'])} ({item['cases']})" for item in known[:MOST_VALUES]]
    rest = len(known) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def _class_rows(summary: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    return [
        (
            f"{item['index']} {item['name']}",
            "-" if item["share"] is None else f"{item['share']:.3%}",
            str(item["cases"]),
            str(item["patients"]),
        )
        for item in summary["classes"]
    ]


def _findings(kind: str, findings: Sequence[Mapping[str, Any]]) -> str:
    if not findings:
        return page.paragraph(f"No {kind}.")
    found = page.items([finding["text"] for finding in findings], kind)
    return page.section(_count(len(findings), kind.removesuffix("s")), found)


def _figure(thumbnail: Thumbnail) -> str:
    number, slices = thumbnail.slice_number, thumbnail.slices
    where = [f"slice {number} of {slices}"] if slices > 1 else []
    what = [] if thumbnail.labelled else ["no mask"]
    facts = ", ".join([thumbnail.patient, *where, *what])
    return page.picture(thumbnail.url, thumbnail.case, f"{thumbnail.case}\n{facts}")


def _by(numbers: Sequence[float]) -> str:
    return "x".join(f"{number:g}" for number in numbers)


def _range(low: float, high: float) -> str:
    return _number(low) if low == high else f"{_number(low)} to {_number(high)}"


def _number(number: float) -> str:
    return f"{number:.4g}" if number % 1 else f"{number:.0f}"
