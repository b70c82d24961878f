import numpy as np
import pytest
from scipy.special import expit

from tfadvseg import calibration
from tfadvseg.calibration import Judged, Sampler

TRUE = np.array([[0.0, 0.5, 0.3], [-1.0, 0.8, 0.0], [1.0, 0.2, 1.0]])


@pytest.fixture(scope="module")
def pixels():
    """Pixels that are right as often as `TRUE` says."""
    rng = np.random.default_rng(5)
    classes = rng.integers(0, 3, 90_000)
    evidence = np.stack([np.ones(90_000), rng.normal(3, 2, 90_000), rng.normal(0, 2, 90_000)], -1)
    chances = expit(np.sum(TRUE[classes] * evidence, -1))
    return Judged(classes, evidence, rng.random(90_000) < chances)


def test_the_truth_is_found(pixels):
    np.testing.assert_allclose(calibration.fit(pixels, 3), TRUE, atol=0.1)


def test_a_class_that_was_never_predicted_keeps_the_probability_of_s(pixels):
    coefficients = calibration.fit(pixels, 4)
    np.testing.assert_array_equal(coefficients[3], [0, 1, 0])
    said = Judged(np.array([3]), np.array([[1.0, calibration.logit(np.array(0.7)), 0]]), np.ones(1))
    assert calibration.probability_right(coefficients, said) == pytest.approx([0.7])


def test_presence_is_found_from_what_is_expected():
    rng, true = np.random.default_rng(3), np.array([[0.0, 1.0], [-4.0, 1.5]])
    expected = np.exp(rng.uniform(-3, 8, (20_000, 2)))
    present = rng.random(expected.shape) < expit(true[:, 0] + true[:, 1] * np.log(expected))
    found = calibration.fit_presence(expected, present)
    np.testing.assert_allclose(found, true, atol=0.15)
    chances = calibration.chance_present(np.array([[0.0, 1.0]] * 3), np.array([0.0, 1.0, 3.0]))
    np.testing.assert_allclose(chances, [0, 0.5, 0.75], atol=1e-2)
    none = np.zeros((0, 2))
    np.testing.assert_array_equal(calibration.fit_presence(none, none), [[0, 1]] * 2)


def test_few_pixels_move_little():
    """Three wrong pixels of which S was sure are no proof that it always errs."""
    sure = Judged(np.zeros(3, int), np.array([[1.0, 2.0, 0.0]] * 3), np.zeros(3, bool))
    coefficients = calibration.fit(sure, 1)
    assert 0.05 < calibration.probability_right(coefficients, sure)[0] < expit(2.0)


def test_chances_are_as_often_right_as_they_say(pixels):
    chances = calibration.probability_right(calibration.fit(pixels, 3), pixels)
    for low in (0.2, 0.5, 0.8):
        some = (chances >= low) & (chances < low + 0.1)
        assert pixels.right[some].mean() == pytest.approx(chances[some].mean(), abs=0.02)


def test_what_is_judged():
    probabilities = np.array([[[[0.9, 0.1], [0.3, 0.7]], [[0.2, 0.8], [0.6, 0.4]]]])
    masks = np.array([[[0, 0], [255, 1]]])
    confidence = np.array([[[0.5, 0.25], [0.1, 0.75]]])
    found = calibration.judged(probabilities, confidence, masks, 255)
    np.testing.assert_array_equal(found.classes, [0, 1, 0])
    np.testing.assert_array_equal(found.right, [True, False, False])
    expected = [[1, np.log(9), 0], [1, np.log(7 / 3), -np.log(3)], [1, np.log(1.5), np.log(3)]]
    np.testing.assert_allclose(found.evidence, expected)
    alone = calibration.judged(probabilities, None, masks, 255)
    np.testing.assert_array_equal(alone.evidence[:, 2], 0)


def test_the_threshold_asks_the_pixels_near_it():
    """Nine in ten are right above 0.5, half of them just above it: that is not enough."""
    chances = np.repeat([0.1, 0.55, 0.95], [100, 100, 800])
    right = np.zeros(1000, bool)
    right[100:150] = right[200:] = True
    assert right[chances > 0.5].mean() > 0.9
    mixed = np.random.default_rng(0).permutation(1000)
    found = calibration.curve(chances, right)
    np.testing.assert_array_equal(found.chances, [0.1, 0.55, 0.95])
    np.testing.assert_array_equal(found.right, [0, 0.5, 1])
    np.testing.assert_array_equal(found.counts, [100, 100, 800])
    assert calibration.threshold(found, 0.8) == 0.95
    assert calibration.threshold(calibration.curve(chances[mixed], right[mixed]), 0.8) == 0.95
    assert calibration.threshold(found, 0.4) == 0.55
    single = calibration.curve(np.arange(1000) / 1000, right)
    np.testing.assert_allclose(single.counts, 50, atol=1)
    assert calibration.threshold(calibration.curve(chances, ~right), 0.99) == np.inf


def test_a_sample_is_uniform_however_the_pixels_come(monkeypatch):
    """Of a class, 40 of 400 pixels stay, as many of the first part as of the others."""
    monkeypatch.setattr(calibration, "PIXELS", 40)
    sampler = Sampler(3, seed=1)
    for group in range(4):
        classes = np.repeat([0, 1], [100, 5])
        known = np.full((105, 3), float(group))
        sampler.add(Judged(classes, known, np.full(105, group < 2)), group)
    found = sampler.sample()
    np.testing.assert_array_equal(np.bincount(found.classes, minlength=3), [40, 20, 0])
    background = found.classes == 0
    assert np.bincount(found.evidence[background, 0].astype(int), minlength=4).min() >= 5
    np.testing.assert_array_equal(found.right, found.evidence[:, 0] < 2)
    left = sampler.sample(without=(0, 3))
    assert set(left.evidence[:, 0]) == {1, 2}
    assert len(sampler.sample(without=range(4)).right) == 0
