"""The harder view that FixMatch learns from."""

import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # `benchmarks` is no part of the package

from benchmarks.semi_supervised import intensities  # noqa: E402


@pytest.fixture
def images():
    return tf.constant(np.random.default_rng(1).random((64, 12, 10, 2)), tf.float32)


def test_harder_images_stay_images_and_follow_the_seed(images):
    harder = intensities.harder(images, tf.constant([1, 2]))
    assert harder.shape == images.shape and harder.dtype == images.dtype
    assert float(tf.reduce_min(harder)) >= 0 and float(tf.reduce_max(harder)) <= 1
    np.testing.assert_array_equal(harder, intensities.harder(images, tf.constant([1, 2])))
    other = intensities.harder(images, tf.constant([1, 3]))
    assert (harder.numpy() != other.numpy()).any(axis=(1, 2, 3)).mean() > 0.9


def test_most_images_are_changed_and_each_in_its_own_way(images):
    same = tf.repeat(images[:1], 64, axis=0)
    harder = intensities.harder(same, tf.constant([4, 2])).numpy()
    changed = np.abs(harder - same.numpy()).max(axis=(1, 2, 3)) > 1e-4
    assert 0.85 < changed.mean()
    assert len({image.tobytes() for image in harder}) > 55


def test_blur_keeps_a_flat_image_and_smooths_a_rough_one(images):
    flat = tf.fill((1, 8, 8, 1), 0.3)
    np.testing.assert_allclose(intensities._blurred(flat), flat, rtol=1e-5)
    assert tf.math.reduce_std(intensities._blurred(images)) < 0.5 * tf.math.reduce_std(images)
