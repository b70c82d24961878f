"""Percentiles of each image, with NumPy's linear interpolation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

Ends: TypeAlias = tuple[tf.Tensor, tf.Tensor]

PERCENTILES = (0.5, 99.5)
_HALVINGS = 24  # what is left of the range is then as small as float32's own steps


def by_sorting(images: tf.Tensor) -> Ends:
    """The values at `PERCENTILES` of images (N, H, W, K), two times (N, 1, 1, 1)."""
    values = tf.sort(tf.reshape(images, [tf.shape(images)[0], -1]), axis=1)
    last = tf.cast(tf.shape(values)[1] - 1, tf.float32)

    def at(percentile: float) -> tf.Tensor:
        position = last * (percentile / 100)
        below = tf.floor(position)
        low = tf.gather(values, tf.cast(below, tf.int32), axis=1)
        high = tf.gather(values, tf.cast(tf.math.ceil(position), tf.int32), axis=1)
        return tf.reshape(low + (high - low) * (position - below), (-1, 1, 1, 1))

    return at(PERCENTILES[0]), at(PERCENTILES[1])


def by_bisection(images: tf.Tensor) -> Ends:
    """The same without sorting, as TensorRT sorts 3840 values at most.

    The range of the values is halved until it holds one of them, by counting those below. Whole
    numbers below 2^24 come out exactly; others as near as float32 tells them apart over the range
    of the image. On a CPU it takes some times as long as sorting.
    """
    values = tf.reshape(images, [tf.shape(images)[0], -1, 1])
    last = tf.cast(tf.shape(values)[1] - 1, tf.float32)
    position = last * (tf.constant(PERCENTILES, tf.float32) / 100)
    below = tf.floor(position)  # so many values are smaller than the one that is looked for

    def count(limit: tf.Tensor) -> tf.Tensor:
        reached = tf.cast(values <= limit, tf.float32)
        return tf.reduce_sum(reached, axis=1, keepdims=True)

    least = tf.reduce_min(values, axis=1, keepdims=True)
    most = tf.reduce_max(values, axis=1, keepdims=True)
    low, high = least + 0 * below, most + 0 * below
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        enough = count(middle) > below
        low, high = tf.where(enough, low, middle), tf.where(enough, middle, high)
    first = tf.reduce_max(tf.where(values <= high, values, least), axis=1, keepdims=True)
    larger = tf.reduce_min(tf.where(values > first, values, most), axis=1, keepdims=True)
    second = tf.where(count(first) > below + 1, first, larger)
    found = first + (second - first) * (position - below)
    return found[..., :1, tf.newaxis], found[..., 1:, tf.newaxis]


def of_each_channel(percentiles: Callable[[tf.Tensor], Ends], images: tf.Tensor) -> Ends:
    """The percentiles of every channel of images (N, H, W, K) by itself, two times (N, 1, 1, K)."""
    _, height, width, channels = tf.unstack(tf.shape(images))
    planes = tf.reshape(tf.transpose(images, [0, 3, 1, 2]), [-1, height, width, 1])
    low, high = (tf.reshape(ends, [-1, 1, 1, channels]) for ends in percentiles(planes))
    return low, high
