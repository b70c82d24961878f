"""What happens to an image before the network and to its output after it.

One implementation, in TensorFlow operations with dynamic sizes, for training, prediction and
export. Geometry is two matrix products: a centred window of the image is sampled on the network's
grid, antialiased when it shrinks, and zero outside the image. That is one mechanism for cropping,
padding and resizing, it keeps the aspect ratio, and every exporter knows a matrix product.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfadvseg.config import DEFAULT_WINDOW, Config
from tfadvseg.data.percentiles import by_bisection, by_sorting, of_each_channel
from tfadvseg.windows import BY_CHANNEL, PER_IMAGE, Window, limits

# Slices are worked on in batches of so many pixels, so that memory does not grow with their number.
BATCH_PIXELS = 1 << 20
EDGE = 1e-3  # so near to the edge of a pixel, in pixels, a place lies on it


@dataclass(frozen=True)
class Preprocessing:
    """Maps slices to the network's grid and its output back to their own grid.

    Attributes:
        size: height and width of the network's grid, in pixels.
        crop: height and width of the centred window in source pixels; None for the smallest
            window of the grid's aspect ratio that holds the whole slice.
        window: intensities that become 0 and 1, see `windows.limits`.
        spacing_mm: height and width of the network's pixels in mm; None for no such wish. The
            centred window is then size times spacing, and `crop` does not count.
        bisects: find percentiles by bisection, for an engine that cannot sort.
    """

    size: tuple[int, int]
    crop: tuple[int, int] | None
    window: Window
    spacing_mm: tuple[float, float] | None = None
    bisects: bool = False

    @classmethod
    def from_config(cls, config: Config) -> Preprocessing:
        """Takes the settings of a run."""
        window = config.window or DEFAULT_WINDOW
        return cls(config.size(), config.crop_size(), window, config.pixel_size())

    def images(
        self, images: tf.Tensor, spacing: Any = (1.0, 1.0), given: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Normalises and samples slices.

        Args:
            images: (N, H, W, K) float32 stored values.
            spacing: (2,) height and width of their pixels in mm; counts with `spacing_mm` only.
            given: (N, 2) values that become 0 and 1, instead of what `window` says; it still
                decides where the two are equal.

        Returns:
            (N, size[0], size[1], K) float32 in [0, 1], 0 outside the slice.
        """
        axes = self._axes(tf.shape(images)[1:3], spacing)
        visible = _visible(images, axes, self.size)
        images = rescale(images, visible, self.window, given, bisects=self.bisects)
        rows, columns = (
            interpolation(tf.shape(images)[1 + i], self.size[i], *axes[i]) for i in (0, 1)
        )
        return _sample(images, rows, columns)

    def masks(self, masks: tf.Tensor, outside: int, spacing: Any = (1.0, 1.0)) -> tf.Tensor:
        """Samples masks (N, H, W), the nearest pixel, with the value `outside` off the slice.

        Where pixels are equally near, as at every centre if the grid halves the slice, they vote:
        to take the same side of each centre would move outlines. Ties go to the larger and to the
        smaller value in turn, as on a chessboard: to one of them alone, areas would grow or shrink.
        """
        shape, places, insides = tf.shape(masks)[1:3], [], []
        for i, (start, step) in enumerate(self._axes(shape, spacing)):
            centres = start + (tf.range(self.size[i], dtype=tf.float32) + 0.5) * step
            insides.append((centres >= 0) & (centres < tf.cast(shape[i], tf.float32)))
            places.append([_pixels(centres + move, shape[i]) for move in (-EDGE, EDGE)])
        rows, columns = places
        near = [
            tf.gather(tf.gather(masks, row, axis=1), column, axis=2)
            for row, column in itertools.product(rows, columns)
        ]
        inside = insides[0][:, tf.newaxis] & insides[1]
        return tf.where(inside, _majority(near), tf.cast(outside, masks.dtype))

    def restore(self, maps: tf.Tensor, shape: tf.Tensor, spacing: Any = (1.0, 1.0)) -> tf.Tensor:
        """Samples maps on the network's grid back on the grid of their slices.

        Args:
            maps: (N, size[0], size[1], C) float32.
            shape: (2,) int32, height and width of the slices.
            spacing: as in `images`.

        Returns:
            (N, H, W, C) float32, 0 outside the window that the network saw.
        """
        rows, columns = (
            interpolation(self.size[i], shape[i], -start / step, 1 / step)
            for i, (start, step) in enumerate(self._axes(shape, spacing))
        )
        return _sample(maps, rows, columns)

    def steps(self, shape: Any, spacing: Any = (1.0, 1.0)) -> tf.Tensor:
        """Height and width of the network's pixels, in those of slices of a shape (2,)."""
        grid = tf.constant(self.size, tf.float32)
        if self.spacing_mm is not None:
            return tf.constant(self.spacing_mm, tf.float32) / tf.cast(spacing, tf.float32)
        if self.crop is not None:
            return tf.constant(self.crop, tf.float32) / grid
        return tf.fill([2], tf.reduce_max(tf.cast(shape, tf.float32) / grid))

    def _axes(self, shape: tf.Tensor, spacing: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """Where the window starts and the step of its grid, in source pixels, for both axes."""
        step = self.steps(shape, spacing)
        start = (tf.cast(shape, tf.float32) - step * tf.constant(self.size, tf.float32)) / 2
        if self.crop is not None:  # whole pixels, so that a crop without resizing is exact
            start = tf.floor(start)
        return (start[0], step[0]), (start[1], step[1])


def batches(slices: np.ndarray, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Slices (S, H, W, K) some at a time, as views; fewer, the larger they or the grid are."""
    height, width = slices.shape[1:3]
    step = max(1, BATCH_PIXELS // max(height * width, size[0] * size[1]))
    for start in range(0, len(slices), step):
        yield slices[start : start + step]


def rescale(
    images: tf.Tensor,
    visible: tf.Tensor,
    window: Window,
    given: tf.Tensor | None = None,
    *,
    bisects: bool = False,
) -> tf.Tensor:
    """Maps stored values to [0, 1]; what lies beyond the window's values is clipped.

    Args:
        images: (N, H, W, K) float32.
        visible: the part of them that the network sees; each sets its own percentiles.
        window: see `windows.limits`.
        given: (N, 2) the two values for each image, where they differ.
        bisects: find percentiles by bisection instead of sorting.
    """
    rule, percentiles = limits(window), by_bisection if bisects else by_sorting
    if rule in PER_IMAGE:
        axes = (1, 2) if rule == BY_CHANNEL else (1, 2, 3)
        low, high = (find(visible, axes, keepdims=True) for find in (tf.reduce_min, tf.reduce_max))
        if rule != "minmax":
            ends = percentiles(visible)
            if rule == BY_CHANNEL:
                ends = of_each_channel(percentiles, visible)
            differ = ends[0] < ends[1]  # else nearly all is of one value, and the rest is shown
            low, high = tf.where(differ, ends[0], low), tf.where(differ, ends[1], high)
    else:
        low, high = (tf.constant(float(value)) for value in rule)
    if given is not None:
        ends = given[:, tf.newaxis, tf.newaxis, tf.newaxis]
        differ = ends[..., 0] != ends[..., 1]
        low, high = tf.where(differ, ends[..., 0], low), tf.where(differ, ends[..., 1], high)
    return tf.clip_by_value(tf.math.divide_no_nan(images - low, high - low), 0.0, 1.0)


def _pixels(places: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """The pixels of a line of some length in which places lie."""
    return tf.clip_by_value(tf.cast(tf.floor(places), tf.int32), 0, length - 1)


def _majority(masks: Sequence[tf.Tensor]) -> tf.Tensor:
    """The most frequent value of masks (N, H, W); of several the largest or smallest, in turn."""
    height, width = tf.unstack(tf.shape(masks[0])[1:])
    white = (tf.range(height)[:, tf.newaxis] + tf.range(width)) % 2 == 0
    votes = [sum(tf.cast(mask == other, tf.uint8) for other in masks) for mask in masks]
    best, most = masks[0], votes[0]
    for mask, count in zip(masks[1:], votes[1:], strict=True):
        wins = tf.where(white, mask > best, mask < best)
        better = (count > most) | ((count == most) & wins)
        best, most = tf.where(better, mask, best), tf.maximum(most, count)
    return best


def _visible(images: tf.Tensor, axes: Any, size: tuple[int, int]) -> tf.Tensor:
    """The part of the slices that lies in the window: what is cut off sets no percentile."""
    (top, bottom), (left, right) = (
        (
            tf.cast(tf.floor(tf.maximum(start, 0.0)), tf.int32),
            tf.cast(tf.math.ceil(start + step * length), tf.int32),
        )
        for (start, step), length in zip(axes, size, strict=True)
    )
    return images[:, top:bottom, left:right]


def _sample(maps: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Samples maps (N, H, W, C) by matrices (h, H) and (w, W), as (N, h, w, C).

    In two products whose order is fixed: in an order that the shapes decide, tf2onnx gets some
    wrong.
    """
    lines = tf.einsum("nijk,hi->njkh", maps, rows)
    return tf.einsum("njkh,wj->nhwk", lines, columns)


def interpolation(source: Any, target: Any, start: Any, step: Any) -> tf.Tensor:
    """The matrix that samples a line of pixels on another grid, linearly.

    Target pixel i is centred at `start + (i + 0.5) * step` source pixels. A step above 1 widens
    the triangle of weights to the step, so that shrinking averages (antialiasing).

    Returns:
        (target, source) float32; each row sums to 1, or is 0 where its centre is off the source.
    """
    source_length = tf.cast(source, tf.float32)
    centres = start + (tf.range(tf.cast(target, tf.float32)) + 0.5) * step
    pixels = tf.range(source_length) + 0.5
    distances = tf.abs(centres[:, tf.newaxis] - pixels[tf.newaxis])
    weights = tf.nn.relu(1 - distances / tf.maximum(step, 1.0))
    inside = tf.cast((centres >= 0) & (centres <= source_length), tf.float32)
    total = tf.reduce_sum(weights, axis=1)
    return weights * tf.math.divide_no_nan(inside, total)[:, tf.newaxis]
