import numpy as np
import tensorflow as tf

from tfadvseg import sampling


def test_sampling_takes_between_pixels_and_repeats_the_border():
    values = tf.constant([[[0.0, 1.0], [2.0, 5.0]]])
    points = tf.constant([[[[0.5, 0.5], [0.0, 0.25]], [[-3.0, 0.0], [9.0, 9.0]]]])
    linear = sampling.linear(values[..., tf.newaxis], points)[..., 0]
    np.testing.assert_allclose(linear, [[[2.0, 0.25], [0.0, 5.0]]])
    nearest = sampling.nearest(tf.cast(values, tf.int32), points + [0.1, 0.1])
    np.testing.assert_array_equal(nearest, [[[5, 0], [0, 5]]])


def test_what_is_sampled_on_the_grid_stays_as_it_is():
    images = tf.constant(np.random.default_rng(1).random((3, 7, 5, 2)), tf.float32)
    points = sampling.grid(tf.shape(images))
    assert points.shape == (3, 7, 5, 2)
    np.testing.assert_array_equal(sampling.linear(images, points), images)
    np.testing.assert_array_equal(sampling.nearest(images[..., 0], points), images[..., 0])


def test_moved_views_have_their_own_intensities():
    plain = tf.constant(np.arange(12.0).reshape(1, 3, 4, 1), tf.float32)
    points = sampling.grid(tf.shape(plain)) + [1.0, 0.0]  # a row up
    views = sampling.Views(plain, plain * 0, points)
    np.testing.assert_array_equal(views.moved[0, :2], plain[0, 1:])
