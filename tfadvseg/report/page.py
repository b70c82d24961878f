"""A page of HTML that needs nothing but itself, for a desk, a phone and a printer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

from tfadvseg.pictures import class_colours
from tfadvseg.report import PAGE, charts

STYLE = """
:root { color-scheme: light; }
body { font: 1rem/1.45 system-ui, sans-serif; max-width: 66rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin-top: 2rem; break-after: avoid; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; break-after: avoid; overflow-wrap: anywhere; }
p, li { max-width: 46rem; }
.note { font-size: .85rem; color: #444; }
table { border-collapse: collapse; }
caption { text-align: left; font-weight: 600; padding: .8rem 0 .2rem; }
th, td { padding: .2rem .9rem .2rem 0; text-align: left; vertical-align: top; }
th { font-weight: 600; }
td { overflow-wrap: break-word; }
td.number, th.number { text-align: right; padding: .2rem .5rem; }
td.number { font-variant-numeric: tabular-nums; }
td small, th small { display: block; color: #444; font-size: .8em; line-height: 1.1;
  font-weight: normal; }
tr { border-bottom: 1px solid #ddd; break-inside: avoid; }
tr.group th { font-weight: normal; font-style: italic; padding-top: .5rem; }
.scroll { overflow-x: auto; }
.tables { display: flex; flex-wrap: wrap; gap: 0 3rem; }
.tables > div { max-width: 100%; }
.tables .note { width: 0; min-width: 100%; }
ul { padding: 0; list-style: none; }
li { border-left: .3rem solid #999; padding: .1rem .7rem; margin: .6rem 0; }
li.helped { border-color: #0072b2; }
li.harmed, ul.missing li { border-color: #d55e00; }
ul.errors li { border-color: #b00020; }
ul.warnings li { border-color: #c77700; }
ul.missing li, ul.errors li, ul.warnings li { overflow-wrap: anywhere; }
figure { margin: 0; break-inside: avoid; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; white-space: pre-line; }
.charts { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
.chart { max-width: 26rem; }
.chart figcaption { font-weight: 600; }
svg { display: block; width: 100%; height: auto; overflow: visible; font-size: 12px; }
.legend { margin: .3rem 0; break-after: avoid; }
.key { white-space: nowrap; margin-right: .8rem; }
svg.sample { display: inline-block; width: 28px; vertical-align: middle; }
.swatch { display: inline-block; width: .8em; height: .8em; border: 1px solid #555; }
.scale { display: inline-block; width: 6rem; height: .8em; vertical-align: baseline;
  background: linear-gradient(to right, #440154, #3b528b, #21918c, #5ec962, #fde725); }
.pictures { display: grid; gap: .5rem; grid-template-columns: repeat(4, minmax(0, 12rem)); }
.fractions { display: grid; gap: .2rem .5rem; margin-top: .5rem;
  grid-template-columns: repeat(var(--columns), minmax(0, 12rem)); }
.fractions p { grid-column: 1 / -1; margin: .3rem 0 0; font-size: .85rem; font-weight: 600; }
.sheet { display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); }
.pairs { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 18rem), 1fr)); }
.pair { display: grid; gap: .3rem; grid-template-columns: 1fr 1fr; align-items: end; }
.case { break-inside: avoid; margin-bottom: 1.5rem; }
img { display: block; width: 100%; height: auto; }
.columns { columns: 22rem; column-gap: 2rem; }
.columns table { border-collapse: separate; border-spacing: 0; width: 100%; }
.columns th, .columns td { border-bottom: 1px solid #ddd; }
@media (max-width: 36rem) {
  .pictures { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  table { font-size: .85rem; }
  th, td { padding-right: .4rem; }
  td.number, th.number { padding: .2rem 0 .2rem .5rem; }
}
@media print {
  html { font-size: 10pt; }
  body { padding: 0; }
  * { print-color-adjust: exact; }
  .charts { grid-template-columns: repeat(2, 1fr); }
  .scroll { overflow: visible; }
}
"""


def document(title: str, sections: Iterable[str]) -> str:
    """The whole page."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{PAGE}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}{charts.STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{"".join(sections)}</body>
</html>
"""


def section(title: str, *parts: str) -> str:
    """A heading and what belongs to it; nothing where there is nothing."""
    content = "".join(parts)
    return f"<h2>{escape(title)}</h2>\n{content}" if content else ""


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text; `kind` is a class of the style, such as `note`."""
    return f"<p{f' class={kind}' if kind else ''}>{escape(text)}</p>\n" if text else ""


def answers(found: Sequence[tuple[str, str, str]]) -> str:
    """A list of answers: each a class of the style, what was found, and the detail behind it."""
    lines = "".join(
        f"<li class={kind}><strong>{escape(lead)}.</strong> {escape(detail)}</li>\n"
        for kind, lead, detail in found
    )
    return f"<ul>\n{lines}</ul>\n" if found else ""


def items(texts: Sequence[str], kind: str = "") -> str:
    """A list of plain texts; nothing for none."""
    if not texts:
        return ""
    lines = "".join(f"<li>{escape(text)}</li>\n" for text in texts)
    return f"<ul{f' class={kind}' if kind else ''}>\n{lines}</ul>\n"


def group(parts: Iterable[str], kind: str) -> str:
    """Parts in a box with a class of the style."""
    content = "".join(parts)
    return f'<div class="{kind}">\n{content}</div>\n' if content else ""


def facts(rows: Mapping[str, str]) -> str:
    """Names and values, in several columns where there is room."""
    cells = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>\n"
        for name, value in rows.items()
    )
    return f'<div class="columns"><table>{cells}</table></div>\n'


def picture(url: str, alt: str, caption: str = "") -> str:
    """A picture with a caption below it."""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img src="{url}" alt="{escape(alt)}">{below}</figure>\n'


def class_legend(names: Sequence[str]) -> str:
    """The colours of the foreground classes."""
    colours = class_colours(np.arange(1, len(names) + 1)).tolist()
    return "".join(
        f'<span class="key"><span class="swatch" style="background: '
        f'rgb({", ".join(map(str, colour))})"></span> {escape(name)}</span> '
        for name, colour in zip(names, colours, strict=True)
    )
