"""CutMix for segmentation (French et al. 2020): pieces of one image in another.

Every draw comes from a stateless generator, so that a step depends on its seed alone.
"""

from __future__ import annotations

import tensorflow as tf

BOX_AREA = (0.1, 0.5)  # of the image, as in CutMix for segmentation (French et al. 2020)
BOX_RATIO = 0.7  # sides of exp(-BOX_RATIO) to exp(BOX_RATIO) to one


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


def _uniform(
    shape: tuple[tf.Tensor | int, ...], seed: tf.Tensor, low: float, high: float
) -> tf.Tensor:
    return tf.random.stateless_uniform(shape, seed, low, high)
