"""Percentiles without sorting against NumPy's."""

import numpy as np
import pytest
import tensorflow as tf

from tfadvseg.data.percentiles import PERCENTILES, by_bisection, by_sorting, of_each_channel

RNG = np.random.default_rng(3)
IMAGES = {
    "8 bits": RNG.integers(0, 256, (3, 41, 37, 1)),
    "16 bits": RNG.integers(-32768, 65536, (2, 64, 64, 1)),
    "colour": RNG.integers(0, 256, (2, 20, 20, 3)),
    "mostly background": RNG.integers(0, 3000, (2, 50, 50, 1))
    * (RNG.random((2, 50, 50, 1)) < 0.02),
    "floats": RNG.normal(-500, 200, (2, 64, 48, 1)),
    "a few extremes": RNG.standard_cauchy((2, 64, 48, 1)),
    "constant": np.full((2, 9, 9, 1), -7.5),
    "one pixel": np.array([[[[3.0]]], [[[-4.0]]]]),
    "two pixels": np.array([[[[3.0], [-1.0]]]]),
}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("percentiles", [by_sorting, by_bisection])
def test_each_image_has_numpys_percentiles(percentiles, name):
    images = IMAGES[name].astype(np.float32)
    found = percentiles(tf.constant(images))
    expected = np.percentile(images.astype(np.float64), PERCENTILES, axis=(1, 2, 3))
    spread = np.ptp(images)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == (len(images), 1, 1, 1)
        np.testing.assert_allclose(np.ravel(one), other, rtol=1e-5, atol=1e-6 * spread)


@pytest.mark.parametrize("percentiles", [by_sorting, by_bisection])
def test_each_channel_has_its_own(percentiles):
    images = IMAGES["colour"][:, :13] * np.array([1.0, 50.0, -0.01])
    found = of_each_channel(percentiles, tf.constant(images, tf.float32))
    expected = np.percentile(images, PERCENTILES, axis=(1, 2))
    for one, other in zip(found, expected, strict=True):
        assert one.shape == (2, 1, 1, 3)
        np.testing.assert_allclose(one[:, 0, 0], other, rtol=1e-4, atol=1e-6)


def test_whole_numbers_come_out_as_sorting_finds_them():
    images = tf.constant(IMAGES["16 bits"], tf.float32)
    for one, other in zip(by_bisection(images), by_sorting(images), strict=True):
        np.testing.assert_array_equal(one, other)
