"""What a run of recipe strong trusted: charts of its `trust.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfadvseg.report import charts
from tfadvseg.report.charts import Axis, Point, Series, Style, chart, legend, linear_axis
from tfadvseg.report.page import group

# The colours of the classes in pictures, as far as they are dark enough for lines.
STYLES = (
    Style(charts.BLACK, "square"),
    Style(charts.ORANGE, "circle", "6 3"),
    Style(charts.SKY, "triangle", "2 2"),
    Style(charts.GREEN, "diamond", "8 2 2 2"),
    Style(charts.BLUE, "circle", "2 2"),
    Style(charts.VERMILLION, "square", "6 3"),
)
TARGET = Style(charts.PURPLE, "diamond", "2 4")
SHARE = Axis("", 0.0, 1.0, tuple((n / 5, f"{n / 5:.1f}") for n in range(6)))
NOTE = (
    "Kept: of the unlabelled pixels predicted as a class, the share whose pseudo-label is used, a "
    "mean over the steps since the validation before. The others are on the validation patients, "
    "before each round of training. Trusted: the same share there. Precision: how many of these "
    "are right; the thresholds were found on these patients too, S did not learn from them. The "
    "last chart shows how often pixels are right by the probability that is claimed for them; a "
    "class is trusted from where its curve reaches the target."
)


def trust_charts(record: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> str:
    """Kept and trusted share and precision of each class over the steps, and the latest curve.

    Args:
        record: the content of `trust.json`.
        history: the rows of `history.csv`.
    """
    rounds, target = record["rounds"], record["target"]
    names = list(rounds[-1]["classes"])
    steps = linear_axis("step", [0.0, *(float(one["step"]) for one in (*rounds, *history))], most=5)
    wanted = Series("target", TARGET, (Point(steps.low, target), Point(steps.high, target)))
    across = Series("target", TARGET, (Point(0, target), Point(1, target)))
    latest = [_curve(name, rounds[-1]["classes"][name], i) for i, name in enumerate(names)]
    drawn = [
        chart("Kept", steps, SHARE, _over_steps(history, names)),
        chart("Trusted", steps, SHARE, _over_rounds(rounds, names, "trusted")),
        chart("Precision", steps, SHARE, [wanted, *_over_rounds(rounds, names, "precision")]),
        chart(
            f"Right, from step {rounds[-1]['step']} on",
            Axis("claimed", SHARE.low, SHARE.high, SHARE.ticks),
            SHARE,
            [across, *(one for one in latest if one.points)],
        ),
    ]
    keys = [(name, _style(index)) for index, name in enumerate(names)]
    return legend([*keys, ("target", TARGET)]) + group(drawn, "charts")


def _over_steps(history: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[Series]:
    series = []
    for index, name in enumerate(names):
        column = f"kept {name}"
        points = tuple(Point(row["step"], row[column]) for row in history if column in row)
        series.append(Series(name, _style(index), points))
    return [one for one in series if one.points]


def _over_rounds(
    rounds: Sequence[Mapping[str, Any]], names: Sequence[str], figure: str
) -> list[Series]:
    series = []
    for index, name in enumerate(names):
        values = ((one["step"], one["classes"][name][figure]) for one in rounds)
        points = tuple(Point(step, value) for step, value in values if value is not None)
        series.append(Series(name, _style(index), points))
    return [one for one in series if one.points]


def _curve(name: str, found: Mapping[str, Any], index: int) -> Series:
    curve = found["curve"] or {"chance": [], "right": []}
    pairs = zip(curve["chance"], curve["right"], strict=True)
    return Series(name, _style(index), tuple(Point(x, y) for x, y in pairs))


def _style(index: int) -> Style:
    return STYLES[index % len(STYLES)]
