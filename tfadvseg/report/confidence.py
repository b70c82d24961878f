"""The charts on how well a model knows how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfadvseg.report import charts
from tfadvseg.report.charts import Axis, Point, Series, Style, chart, legend
from tfadvseg.report.page import group, paragraph
from tfadvseg.report.results import Result
from tfadvseg.report.table import Cell, Table, headings, number, to_html

SAID = {
    "before": ("segmenter's probability", Style(charts.ORANGE, "triangle", "2 2")),
    "after": ("calibrated", Style(charts.BLUE, "circle")),
}
IDEAL = Style(charts.BLACK, "none", "1 4")
CASE = Style(charts.GREEN, "diamond")
ALONE = (
    "Calibrated probabilities are not judged here: there is one validation patient, and they were "
    "found on him. With two or more, each is judged by what was found on the others."
)
TICKS = tuple((n / 5, f"{n / 5:.1f}") for n in range(6))
PIXELS = {"foreground": "Pixels predicted as foreground", "all": "All pixels"}
NOTE = (
    "Of the pixels that are said to be right with some probability, that share should be right: "
    "then the points lie on the dotted line. The expected calibration error (ECE) is the mean "
    "distance from it over the pixels. In the last chart, a point is a case. What is said of a "
    "patient was found without his masks."
)


def confidence(result: Result) -> str:
    """Reliability diagrams, and predicted against true Dice; nothing for files without them."""
    if result.calibration is None or result.quality is None:
        return ""
    figures = [*(_reliability(result.calibration, name) for name in PIXELS), _scatter(result)]
    alone = "" if result.calibration["after"] else paragraph(ALONE, "note")
    return group(figures, "charts") + paragraph(NOTE, "note") + alone + _errors(result)


def _reliability(calibration: Mapping[str, Any], pixels: str) -> str:
    """What was said of pixels, and how often it was right, bin by bin."""
    series, keys = [_ideal()], []
    for name, (text, style) in _said(calibration).items():
        found = calibration[name][pixels]
        bins = zip(found["said"], found["right"], strict=True)
        points = tuple(Point(said, right) for said, right in bins if said is not None)
        series.append(Series(text, style, points))
        keys.append((f"{text}: ECE {number(found['ece'])}", style))
    x, y = Axis("said to be right", 0, 1, TICKS), Axis("share that is right", 0, 1, TICKS)
    return group([chart(PIXELS[pixels], x, y, series), legend(keys)], "panel")


def _said(calibration: Mapping[str, Any]) -> dict[str, tuple[str, Style]]:
    """Name and style of each probability that could be judged."""
    return {name: one for name, one in SAID.items() if calibration[name]}


def _scatter(result: Result) -> str:
    """True over predicted Dice of every case."""
    pairs = [(result.predicted.get(case), dice) for case, (_, dice) in result.cases.items()]
    points = tuple(Point(x, y) for x, y in pairs if x is not None and y is not None)
    quality = result.quality or {}
    text = (
        f"{len(points)} cases: correlation {number(quality['pearson'], 2)} (Pearson), "
        f"{number(quality['spearman'], 2)} (Spearman); mean error "
        f"{number(quality['mean_absolute_error'])}."
    )
    series = [_ideal(), Series(text, CASE, points, joined=False)]
    x, y = Axis("predicted Dice", 0, 1, TICKS), Axis("true Dice", 0, 1, TICKS)
    return group([chart("Dice of each case", x, y, series), paragraph(text, "note")], "panel")


def _ideal() -> Series:
    return Series("ideal", IDEAL, (Point(0, 0), Point(1, 1)))


def _errors(result: Result) -> str:
    """The calibration error of every class."""
    calibration = result.calibration or {}
    said = _said(calibration)
    rows = {
        **{name: [calibration[one]["per_class"][name] for one in said] for name in result.classes},
        "(all foreground pixels)": [calibration[one]["foreground"] for one in said],
        "(all pixels)": [calibration[one]["all"] for one in said],
    }
    table = Table(
        "calibration",
        "Expected calibration error",
        headings("pixels predicted as", *(text for text, _ in said.values())),
        tuple(
            (Cell(name), *(Cell(number(one["ece"])) for one in found))
            for name, found in rows.items()
        ),
    )
    return to_html(table)
