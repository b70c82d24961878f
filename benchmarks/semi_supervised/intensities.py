"""A harder view of images: other contrast, brightness, gamma, sharpness and noise."""

from __future__ import annotations

import tensorflow as tf

CONTRAST, BRIGHTNESS = 0.5, 0.25  # largest change, of the intensity range [0, 1]
GAMMA = 0.7  # exponents of exp(-GAMMA) to exp(GAMMA)
NOISE = 0.1  # largest standard deviation
BLUR = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
SHARES = {"contrast": 0.8, "gamma": 0.5, "blur": 0.3, "noise": 0.5}  # of the images that they meet


def harder(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Changes contrast, brightness, gamma, sharpness and noise, each of some images.

    Args:
        images: (N, H, W, K) in [0, 1].
        seed: (2,) integers.

    Returns:
        The same shape and range.
    """
    count, seeds = tf.shape(images)[0], tf.unstack(tf.random.split(seed, 10))
    each = (count, 1, 1, 1)
    met = {
        name: tf.cast(_uniform(each, key, 0, 1) < share, tf.float32)
        for key, (name, share) in zip(seeds, SHARES.items(), strict=False)
    }
    mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
    contrast = 1 + met["contrast"] * _uniform(each, seeds[4], -CONTRAST, CONTRAST)
    shift = met["contrast"] * _uniform(each, seeds[5], -BRIGHTNESS, BRIGHTNESS)
    images = tf.clip_by_value((images - mean) * contrast + mean + shift, 0.0, 1.0)
    images = tf.pow(images, tf.exp(met["gamma"] * _uniform(each, seeds[6], -GAMMA, GAMMA)))
    images += met["blur"] * (_blurred(images) - images)
    spread = met["noise"] * _uniform(each, seeds[7], 0, NOISE)
    noise = tf.random.stateless_normal(tf.shape(images), seeds[8])
    return tf.clip_by_value(images + spread * noise, 0.0, 1.0)


def _blurred(images: tf.Tensor) -> tf.Tensor:
    """A small Gaussian; the border is mirrored."""
    channels = images.shape[-1]
    line = tf.constant(BLUR, tf.float32)
    kernel = tf.tile((line[:, None] * line[None])[..., None, None], (1, 1, channels, 1))
    padded = tf.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="SYMMETRIC")
    return tf.nn.depthwise_conv2d(padded, kernel, (1, 1, 1, 1), "VALID")


def _uniform(
    shape: tuple[tf.Tensor | int, ...], seed: tf.Tensor, low: float, high: float
) -> tf.Tensor:
    return tf.random.stateless_uniform(shape, seed, low, high)
