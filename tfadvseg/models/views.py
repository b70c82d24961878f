"""The student's harder view of unlabelled images: other intensities, and pieces of other images.

Every draw comes from a stateless generator, so that a step depends on its seed alone.
"""

from __future__ import annotations

import tensorflow as tf

CONTRAST, BRIGHTNESS = 0.5, 0.25  # largest change, of the intensity range [0, 1]
GAMMA = 0.7  # exponents of exp(-GAMMA) to exp(GAMMA)
NOISE = 0.1  # largest standard deviation
BLUR = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
SHARES = {"contrast": 0.8, "gamma": 0.5, "blur": 0.3, "noise": 0.5}  # of the images that they meet
BOX_AREA = (0.1, 0.5)  # of the image, as in CutMix for segmentation (French et al. 2020)
BOX_RATIO = 0.7  # sides of exp(-BOX_RATIO) to exp(BOX_RATIO) to one


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


def boxes(count: tf.Tensor, height: tf.Tensor, width: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """1 inside a random box, 0 outside: (count, height, width); every other image has none."""
    seeds = tf.unstack(tf.random.split(seed, 5))
    area = _uniform((count,), seeds[0], *BOX_AREA)
    ratio = tf.exp(_uniform((count,), seeds[1], -BOX_RATIO, BOX_RATIO))
    any_box = _uniform((count,), seeds[2], 0, 1) < 0.5
    inside = []
    for side, share, key in (
        (height, tf.sqrt(area * ratio), seeds[3]),
        (width, tf.sqrt(area / ratio), seeds[4]),
    ):
        share = tf.minimum(share, 1.0)
        start = _uniform((count,), key, 0, 1) * (1 - share)
        centres = (tf.range(side, dtype=tf.float32) + 0.5) / tf.cast(side, tf.float32)
        inside.append((centres >= start[:, None]) & (centres < (start + share)[:, None]))
    box = inside[0][:, :, None] & inside[1][:, None, :] & any_box[:, None, None]
    return tf.cast(box, tf.float32)


def pasted(values: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """Values (N, H, W, ...) with those of the next of the batch inside the box (N, H, W)."""
    box = tf.reshape(box, (*tf.unstack(tf.shape(box)), *(1,) * (len(values.shape) - 3)))
    return tf.where(box > 0, tf.roll(values, 1, axis=0), values)


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
