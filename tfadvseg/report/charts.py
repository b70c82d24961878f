"""Line charts as inline SVG, small enough that their text is readable on a phone as it is.

A chart is drawn 360 units wide, about the width of a phone: it is never shrunk, and the page puts
several beside each other where there is room. Series differ by colour (Okabe and Ito's, told
apart by colour-blind readers), by marker and by dashes (told apart without any colour).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

STYLE = """\
svg text { fill: #222; }
.middle { text-anchor: middle; }
.end { text-anchor: end; }
.grid { stroke: #ddd; }
.axis { stroke: #444; fill: none; }
.line { fill: none; stroke-width: 2; }
.bar { fill: none; stroke-width: 1.5; }
.band { opacity: .16; }
.faint { opacity: .45; }
"""
WIDTH = 360
LEFT, RIGHT, TOP, BOTTOM = 46, 346, 26, 204  # the plot's sides
BLACK, ORANGE, SKY, GREEN = "#000000", "#e69f00", "#56b4e9", "#009e73"
VERMILLION, PURPLE, BLUE = "#d55e00", "#cc79a7", "#0072b2"
MARKERS = {
    "circle": "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z",
    "square": "M-3-3h6v6h-6z",
    "triangle": "M0-4l4 7h-8z",
    "diamond": "M0-4.5l4.5 4.5l-4.5 4.5l-4.5-4.5z",
    "none": "",
}
MOST_MARKERS = 12  # on a line
GAP = 7  # between the series of a chart that would hide each other's bars


@dataclass(frozen=True)
class Style:
    """How a series looks: colour, marker (one of `MARKERS`) and dashes of its line."""

    colour: str
    marker: str = "circle"
    dashes: str = ""


@dataclass(frozen=True)
class Point:
    """A point of a series, with the ends of an interval or range where there is one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """What is drawn in one style.

    Attributes:
        name: for the legend.
        style: how it looks.
        points: in the order of the line.
        spans: how intervals are shown, `bars` or `band`.
        joined: whether a line joins the points.
    """

    name: str
    style: Style
    points: tuple[Point, ...]
    spans: str = "band"
    joined: bool = True


@dataclass(frozen=True)
class Axis:
    """An axis: its label, its ends, and its ticks with their texts; `log` for a logarithmic one."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value lies between the ends, as 0 to 1."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def linear_axis(label: str, values: Iterable[float], *, most: int = 6) -> Axis:
    """An axis that holds the values, with ticks at round numbers."""
    known = list(values) or [0.0, 1.0]
    low, high = min(known), max(known)
    if low == high:
        low, high = low - 0.5, high + 0.5
    step = _round_step((high - low) / (most - 1))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    ticks = tuple((n * step, _thousands(n * step, digits)) for n in range(first, last + 1))
    return Axis(label, ticks[0][0], ticks[-1][0], ticks)


def log_axis(label: str, values: Iterable[float]) -> Axis:
    """A logarithmic axis from power of ten to power of ten; the values are above zero."""
    known = list(values) or [1.0]
    first = math.floor(math.log10(min(known)))
    last = max(first + 1, math.ceil(math.log10(max(known))))
    ticks = tuple((10.0**n, f"{10.0**n:g}") for n in range(first, last + 1))
    return Axis(label, ticks[0][0], ticks[-1][0], ticks, log=True)


def place_axis(label: str, places: Sequence[tuple[float, str]], *, log: bool = False) -> Axis:
    """An axis with a tick at each place, and room to its ends."""
    values = [value for value, _ in places]
    low, high = min(values), max(values)
    if log:
        room = max((high / low) ** 0.12, 1.3)
        return Axis(label, low / room, high * room, tuple(places), log=True)
    room = max((high - low) * 0.12, 0.5)
    return Axis(label, low - room, high + room, tuple(places))


def chart(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> str:
    """A figure with the title above the drawing.

    Args:
        title: what is shown.
        x: from left to right.
        y: upwards.
        series: the later ones lie above.
    """
    drawn, height = drawing(x, y, series)
    return (
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f"{drawn}</svg></figure>\n"
    )


def drawing(x: Axis, y: Axis, series: Sequence[Series]) -> tuple[str, int]:
    """What `chart` draws: the elements of an SVG `WIDTH` wide, and its height."""
    barred = [one for one in series if one.spans == "bars"]
    places = [point.x for one in barred for point in one.points]
    if len(set(places)) == len(places):
        barred = []  # none hides another
    drawn = [
        _series(
            one, x, y, (barred.index(one) - (len(barred) - 1) / 2) * GAP if one in barred else 0
        )
        for one in series
    ]
    return _frame(x, y) + "".join(drawn), _label_y(x) + 8


def legend(series: Iterable[tuple[str, Style]]) -> str:
    """Names and styles of the series, once for all charts that share them."""
    keys = "".join(
        f'<span class="key"><svg class="sample" viewBox="-14 -6 28 12" aria-hidden="true">'
        f"{sample(style)}</svg> {escape(name)}</span> "
        for name, style in series
    )
    return f'<p class="legend">{keys}</p>\n'


def sample(style: Style) -> str:
    """A piece of a line with its marker, from -14 to 14 units."""
    return _line("M-14 0H14", style) + _marker(style, 0, 0)


def _frame(x: Axis, y: Axis) -> str:
    parts = [f'<text x="4" y="14">{escape(y.label)}</text>']
    for value, text in y.ticks:
        height = _number(_y(y, value))
        kind = "axis" if value == 0 else "grid"
        parts.append(f'<path class="{kind}" d="M{LEFT} {height}H{RIGHT}"/>')
        parts.append(f'<text class="end" x="{LEFT - 6}" y="{height}" dy=".35em">{text}</text>')
    for value, text in x.ticks:
        across = _number(_x(x, value))
        parts.append(f'<path class="axis" d="M{across} {BOTTOM}v4"/>')
        lines = "".join(
            f'<tspan x="{across}" dy="{16 if number == 0 else 14}">{escape(line)}</tspan>'
            for number, line in enumerate(text.split("\n"))
        )
        parts.append(f'<text class="middle" y="{BOTTOM + 2}">{lines}</text>')
    parts.append(f'<path class="axis" d="M{LEFT} {BOTTOM}H{RIGHT}"/>')
    middle = (LEFT + RIGHT) // 2
    parts.append(f'<text class="middle" x="{middle}" y="{_label_y(x)}">{escape(x.label)}</text>')
    return "".join(parts)


def _label_y(x: Axis) -> int:
    """Where the label of the x axis stands: below the lines of its ticks."""
    lines = max((text.count("\n") + 1 for _, text in x.ticks), default=0)
    return BOTTOM + 8 + 14 * (lines + 1)


def _series(series: Series, x: Axis, y: Axis, shift: float) -> str:
    """Band or bars, line and markers of a series."""
    style, parts = series.style, []
    places = [(_x(x, point.x) + shift, _y(y, point.y)) for point in series.points]
    spans = [
        (across, _y(y, point.low), _y(y, point.high))
        for (across, _), point in zip(places, series.points, strict=True)
        if point.low is not None and point.high is not None
    ]
    if series.spans == "band" and spans:
        edge = [(a, low) for a, low, _ in spans] + [(a, high) for a, _, high in reversed(spans)]
        parts.append(f'<path class="band" fill="{style.colour}" d="{_path(edge)}z"/>')
    if series.spans == "bars":
        bars = "".join(
            f"M{_number(a)} {_number(low)}V{_number(high)}M{_number(a - 3)} {_number(low)}h6"
            f"M{_number(a - 3)} {_number(high)}h6"
            for a, low, high in spans
        )
        parts.append(f'<path class="bar" stroke="{style.colour}" d="{bars}"/>')
    if series.joined and len(places) > 1:
        parts.append(_line(_path(places), style))
    faint = ' class="faint"' if not series.joined and not spans else ""
    every = max(1, len(places) // MOST_MARKERS) if series.joined else 1
    markers = "".join(_marker(style, *place) for place in places[::every])
    return "".join(parts) + f"<g{faint}>{markers}</g>"


def _line(path: str, style: Style) -> str:
    dashes = f' stroke-dasharray="{style.dashes}"' if style.dashes else ""
    return f'<path class="line" stroke="{style.colour}"{dashes} d="{path}"/>'


def _marker(style: Style, across: float, height: float) -> str:
    return (
        f'<path class="marker" fill="{style.colour}" d="{MARKERS[style.marker]}" '
        f'transform="translate({_number(across)} {_number(height)})"/>'
    )


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{_number(across)} {_number(height)}" for across, height in places)


def _x(axis: Axis, value: float) -> float:
    return LEFT + axis.share(value) * (RIGHT - LEFT)


def _y(axis: Axis, value: float) -> float:
    return BOTTOM - axis.share(value) * (BOTTOM - TOP)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * 0.999)


def _thousands(value: float, digits: int) -> str:
    whole = digits == 0 and abs(value) >= 10_000
    return f"{value / 1000:g}k" if whole else f"{value + 0.0:.{digits}f}"
