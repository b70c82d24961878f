import numpy as np
import pytest

from tfadvseg.reliability import BINS, Reliability

NAMES = ("background", "vessel")


def test_the_error_by_hand():
    """Of ten pixels said 0.95, 8 are right; of four said 0.5, 3. One of the vessel: 1, wrong."""
    reliability = Reliability(NAMES)
    said = np.repeat([0.95, 0.5, 1.0], [10, 4, 1])
    right = np.repeat([True, False, True, False, False], [8, 2, 3, 1, 1])
    reliability.add(said, np.repeat([0, 1], [14, 1]), right)
    found = reliability.to_json()
    background, vessel = (found["per_class"][name] for name in NAMES)
    assert background["ece"] == pytest.approx((10 * 0.15 + 4 * 0.25) / 14)
    assert vessel["ece"] == 1 and found["foreground"] == vessel
    # 0.95 and 1 share the last bin: there 11 pixels, of which 8 are right, were said to be 10.5.
    assert found["all"]["ece"] == pytest.approx((2.5 + 1) / 15)
    assert found["all"]["pixels"] == [0] * 7 + [4] + [0] * 6 + [11]
    assert found["all"]["said"][7] == 0.5 and found["all"]["right"][7] == 0.75
    assert found["all"]["right"][0] is None and len(found["all"]["right"]) == BINS


def test_parts_add_up():
    random = np.random.default_rng(0)
    said, classes, right = random.random(99), random.integers(0, 2, 99), random.random(99) < 0.5
    whole, parts = Reliability(NAMES), Reliability(NAMES)
    whole.add(said, classes, right)
    for part in (slice(0, 40), slice(40, 99)):
        parts.add(said[part], classes[part], right[part])
    assert whole.to_json()["all"]["ece"] == pytest.approx(parts.to_json()["all"]["ece"])


def test_of_no_pixel_there_is_no_error():
    assert Reliability(NAMES).to_json()["foreground"]["ece"] is None
