"""Small layers that the networks share; all work with dynamic sizes and export."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

# Of batch norm's moving averages. Keras's 0.99 remembers their start, 0 and 1, for hundreds of
# steps: predictions, and with them a teacher's pseudo-labels, are nonsense for as long.
MOMENTUM = 0.9


@keras.saving.register_keras_serializable("tfadvseg")
class PadToMultiple(keras.layers.Layer):
    """Pads (N, H, W, K) with zeros at the bottom and the right to a multiple of a number."""

    def __init__(self, multiple: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.multiple = multiple

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        # `-size % multiple` would be shorter; tf2onnx rounds a negative quotient towards zero.
        missing = (self.multiple - tf.shape(inputs)[1:3] % self.multiple) % self.multiple
        padded = tf.pad(inputs, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]])
        return tf.ensure_shape(padded, self.compute_output_shape(inputs.shape))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, height, width, channels = input_shape
        sides = (None if s is None else s + -s % self.multiple for s in (height, width))
        return (batch, *sides, channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "multiple": self.multiple}


@keras.saving.register_keras_serializable("tfadvseg")
class CropLike(keras.layers.Layer):
    """Cuts the first input, at the bottom and the right, to the height and width of the second."""

    def call(self, inputs: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
        size = tf.shape(like)
        return tf.ensure_shape(
            inputs[:, : size[1], : size[2]], self.compute_output_shape(inputs.shape, like.shape)
        )

    def compute_output_shape(
        self, inputs_shape: tuple[int | None, ...], like_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        return (inputs_shape[0], like_shape[1], like_shape[2], inputs_shape[3])


@keras.saving.register_keras_serializable("tfadvseg")
class ResizeLike(keras.layers.Layer):
    """Resizes the first input bilinearly to the height and width of the second.

    Keras's `UpSampling2D` cannot be exported with dynamic sizes.
    """

    def call(self, inputs: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
        resized = tf.image.resize(inputs, tf.shape(like)[1:3])
        resized = tf.ensure_shape(resized, self.compute_output_shape(inputs.shape, like.shape))
        return tf.cast(resized, inputs.dtype)

    def compute_output_shape(
        self, inputs_shape: tuple[int | None, ...], like_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        return (inputs_shape[0], like_shape[1], like_shape[2], inputs_shape[3])


@keras.saving.register_keras_serializable("tfadvseg")
class Enlarge(keras.layers.Layer):
    """Enlarges (N, H, W, K) bilinearly by a whole number.

    So every value of a map of strided convolutions comes to lie where it was found; `CropLike`
    then cuts off what lies beyond the image.
    """

    def __init__(self, factor: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        large = tf.image.resize(inputs, self.factor * tf.shape(inputs)[1:3])
        return tf.cast(
            tf.ensure_shape(large, self.compute_output_shape(inputs.shape)), inputs.dtype
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, height, width, channels = input_shape
        sides = (None if side is None else self.factor * side for side in (height, width))
        return (batch, *sides, channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


def normalisation(norm: str, filters: int, name: str) -> keras.layers.Layer:
    """A normalisation layer: `batch`, `instance`, or `group` (of 8 channels or more)."""
    if norm == "batch":
        return keras.layers.BatchNormalization(momentum=MOMENTUM, name=name)
    if norm == "instance":
        return keras.layers.GroupNormalization(groups=-1, name=name)
    if norm == "group":
        groups = next(n for n in range(max(1, filters // 8), 0, -1) if filters % n == 0)
        return keras.layers.GroupNormalization(groups=groups, name=name)
    raise ValueError(f"norm: expected batch, instance or group, received {norm!r}")
