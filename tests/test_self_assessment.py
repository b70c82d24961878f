"""Calibration and judgement of a predictor whose answers are right as often as they are told."""

import numpy as np
import pytest
from scipy.special import expit, logit

from tfadvseg.calibrating import calibrate
from tfadvseg.config import Config
from tfadvseg.data.folders.cases import Case
from tfadvseg.data.formats.raster import write_png
from tfadvseg.data.image import Source
from tfadvseg.evaluation import score_cases
from tfadvseg.inference.predictor import Prediction, SlicePredictor
from tfadvseg.report.confidence import confidence
from tfadvseg.report.results import read_result
from tfadvseg.reporting import self_assessment
from tfadvseg.self_assessment import quality

NAMES = ("background", "vessel")
SLOPE = 0.5  # S is surer than it should be: P(right) = sigmoid(SLOPE logit(p))
EDGE = 4  # columns that the networks do not see


class Sure(SlicePredictor):
    """The probability of the vessel is the picture, and background where it has its edges."""

    has_confidence = False

    def _compute(self, slices, spacing):
        vessel = slices[..., 0] / 255
        vessel[..., :EDGE] = 0
        probabilities = np.stack([1 - vessel, vessel], axis=-1)
        return Prediction((vessel > 0.5).astype(np.uint8), probabilities, None)


@pytest.fixture(scope="module")
def predictor():
    return Sure(Config(classes=NAMES, ignore_label=255, channels=1))


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Twelve patients. Their pictures are of different difficulty; a tenth has the ignore label."""
    folder, random, found = tmp_path_factory.mktemp("cases"), np.random.default_rng(2), []
    for number in range(12):
        sure = random.uniform(1, 5)
        said = expit(random.choice([-1, 1], (96, 96)) * random.uniform(0.2, sure, (96, 96)))
        pixels = np.clip(np.rint(said * 255), 1, 254).astype(np.uint8)
        mask = (random.random((96, 96)) < expit(SLOPE * logit(pixels / 255))).astype(np.uint8)
        mask[:, :EDGE] = random.random((96, EDGE)) < 0.25
        mask[:9] = 255
        paths = [folder / f"{number}_{part}.png" for part in ("image", "mask")]
        write_png(paths[0], pixels)
        write_png(paths[1], mask)
        found.append(Case(f"c{number}", Source((paths[0],)), paths[1], f"p{number}"))
    return found


@pytest.fixture(scope="module")
def calibration(predictor, cases):
    return calibrate(predictor, cases)


def test_how_often_it_is_right_is_found(calibration):
    np.testing.assert_allclose(calibration.coefficients, [[0, SLOPE, 0]] * 2, atol=0.05)
    assert calibration.unseen[0] == pytest.approx(0.75, abs=0.03)


def test_every_patient_is_judged_by_the_others(predictor, calibration, cases):
    assert set(calibration.without) == {case.patient for case in cases}
    assert len({id(fold) for fold in calibration.without.values()}) == 5
    fold = calibration.fair_to("p0")
    alone = calibrate(predictor, [c for c in cases if c.patient not in ("p0", "p5", "p10")])
    np.testing.assert_allclose(fold.coefficients, alone.coefficients, atol=0.02)
    np.testing.assert_allclose(fold.unseen, alone.unseen)


def test_of_a_single_patient_nothing_is_known_that_could_judge_him(predictor, cases):
    fold = calibrate(predictor, cases[:1]).fair_to("p0")
    np.testing.assert_array_equal(fold.coefficients, [[0, 1, 0]] * 2)
    np.testing.assert_array_equal(fold.unseen, [1, 0])


def test_what_was_found_on_a_single_patient_is_not_judged_on_him(predictor, cases):
    alone = calibrate(predictor, cases[:1])
    result = score_cases(predictor, cases[:1], "val", calibration=alone)
    assert result["calibration"]["after"] is None
    assert "not known when calibrated (it takes two validation patients)" in self_assessment(result)
    page = confidence(read_result(result))
    assert "there is one validation patient" in page and "calibrated: ECE" not in page
    assert "segmenter&#x27;s probability: ECE" in page
    others = score_cases(predictor, cases[1:], "test", calibration=alone)
    assert others["calibration"]["after"]["foreground"]["ece"] is not None
    assert "one validation patient" not in confidence(read_result(others))


def test_the_error_falls_and_the_dice_is_foretold(predictor, calibration, cases):
    result = score_cases(predictor, cases, "val", calibration=calibration)
    before, after = result["calibration"]["before"], result["calibration"]["after"]
    for name in ("foreground", "all"):
        assert before[name]["ece"] > 0.1 and after[name]["ece"] < 0.015
    assert sum(after["all"]["pixels"]) == 12 * (96 - 9) * 96  # those that have a label
    known = result["quality"]
    assert known["cases"] == 12 and known["pearson"] > 0.95 and known["spearman"] > 0.9
    assert known["mean_absolute_error"] < 0.02
    plain = score_cases(predictor, cases, "val")
    assert result["pooled"] == plain["pooled"] and "quality" not in plain
    assert "predicted_dice" not in plain["per_case"][0]


def test_a_class_that_is_whispered_everywhere_is_not_expected(predictor, tmp_path):
    """Where there is no vessel, S says 3 % of it at every pixel: that adds up to 265 pixels."""
    found = []
    for number in range(12):
        there = number % 2
        pixels, mask = np.full((96, 96), 8, np.uint8), np.zeros((96, 96), np.uint8)
        pixels[40 : 40 + 30 * there, 40:80] = 240
        mask[40 : 40 + 30 * there, 40:80] = 1
        paths = [tmp_path / f"{number}_{part}.png" for part in ("image", "mask")]
        write_png(paths[0], pixels)
        write_png(paths[1], mask)
        found.append(Case(f"c{number}", Source((paths[0],)), paths[1], f"p{number}"))
    rows = score_cases(predictor, found, "val", calibration=calibrate(predictor, found))["per_case"]
    told = [row["predicted_dice"]["foreground"] for row in rows]
    assert told[::2] == [None] * 6 and min(told[1::2]) > 0.8


def test_correlations_by_hand():
    def case(predicted, true):
        scores = {"background": {"dice": 0.9}, "vessel": {"dice": true}}
        return {"predicted_dice": {"foreground": predicted}, "per_class": scores}

    rows = [case(0.1, 0.2), case(0.2, 0.4), case(0.3, 0.9), case(None, 0.5), case(0.4, None)]
    found = quality(rows, NAMES)
    assert found["cases"] == 3 and found["spearman"] == pytest.approx(1)
    assert found["pearson"] == pytest.approx(np.corrcoef([0.1, 0.2, 0.3], [0.2, 0.4, 0.9])[0, 1])
    assert found["mean_absolute_error"] == pytest.approx((0.1 + 0.2 + 0.6) / 3)
    assert quality(rows[:2], NAMES)["pearson"] is None
    constant = quality([case(0.5, true) for true in (0.1, 0.2, 0.3)], NAMES)
    assert constant["pearson"] is None and constant["mean_absolute_error"] == pytest.approx(0.3)
    assert quality([], NAMES)["mean_absolute_error"] is None
