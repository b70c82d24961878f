"""What `tfadvseg data check` shows: tables for the terminal, and a page for the browser."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from rich import markup
from rich.table import Table

from tfadvseg.contact_sheet import SIDE, Thumbnail
from tfadvseg.pictures import class_colours

MOST_VALUES = 4
CLASS_COLUMNS = ("class", "share of pixels", "in cases", "in patients")
STYLE = f"""
:root {{ color-scheme: light; }}
body {{ font: 1rem/1.45 system-ui, sans-serif; max-width: 75rem; margin: 0 auto; padding: 1rem; }}
h1 {{ font-size: 1.4rem; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.1rem; margin-top: 1.8rem; break-after: avoid; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }}
th {{ font-weight: 600; }}
td {{ overflow-wrap: anywhere; }}
td.number, th.number {{ text-align: right; }}
tr {{ border-bottom: 1px solid #ddd; }}
ul {{ padding: 0; list-style: none; }}
li {{ border-left: .3rem solid; padding: .1rem .6rem; margin: .4rem 0; overflow-wrap: anywhere; }}
.errors li {{ border-color: #b00020; }}
.warnings li {{ border-color: #c77700; }}
.swatch {{ display: inline-block; width: .8em; height: .8em; border: 1px solid #555; }}
.key {{ white-space: nowrap; margin-right: .6rem; }}
.sheet {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .8rem; }}
figure {{ margin: 0; break-inside: avoid; }}
img {{ display: block; width: 100%; max-width: {SIDE}px; height: auto; }}
figcaption {{ font-size: .8rem; overflow-wrap: anywhere; }}
@media print {{ body {{ padding: 0; font-size: 10pt; }} * {{ print-color-adjust: exact; }} }}
"""


def tables(summary: Mapping[str, Any]) -> list[Table]:
    """The tables of a check.

    Args:
        summary: from `tfadvseg.data.checks.check.summary`.
    """
    overview = Table(title=markup.escape(str(summary["data"])), show_header=False)
    for name, value in _overview(summary):
        overview.add_row(name, markup.escape(value))
    classes = Table(CLASS_COLUMNS[0])
    for column in CLASS_COLUMNS[1:]:
        classes.add_column(column, justify="right")
    for cells in _class_rows(summary):
        classes.add_row(markup.escape(cells[0]), *cells[1:])
    return [overview, classes]


def headline(summary: Mapping[str, Any]) -> str:
    """The whole check in one line."""
    errors, odd = len(summary["errors"]), len(summary["warnings"])
    return (
        f"{summary['data']}: {_count(summary['cases'], 'case')}, {_count(errors, 'error')}, "
        f"{_count(odd, 'warning')}"
    )


def page(summary: Mapping[str, Any], sheet: Sequence[Thumbnail]) -> str:
    """A page of HTML that needs nothing but itself.

    Args:
        summary: from `tfadvseg.data.checks.check.summary`.
        sheet: from `tfadvseg.contact_sheet.contact_sheet`.
    """
    name = escape(Path(summary["data"]).resolve().name)
    overview = "".join(
        f"<tr><th>{escape(key)}</th><td>{escape(value)}</td></tr>"
        for key, value in _overview(summary)
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data check: {name}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Data check: {name}</h1>
<p>{escape(" and ".join(str(summary[key]) for key in ("data", "unlabelled") if summary[key]))}</p>
{_findings("errors", summary["errors"])}
{_findings("warnings", summary["warnings"])}
<h2>Data</h2>
<table>{overview}</table>
<h2>Classes</h2>
<table>{_class_table(summary)}</table>
<h2>{len(sheet)} of {summary["cases"]} cases</h2>
<p>Evenly over the patients; of a volume the slice with the most foreground. Contours of the mask:
{_legend(summary)}</p>
<div class="sheet">
{"".join(map(_figure, sheet))}</div>
</body>
</html>
"""


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


def _class_table(summary: Mapping[str, Any]) -> str:
    head = "".join(f'<th class="number">{name}</th>' for name in CLASS_COLUMNS[1:])
    rows = "".join(
        f"<tr><td>{escape(name)}</td>"
        + "".join(f'<td class="number">{number}</td>' for number in numbers)
        + "</tr>"
        for name, *numbers in _class_rows(summary)
    )
    return f"<tr><th>{CLASS_COLUMNS[0]}</th>{head}</tr>{rows}"


def _findings(kind: str, findings: Sequence[Mapping[str, Any]]) -> str:
    if not findings:
        return f"<p>No {kind}.</p>"
    items = "".join(f"<li>{escape(finding['text'])}</li>" for finding in findings)
    heading = _count(len(findings), kind.removesuffix("s"))
    return f'<h2>{heading}</h2>\n<ul class="{kind}">{items}</ul>'


def _legend(summary: Mapping[str, Any]) -> str:
    names = [item["name"] for item in summary["classes"]][1:]
    colours = class_colours(np.arange(1, len(names) + 1)).tolist()
    return " ".join(
        f'<span class="key"><span class="swatch" style="background: '
        f'rgb({", ".join(map(str, colour))})"></span> {escape(name)}</span>'
        for name, colour in zip(names, colours, strict=True)
    )


def _figure(thumbnail: Thumbnail) -> str:
    number, slices = thumbnail.slice_number, thumbnail.slices
    where = [f"slice {number} of {slices}"] if slices > 1 else []
    what = [] if thumbnail.labelled else ["no mask"]
    facts = ", ".join([f"patient {thumbnail.patient}", *where, *what])
    return (
        f'<figure><img src="{thumbnail.url}" alt="{escape(thumbnail.case)}">'
        f"<figcaption>{escape(thumbnail.case)}<br>{escape(facts)}</figcaption></figure>\n"
    )


def _by(numbers: Sequence[float]) -> str:
    return "x".join(f"{number:g}" for number in numbers)


def _range(low: float, high: float) -> str:
    return _number(low) if low == high else f"{_number(low)} to {_number(high)}"


def _number(number: float) -> str:
    return f"{number:.4g}" if number % 1 else f"{number:.0f}"
