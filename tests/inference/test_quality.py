import json

import numpy as np
import pytest
from scipy.special import expit

from tfadvseg.errors import InputError
from tfadvseg.inference.predictor import Prediction
from tfadvseg.inference.quality import Calibration, CaseQuality

NAMES = ("background", "vessel", "airway")
IDENTITY = Calibration(np.tile([0.0, 1.0, 0.0], (3, 1)), np.array([0.8, 0.15, 0.05]))


def say(*pixels, confidence=None):
    """A prediction of one row from the probabilities of its pixels."""
    probabilities = np.array([[pixels]], np.float32)
    said = None if confidence is None else np.array([[confidence]], np.float32)
    return Prediction(probabilities.argmax(axis=-1).astype(np.uint8), probabilities, said)


def test_the_chance_by_hand():
    calibration = Calibration(np.array([[0, 1, 0], [1, 0.5, 2], [0, 0, 0.0]]), np.ones(3))
    seen = say((0.7, 0.2, 0.1), (0.1, 0.8, 0.1), (0.2, 0.2, 0.6), confidence=[0.9, 0.75, 0.5])
    vessel = expit(1 + 0.5 * np.log(0.8 / 0.2) + 2 * np.log(3))
    found = calibration.chance_right(seen)
    np.testing.assert_allclose(found, [[[0.7, vessel, 0.5]]], rtol=1e-5)
    assert found.dtype == np.float32


def test_what_the_networks_did_not_see_has_its_own_chance():
    seen = say((1, 0, 0), (0.9, 0.1, 0), (1, 0, 0))
    np.testing.assert_allclose(IDENTITY.chance_right(seen), [[[0.8, 0.9, 0.8]]], rtol=1e-5)


def test_evidence_that_is_missing_is_refused():
    calibration = Calibration(np.tile([0.0, 1.0, 0.5], (3, 1)), np.ones(3))
    assert calibration.needs_confidence and not IDENTITY.needs_confidence
    with pytest.raises(InputError, match="answers without; export it with --confidence"):
        calibration.chance_right(say((0.7, 0.2, 0.1)))


def test_the_dice_to_expect_by_hand():
    """S is half as sure as it says of the vessel: where it is wrong, the others share the rest."""
    calibration = Calibration(np.array([[0, 1, 0], [0, 0, 0], [0, 1, 0.0]]), IDENTITY.unseen)
    quality = CaseQuality(calibration)
    quality.add(say((0.1, 0.8, 0.1), (0.2, 0.6, 0.2)))
    quality.add(say((0.7, 0.2, 0.1), (1, 0, 0)))
    # vessel: predicted 2, right 0.5 + 0.5, true 0.5 + 0.5 + 0.2 + 0.15 (outside the window)
    told = quality.dice(NAMES)
    assert told["per_class"]["vessel"] == pytest.approx(2 * 1 / (2 + 1.35))
    # airway: never predicted; of the 0.25 + 0.25 + 0.1 + 0.05 pixels expected it has P(present)
    assert told["per_class"]["airway"] is None
    present = 0.65 / 1.65
    assert told["foreground"] == pytest.approx(told["per_class"]["vessel"] / (1 + present))
    assert quality.confidence() == pytest.approx((0.5 + 0.5 + 0.7 + 0.8) / 4)


def test_a_class_that_is_expected_but_was_not_predicted():
    quality = CaseQuality(IDENTITY)
    quality.add(say(*[(0.6, 0.4, 0.0)] * 3))
    assert quality.dice(NAMES) == {"foreground": 0, "per_class": {"vessel": 0, "airway": None}}
    nothing = CaseQuality(IDENTITY)
    nothing.add(say(*[(0.9, 0.1, 0.0)] * 3))
    assert nothing.dice(NAMES)["foreground"] is None
    # Each of them present with the chance 1/3: they may well be absent together.
    unlikely = CaseQuality(IDENTITY)
    unlikely.add(say(*[(0.8, 0.1, 0.1)] * 5))
    assert unlikely.dice(NAMES)["foreground"] is None


def test_a_class_counts_as_much_as_it_is_likely_to_be_present():
    presence = np.array([[0, 0], [0, 0], [-1.0, 2.0]])  # of the airway
    quality = CaseQuality(Calibration(IDENTITY.coefficients, IDENTITY.unseen, presence))
    quality.add(say((0.1, 0.9, 0.0), *[(0.6, 0.0, 0.4)] * 5))
    present = expit(-1 + 2 * np.log(2.0))  # 5 * 0.4 pixels are to be expected
    assert present > 0.5
    told = quality.dice(NAMES)
    assert told["per_class"]["airway"] == 0
    vessel = 2 * 0.9 / (1 + 0.9)
    assert told["per_class"]["vessel"] == pytest.approx(vessel, rel=1e-5)
    assert told["foreground"] == pytest.approx(vessel / (1 + present), rel=1e-5)


def test_probabilities_that_rounding_made_negative():
    quality = CaseQuality(IDENTITY)
    quality.add(say((-6e-8, 1.0, 5e-8)))
    assert quality.dice(NAMES)["per_class"]["vessel"] == pytest.approx(1, abs=1e-4)


def test_what_is_written_is_read(tmp_path):
    (tmp_path / "config.yaml").write_text("recipe: paper\n")
    fold = Calibration(np.full((3, 3), 2.0), IDENTITY.unseen)
    presence, without = np.full((3, 2), 0.5), {"a": fold, "b": fold, "c": IDENTITY}
    Calibration(IDENTITY.coefficients, IDENTITY.unseen, presence, without).write(tmp_path)
    content = json.loads((tmp_path / "calibration.json").read_text())
    assert [part["patients"] for part in content["without"]] == [["a", "b"], ["c"]]
    found = Calibration.read(tmp_path)
    np.testing.assert_array_equal(found.coefficients, IDENTITY.coefficients)
    np.testing.assert_array_equal(found.presence, presence)
    assert found.fair_to("b").presence is None
    np.testing.assert_array_equal(found.fair_to("b").coefficients, fold.coefficients)
    assert found.fair_to("c") is not found and found.fair_to("d") is found
    assert "without" not in found.to_json()
    assert Calibration.find(tmp_path) and Calibration.find(tmp_path, "last") is None
