"""What happens to an image before the network and to its output after it.

One implementation, in TensorFlow operations with dynamic sizes, for training, prediction and
export. Geometry is two matrix products: a centred window of the image is sampled on the network's
grid, antialiased when it shrinks, and zero outside the image. That is one mechanism for cropping,
padding and resizing, it keeps the aspect ratio, and every exporter knows a matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfadvseg.config import Config

DEFAULT_WINDOW = "percentile"
PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class Preprocessing:
    """Maps images to the network's grid and its output back to the image's grid.

    Attributes:
        size: height and width of the network's grid, in pixels.
        crop: height and width of the centred window in source pixels; None for the smallest
            window of the grid's aspect ratio that holds the whole image.
        window: `percentile`, `minmax`, or the stored values that become 0 and 1.
    """

    size: tuple[int, int]
    crop: tuple[int, int] | None
    window: str | tuple[float, float]

    @classmethod
    def from_config(cls, config: Config) -> Preprocessing:
        """Takes the settings of a run."""
        return cls(config.size(), config.crop_size(), config.window or DEFAULT_WINDOW)

    def image(self, image: tf.Tensor) -> tf.Tensor:
        """Normalises and samples an image.

        Args:
            image: (H, W, K) float32 stored values.

        Returns:
            (size[0], size[1], K) float32 in [0, 1], 0 outside the image.
        """
        rows, columns = self._matrices(tf.shape(image)[:2])
        image = rescale(image, self._visible(image), self.window)
        return tf.einsum("hi,ijk,wj->hwk", rows, image, columns, optimize="optimal")

    def mask(self, mask: tf.Tensor, outside: int) -> tf.Tensor:
        """Samples a mask (H, W), nearest neighbour, with the value `outside` off the image."""
        for axis, (start, step) in enumerate(self._axis(tf.shape(mask))):
            source = tf.shape(mask)[axis]
            centres = start + (tf.range(self.size[axis], dtype=tf.float32) + 0.5) * step
            inside = (centres >= 0) & (centres < tf.cast(source, tf.float32))
            nearest = tf.clip_by_value(tf.cast(tf.floor(centres), tf.int32), 0, source - 1)
            inside = tf.reshape(inside, (-1, 1) if axis == 0 else (1, -1))
            mask = tf.where(
                inside, tf.gather(mask, nearest, axis=axis), tf.cast(outside, mask.dtype)
            )
        return mask

    def restore(self, maps: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        """Samples maps on the network's grid back on an image's grid.

        Args:
            maps: (size[0], size[1], C) float32.
            shape: (2,) int32, height and width of the image.

        Returns:
            (H, W, C) float32, 0 outside the window that the network saw.
        """
        (row, row_step), (column, column_step) = self._axis(shape)
        rows = interpolation(self.size[0], shape[0], -row / row_step, 1 / row_step)
        columns = interpolation(self.size[1], shape[1], -column / column_step, 1 / column_step)
        return tf.einsum("hi,ijk,wj->hwk", rows, maps, columns, optimize="optimal")

    def _visible(self, image: tf.Tensor) -> tf.Tensor:
        """The part of the image that lies in the window: what is cut off sets no percentile."""
        starts, stops = zip(
            *(
                (tf.maximum(start, 0.0), start + step * size)
                for (start, step), size in zip(
                    self._axis(tf.shape(image)[:2]), self.size, strict=True
                )
            ),
            strict=True,
        )
        top, left = (tf.cast(tf.floor(start), tf.int32) for start in starts)
        bottom, right = (tf.cast(tf.math.ceil(stop), tf.int32) for stop in stops)
        return image[top:bottom, left:right]

    def _matrices(self, shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        (row, row_step), (column, column_step) = self._axis(shape)
        return (
            interpolation(shape[0], self.size[0], row, row_step),
            interpolation(shape[1], self.size[1], column, column_step),
        )

    def _axis(self, shape: tf.Tensor) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """Where the window starts and the step of its grid, in source pixels, for both axes."""
        source = tf.cast(shape, tf.float32)
        grid = tf.constant(self.size, tf.float32)
        if self.crop is None:
            step = tf.fill([2], tf.reduce_max(source / grid))
        else:
            step = tf.constant(self.crop, tf.float32) / grid
        start = (source - step * grid) / 2
        if self.crop is not None:  # whole pixels, so that a crop without resizing is exact
            start = tf.floor(start)
        return (start[0], step[0]), (start[1], step[1])


def rescale(image: tf.Tensor, visible: tf.Tensor, window: str | tuple[float, float]) -> tf.Tensor:
    """Maps stored values to [0, 1]; what lies beyond the window's values is clipped.

    Args:
        image: (H, W, K) float32.
        visible: the part of it that the network sees.
        window: `minmax` or `percentile` of what is visible, or the values for 0 and 1.
    """
    if window == "minmax":
        low, high = tf.reduce_min(visible), tf.reduce_max(visible)
    elif window == "percentile":
        low, high = _percentiles(visible)
    else:
        low, high = (tf.constant(float(value)) for value in window)
    return tf.clip_by_value(tf.math.divide_no_nan(image - low, high - low), 0.0, 1.0)


def _percentiles(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The values at `PERCENTILES`, with linear interpolation as in NumPy."""
    values = tf.sort(tf.reshape(image, [-1]))
    last = tf.cast(tf.size(values) - 1, tf.float32)

    def at(percentile: float) -> tf.Tensor:
        position = last * (percentile / 100)
        below = tf.floor(position)
        low = tf.gather(values, tf.cast(below, tf.int32))
        high = tf.gather(values, tf.cast(tf.math.ceil(position), tf.int32))
        return low + (high - low) * (position - below)

    return at(PERCENTILES[0]), at(PERCENTILES[1])


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
