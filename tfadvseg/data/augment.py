"""Random changes of a batch of training images, the masks moved with them.

All geometry (flip, affine, elastic) is composed into one displacement field, so that images are
interpolated once and masks are taken from the nearest pixel once. Every draw comes from a
stateless generator: the same seed gives the same batch, whatever ran before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from tfadvseg import sampling

GEOMETRIC = ("flip", "affine", "elastic")  # those that leave the intensities
SHARE = 0.5  # of the images that each change but the flip meets: clean ones must be seen too
ROTATION_DEGREES = 30.0
SCALING = 0.3  # a side shows 1 - SCALING to 1 + SCALING times as much of the image
TRANSLATION = 0.1  # of the side
ELASTIC_GRID = 5  # control points a side
ELASTIC_SHIFT = 0.02  # standard deviation of a control point, of the side
GAMMA = 0.5  # exponents of exp(-GAMMA) to exp(GAMMA)
NOISE = 0.05  # largest standard deviation, of the intensity range [0, 1]


def move(
    images: tf.Tensor, masks: tf.Tensor | None, names: Sequence[str], seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Moves and bends a batch at random.

    Args:
        images: (N, H, W, K) float32 in [0, 1].
        masks: (N, H, W) integer class indices, or None.
        names: which changes to make: flip (left-right), affine, elastic. Others are left to
            `recolour`.
        seed: (2,) integers.

    Returns:
        Images in [0, 1] and masks, of the same shapes. Beyond the border the border repeats, in
        both.
    """
    if set(GEOMETRIC).isdisjoint(names):
        return images, masks
    points = sampling_points(tf.shape(images), names, seed)
    moved = sampling.linear(images, points)
    return moved, None if masks is None else sampling.nearest(masks, points)


def recolour(images: tf.Tensor, names: Sequence[str], seed: tf.Tensor) -> tf.Tensor:
    """Changes the intensities of a batch at random; every pixel stays where it is.

    Args:
        images: (N, H, W, K) float32 in [0, 1].
        names: which changes to make: gamma, noise. Others are left to `move`.
        seed: (2,) integers.

    Returns:
        Images in [0, 1], of the same shape.
    """
    seeds = tf.unstack(tf.random.split(seed, 4))
    shape = tf.shape(images)
    if "gamma" in names:
        exponents = _uniform((shape[0], 1, 1, 1), seeds[2], GAMMA)
        images = tf.pow(images, tf.exp(exponents * _met(shape[0], seeds[2], 4)))
    if "noise" in names:
        spread = tf.abs(_uniform((shape[0], 1, 1, 1), seeds[3], NOISE))
        noise = tf.random.stateless_normal(shape, tf.random.split(seeds[3], 2)[0]) * spread
        images = tf.clip_by_value(images + noise * _met(shape[0], seeds[3], 4), 0.0, 1.0)
    return images


def sampling_points(shape: tf.Tensor, names: Sequence[str], seed: tf.Tensor) -> tf.Tensor:
    """Where `move` takes each pixel of its result from: (N, H, W, 2) rows and columns.

    Args:
        shape: (4,), that of the images.
        names: as of `move`.
        seed: as of `move`.
    """
    affine_seed, elastic_seed = tf.unstack(tf.random.split(seed, 4))[:2]
    count, height, width = shape[0], shape[1], shape[2]
    size = tf.cast(tf.stack([height, width]), tf.float32)
    rows, columns = tf.meshgrid(
        tf.range(size[0]) - (size[0] - 1) / 2, tf.range(size[1]) - (size[1] - 1) / 2, indexing="ij"
    )
    grid = tf.stack([rows, columns], axis=-1)[tf.newaxis]
    matrices, shifts = _affine(count, names, affine_seed)
    points = tf.einsum("nij,nhwj->nhwi", matrices, tf.tile(grid, (count, 1, 1, 1)))
    points += shifts[:, tf.newaxis, tf.newaxis] * size + (size - 1) / 2
    if "elastic" in names:
        control = tf.random.stateless_normal((count, ELASTIC_GRID, ELASTIC_GRID, 2), elastic_seed)
        control *= ELASTIC_SHIFT * tf.reduce_min(size) * _met(count, elastic_seed, 4)
        points += tf.image.resize(control, (height, width), method="bicubic")
    return points


def _affine(count: tf.Tensor, names: Sequence[str], seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Matrices (N, 2, 2) and shifts (N, 2) as shares of the sides; about the image's centre."""
    draws = tf.unstack(tf.random.split(seed, 5))
    mirror = tf.ones((count,))
    if "flip" in names:
        mirror = tf.where(_uniform((count,), draws[0], 1.0) < 0, -1.0, 1.0)
    if "affine" not in names:
        zeros = tf.zeros((count,))
        scale, angle, shifts = tf.ones((count, 2)), zeros, tf.zeros((count, 2))
    else:
        met = _met(count, draws[4], 2)
        angle = _uniform((count,), draws[1], math.radians(ROTATION_DEGREES)) * met[:, 0]
        scale = 1 + _uniform((count, 2), draws[2], SCALING) * met
        shifts = _uniform((count, 2), draws[3], TRANSLATION) * met
    cos, sin = tf.cos(angle), tf.sin(angle)
    rows = tf.stack([cos * scale[:, 0], -sin * scale[:, 1] * mirror], axis=-1)
    columns = tf.stack([sin * scale[:, 0], cos * scale[:, 1] * mirror], axis=-1)
    return tf.stack([rows, columns], axis=1), shifts


def _met(count: tf.Tensor, seed: tf.Tensor, rank: int) -> tf.Tensor:
    """1 for the images that a change meets, 0 for the others: (N, 1, ...) of the given rank."""
    draws = tf.random.stateless_uniform((count,), tf.random.split(seed, 2)[1])
    return tf.reshape(tf.cast(draws < SHARE, tf.float32), (-1, *(1,) * (rank - 1)))


def _uniform(shape: tuple[tf.Tensor | int, ...], seed: tf.Tensor, limit: float) -> tf.Tensor:
    return tf.random.stateless_uniform(shape, seed, minval=-limit, maxval=limit)
