"""Values of images and masks at positions between their pixels."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class Views(NamedTuple):
    """Unlabelled images as a teacher and its student see them.

    Attributes:
        plain: (M, H, W, K), as they are.
        changed: (M, H, W, K), moved, bent and with other intensities.
        points: (M, H, W, 2) row and column in `plain` of each pixel of `changed`.
    """

    plain: tf.Tensor
    changed: tf.Tensor
    points: tf.Tensor

    @property
    def moved(self) -> tf.Tensor:
        """(M, H, W, K), moved and bent with their own intensities."""
        return linear(self.plain, self.points)


def linear(images: tf.Tensor, points: tf.Tensor) -> tf.Tensor:
    """Images (N, H, W, K) at fractional pixel positions (N, H, W, 2), bilinear."""
    below = tf.floor(points)
    weight = points - below
    top, left = tf.unstack(tf.cast(below, tf.int32), axis=-1)
    down, right = weight[..., :1], weight[..., 1:]
    upper = _take(images, top, left) * (1 - right) + _take(images, top, left + 1) * right
    lower = _take(images, top + 1, left) * (1 - right) + _take(images, top + 1, left + 1) * right
    return upper * (1 - down) + lower * down


def nearest(masks: tf.Tensor, points: tf.Tensor) -> tf.Tensor:
    """Masks (N, H, W) at fractional pixel positions (N, H, W, 2), nearest pixel."""
    rows, columns = tf.unstack(tf.cast(tf.round(points), tf.int32), axis=-1)
    return _take(masks, rows, columns)


def grid(shape: tf.Tensor) -> tf.Tensor:
    """The positions of the pixels themselves, (N, H, W, 2) float32, for a shape of (N, H, W, ...).

    What is sampled there stays as it is.
    """
    rows, columns = (tf.range(shape[axis], dtype=tf.float32) for axis in (1, 2))
    positions = tf.stack(tf.meshgrid(rows, columns, indexing="ij"), axis=-1)
    return tf.tile(positions[tf.newaxis], (shape[0], 1, 1, 1))


def _take(values: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Values (N, H, W, ...) at whole pixel positions, those beyond the border moved to it."""
    height, width = tf.shape(values)[1], tf.shape(values)[2]
    rows = tf.clip_by_value(rows, 0, height - 1)
    columns = tf.clip_by_value(columns, 0, width - 1)
    flat = tf.reshape(values, tf.concat([tf.shape(values)[:1], [-1], tf.shape(values)[3:]], 0))
    return tf.gather(flat, rows * width + columns, batch_dims=1)
