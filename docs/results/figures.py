"""Charts of the pages, as SVG files that carry their own style and legend."""

from collections.abc import Sequence
from html import escape

from tfadvseg.report import charts
from tfadvseg.report.charts import WIDTH, Axis, Series, drawing, sample

MARGIN, LINE, KEY = 10, 22, 60  # units; a key begins where the plot does
STYLE = f"svg {{ font: 12px sans-serif; }} .title {{ font-weight: 600; }}\n{charts.STYLE}"


def figure(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> str:
    """A chart with its title above and a line for each named series below, as a file of its own."""
    drawn, height = drawing(x, y, series)
    named = [one for one in series if one.name]
    keys = "".join(
        f'<g transform="translate({KEY} {LINE + height + MARGIN + LINE * row})">'
        f'{sample(one.style)}<text x="24" dy=".35em">{escape(one.name)}</text></g>'
        for row, one in enumerate(named)
    )
    wide, high = WIDTH + 2 * MARGIN, LINE + height + LINE * len(named) + 2 * MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-MARGIN} {-MARGIN} {wide} {high}" '
        f'width="{wide}" height="{high}" role="img" aria-label="{escape(title)}">'
        f"<style>{STYLE}</style>"
        f'<rect x="{-MARGIN}" y="{-MARGIN}" width="{wide}" height="{high}" fill="#fff"/>'
        f'<text class="title" x="4" y="14">{escape(title)}</text>'
        f'<g transform="translate(0 {LINE})">{drawn}</g>{keys}</svg>\n'
    )
