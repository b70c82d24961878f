import json

import keras
import numpy as np
import pytest

from tfadvseg import calibration
from tfadvseg.calibration import Judged, logit
from tfadvseg.data.pipeline import Pool
from tfadvseg.models import Discriminator, TeacherSegmenter, UNet
from tfadvseg.training.pseudo_labels import TARGET, Examiner, find_trust, quotas


def said(*classes):
    """Pixels of classes: the chances that S gives them, and how often these are right."""
    rng, parts = np.random.default_rng(3), []
    for index, (chances, shares) in enumerate(classes):
        for chance, share in zip(chances, shares, strict=True):
            right = rng.permutation(1000) < share * 1000
            evidence = np.array([[1.0, logit(np.array(chance)), 0.0]] * 1000)
            parts.append(Judged(np.full(1000, index), evidence, right))
    return Judged(*(np.concatenate([getattr(p, n) for p in parts]) for n in vars(parts[0])))


def everywhere(classes):
    """All classes are in the labels."""
    return np.full(classes, True)


def test_each_class_has_its_own_threshold_and_reaches_the_target():
    trust = find_trust(said(((0.9, 0.99), (0.95, 0.99)), ((0.9, 0.99), (0.6, 0.9))), everywhere(2))
    np.testing.assert_allclose(trust.shares, [1, 0.5])
    assert trust.precisions[1] == pytest.approx(0.9) and trust.precisions[0] > 0.95
    assert trust.precisions.min() >= TARGET


def test_what_never_reaches_the_target_is_not_trusted():
    trust = find_trust(said(((0.9, 0.99), (0.95, 0.99)), ((0.9, 0.99), (0.3, 0.5))), everywhere(3))
    assert trust.thresholds[1] == np.inf and trust.shares[1] == 0
    assert trust.thresholds[2] == np.inf and np.isnan(trust.precisions[2])  # was never predicted
    assert trust.to_row(("a", "b", "c")).keys() == {
        *("trusted a", "trusted b", "trusted c", "precision a")
    }


def test_the_record_of_the_curve():
    trust = find_trust(said(((0.9, 0.99), (0.95, 0.99)), ((0.9, 0.99), (0.3, 0.9))), everywhere(3))
    record = json.loads(json.dumps(trust.to_json(("a", "b", "c")), allow_nan=False))
    assert record["b"]["threshold"] == pytest.approx(trust.thresholds[1], rel=1e-4)
    assert record["b"]["trusted"] == 0.5 and record["b"]["precision"] == 0.9
    assert record["b"]["curve"]["right"] == [0.3, 0.9]
    assert record["b"]["curve"]["chance"][1] == record["b"]["threshold"]
    assert record["c"]["curve"] is record["c"]["threshold"] is None  # was never predicted


def test_background_counts_no_more_than_foreground():
    shares, all_three = np.array([0.9, 0.1, 0.3]), everywhere(3)
    np.testing.assert_allclose(quotas(shares, all_three), [0.2 / 0.9, 1, 0.2 / 0.3])
    np.testing.assert_array_equal(quotas(np.array([0.9, 0.0, 0.0]), all_three), [0, 0, 0])
    np.testing.assert_array_equal(quotas(np.array([0.1, 0.5, 0.5]), all_three), [1, 1, 1])


def test_a_class_that_no_label_has_does_not_lower_the_weight_of_the_others():
    shares, present = np.array([0.9, 0.6, 0.0]), np.array([True, True, False])
    np.testing.assert_allclose(quotas(shares, present), [0.6 / 0.9, 1, 1])
    np.testing.assert_array_equal(quotas(shares, np.array([True, False, False])), [0, 0, 0])


def test_one_lucky_pixel_is_no_evidence():
    """Half of the pixels are right, whatever is claimed of them; 60 % of a few ones."""
    rng = np.random.default_rng(0)
    for count, share in ((20_000, 0.5), (60, 0.6)):
        for _ in range(20):
            evidence = np.stack([np.ones(count), rng.normal(2, 1, count), np.zeros(count)], -1)
            pixels = Judged(np.ones(count, int), evidence, rng.permutation(count) < share * count)
            assert find_trust(pixels, everywhere(2)).thresholds[1] == np.inf


def test_the_model_is_told():
    keras.utils.set_random_seed(2)
    model = TeacherSegmenter(UNet(3, 1, 4, 2, "instance"), Discriminator(3, (4, 8)))
    rng = np.random.default_rng(0)
    images = rng.random((5, 16, 16, 1)).astype(np.float32)
    masks = rng.integers(0, 3, (5, 16, 16)).astype(np.uint8)
    assert np.isinf(model.thresholds).all()
    trust = Examiner(model, Pool(images, masks), 255).renew()
    np.testing.assert_allclose(model.coefficients, trust.coefficients, rtol=1e-6)
    np.testing.assert_allclose(model.thresholds, trust.thresholds, rtol=1e-6)
    np.testing.assert_allclose(model.class_weights, trust.class_weights, rtol=1e-6)


def test_a_sample_of_each_class_is_kept_however_many_slices(monkeypatch):
    monkeypatch.setattr(calibration, "PIXELS", 70)
    model = TeacherSegmenter(UNet(3, 1, 4, 2, "instance"), Discriminator(3, (4, 8)))
    rng = np.random.default_rng(0)
    images = rng.random((9, 16, 16, 1)).astype(np.float32)
    masks = np.full((9, 16, 16), 255, np.uint8)
    masks[4:] = 1
    examiner = Examiner(model, Pool(images, masks), 255)
    pixels, again = examiner.judge(), examiner.judge()
    predicted = model.averaged(images[4:], training=False).numpy().argmax(axis=-1)
    expected = np.minimum(np.bincount(predicted.ravel(), minlength=3), 70)
    np.testing.assert_array_equal(np.bincount(pixels.classes, minlength=3), expected)
    np.testing.assert_array_equal(pixels.right, pixels.classes == 1)
    np.testing.assert_array_equal(pixels.evidence, again.evidence)
    np.testing.assert_array_equal(examiner.present, [False, True, False])
