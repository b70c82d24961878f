import math
import xml.etree.ElementTree as ET

import pytest

from tfadvseg.report.charts import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Axis,
    Point,
    Series,
    Style,
    chart,
    legend,
    linear_axis,
    log_axis,
    place_axis,
)

UNIT = Axis("", 0, 1, ((0, "0"), (1, "1")))


def svg(text):
    return ET.fromstring(text).find("svg")


def paths(text, kind):
    return [path for path in svg(text).iter("path") if path.get("class") == kind]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.61, 0.84], ["0.60", "0.65", "0.70", "0.75", "0.80", "0.85"]),
        ([0, 800], ["0", "200", "400", "600", "800"]),
        ([-3.2, 4.9], ["-4", "-2", "0", "2", "4", "6"]),
        ([0, 40_000], ["0", "10k", "20k", "30k", "40k"]),
        ([7, 7], ["6.4", "6.6", "6.8", "7.0", "7.2", "7.4", "7.6"]),
        ([], ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
    ],
)
def test_ticks_are_round_and_hold_the_values(values, texts):
    axis = linear_axis("", values)
    assert [text for _, text in axis.ticks] == texts
    assert all(0 <= axis.share(value) <= 1 for value in values)


def test_logarithmic_axes():
    axis = log_axis("", [0.02, 5])
    assert [text for _, text in axis.ticks] == ["0.01", "0.1", "1", "10"]
    assert axis.share(0.1) == pytest.approx(1 / 3)
    places = place_axis("", [(2, "1/8"), (16, "1")], log=True)
    assert 0 < places.share(2) < places.share(16) < 1
    assert places.share(math.sqrt(32)) == pytest.approx(0.5)
    assert 0 < place_axis("", [(3, "1")], log=True).share(3) < 1


def test_points_lie_where_they_should():
    series = Series("a", Style("#000000"), (Point(0, 0), Point(1, 1)))
    text = chart("t", UNIT, UNIT, [series])
    assert paths(text, "line")[0].get("d") == f"M{LEFT} {BOTTOM}L{RIGHT} {TOP}"
    assert len(paths(text, "marker")) == 2


def test_intervals_are_bars_or_a_band():
    points = (Point(0, 0.5, 0.25, 0.75), Point(1, 0.5, 0.5, 1))
    band = chart("t", UNIT, UNIT, [Series("a", Style("#000000"), points)])
    assert paths(band, "band")[0].get("d") == (
        f"M{LEFT} 159.5L{RIGHT} 115L{RIGHT} {TOP}L{LEFT} 70.5z"
    )
    bars = chart("t", UNIT, UNIT, [Series("a", Style("#000000"), points, spans="bars")])
    assert "M46 159.5V70.5" in paths(bars, "bar")[0].get("d")
    assert not paths(bars, "band")


def test_bars_of_several_series_stand_beside_each_other():
    point = (Point(0.5, 0.5, 0.4, 0.6),)
    series = [Series(name, Style("#000000"), point, spans="bars") for name in "ab"]
    first, second = (
        path.get("transform") for path in paths(chart("t", UNIT, UNIT, series), "marker")
    )
    assert first != second


def test_bars_that_hide_no_other_stand_at_their_ticks():
    places = {"a": 0.0, "b": 1.0}
    series = [
        Series(name, Style("#000000"), (Point(x, 0, 0, 1),), spans="bars")
        for name, x in places.items()
    ]
    bars = paths(chart("t", UNIT, UNIT, series), "bar")
    assert [bar.get("d").split()[0] for bar in bars] == [f"M{LEFT}", f"M{RIGHT}"]


def test_long_lines_have_few_markers():
    points = tuple(Point(n / 200, 0.5) for n in range(200))
    text = chart("t", UNIT, UNIT, [Series("a", Style("#000000"), points)])
    assert 10 <= len(paths(text, "marker")) <= 15


def test_series_differ_without_colour_and_names_are_text():
    keys = legend([("a < b", Style("#000000", "square", "6 3")), ("c", Style("#000000"))])
    tree = ET.fromstring(keys)
    lines = [path for path in tree.iter("path") if path.get("class") == "line"]
    markers = [path for path in tree.iter("path") if path.get("class") == "marker"]
    assert [line.get("stroke-dasharray") for line in lines] == ["6 3", None]
    assert len({marker.get("d") for marker in markers}) == 2
    assert "a < b" in "".join(tree.itertext())


def test_axes_and_ticks_are_text_that_can_be_read():
    x = Axis("labels", 0, 1, ((0.5, "1/2\n7"),))
    text = chart("Dice & labels", x, linear_axis("Dice", [0, 1]), [])
    words = list(svg(text).itertext())
    assert {"labels", "Dice", "1/2", "7", "0.2"} <= set(words)
    assert ET.fromstring(text).find("figcaption").text == "Dice & labels"
    assert svg(text).get("aria-label") == "Dice & labels"
