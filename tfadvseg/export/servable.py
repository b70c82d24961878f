"""The signatures of an exported model: the whole chain, from what a client has to what it wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfadvseg.export.decoding import decode
from tfadvseg.inference.chain import mask_of
from tfadvseg.inference.predictor import Predictor

Tensors = dict[str, tf.Tensor]


class Servable(tf.Module):
    """A trained model as functions of tensors, for `tf.saved_model.save`.

    All batches may be of any size. `spacing_mm` (N, 2) float32, height and width of the pixels, is
    an input of every signature if the model was trained with a pixel size, and of none else.

    Args:
        predictor: of the run.
        confidence: also answer with D's confidence.
    """

    def __init__(self, predictor: Predictor, *, confidence: bool):
        super().__init__(name="tfadvseg")
        self.chain, config = predictor.chain, predictor.config
        self.channels = int(config.channels or 1)
        self.confidence = confidence
        self.takes_spacing = config.spacing_mm is not None
        self.segmenter = self.chain.segmenter  # tracked, so that its weights are saved
        self.discriminator = self.chain.discriminator if confidence else None

    def signatures(self) -> dict[str, Any]:
        """Concrete functions by name.

        * `serving_default`: `images` (N, H, W, K) float32 stored values -> `probabilities`
          (N, H, W, C) float32, `mask` (N, H, W) uint8, and `confidence` (N, H, W) float32.
        * `raw`: `pixels` (N, H, W, K) int32, `slope` and `intercept` (N,) float32, `window` (N, 2)
          float32, the rescaled values that become 0 and 1 (two equal ones: the model's own rule)
          -> the same.
        * `image_bytes`, for models of 1 or 3 channels: `image_bytes` (N,) PNG or JPEG files, of
          any sizes together -> `mask_bytes` (N,) PNG, and `confidence_bytes` (N,) PNG of 8 bits,
          0 to 255 for 0 to 1.
        """
        images = tf.TensorSpec((None, None, None, self.channels), tf.float32, "images")
        pixels = tf.TensorSpec((None, None, None, self.channels), tf.int32, "pixels")
        each = {name: tf.TensorSpec((None,), tf.float32, name) for name in ("slope", "intercept")}
        window = tf.TensorSpec((None, 2), tf.float32, "window")
        found = {
            "serving_default": self._concrete(self.predict, {"images": images}),
            "raw": self._concrete(self.raw, {"pixels": pixels, **each, "window": window}),
        }
        if self.channels in (1, 3):
            files = tf.TensorSpec((None,), tf.string, "image_bytes")
            found["image_bytes"] = self._concrete(self.files, {"image_bytes": files})
        return found

    def slice_specs(self) -> list[tf.TensorSpec]:
        """What `slices` takes by name, for formats of one signature."""
        images = tf.TensorSpec((None, None, None, self.channels), tf.float32, "images")
        spacing = tf.TensorSpec((2,), tf.float32, "spacing_mm")
        return [images, spacing] if self.takes_spacing else [images]

    def predict(
        self,
        images: tf.Tensor,
        spacing_mm: tf.Tensor | None = None,
        window: tf.Tensor | None = None,
    ) -> Tensors:
        """Slices of one size to probabilities, masks and confidence on their own grid."""
        if spacing_mm is None:
            return self.slices(images, window=window)
        if window is None:
            window = tf.zeros((tf.shape(images)[0], 2))
        answers = {
            "probabilities": tf.TensorSpec((None, None, None), tf.float32),
            "mask": tf.TensorSpec((None, None), tf.uint8),
            **({"confidence": tf.TensorSpec((None, None), tf.float32)} if self.confidence else {}),
        }

        def one(parts: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> Tensors:
            image, spacing, limits = parts
            found = self.slices(image[tf.newaxis], spacing, limits[tf.newaxis])
            return {name: value[0] for name, value in found.items()}

        return tf.map_fn(one, (images, spacing_mm, window), fn_output_signature=answers)

    def slices(
        self, images: tf.Tensor, spacing: Any = (1.0, 1.0), window: tf.Tensor | None = None
    ) -> Tensors:
        """The same for slices of one pixel size (2,)."""
        shape = tf.shape(images)[1:3]
        grid = self.chain.prepare(images, spacing, window)
        seen, confidence = self.chain.judge(grid, confidence=self.confidence)
        probabilities = self.chain.restore_probabilities(seen, shape, spacing)
        answers = {"probabilities": probabilities, "mask": mask_of(probabilities)}
        if confidence is not None:
            answers["confidence"] = self.chain.restore(confidence, shape, spacing)[..., 0]
        return answers

    def raw(
        self,
        pixels: tf.Tensor,
        slope: tf.Tensor,
        intercept: tf.Tensor,
        window: tf.Tensor,
        spacing_mm: tf.Tensor | None = None,
    ) -> Tensors:
        """Stored values as DICOM has them to the same as `predict`."""
        factor, offset = (v[:, tf.newaxis, tf.newaxis, tf.newaxis] for v in (slope, intercept))
        images = tf.cast(pixels, tf.float32) * factor + offset
        return self.predict(images, spacing_mm, window)

    def files(self, image_bytes: tf.Tensor, spacing_mm: tf.Tensor | None = None) -> Tensors:
        """Encoded pictures to encoded masks; the networks see all of a batch at once."""
        spacings = tf.ones((tf.shape(image_bytes)[0], 2)) if spacing_mm is None else spacing_mm
        height, width = self.chain.preprocessing.size
        grid = tf.TensorSpec((height, width, self.channels), tf.float32)

        def read(parts: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            image = decode(parts[0], self.channels)[tf.newaxis]
            return self.chain.prepare(image, parts[1])[0], tf.shape(image)[1:3]

        grids, shapes = tf.map_fn(
            read,
            (image_bytes, spacings),
            fn_output_signature=(grid, tf.TensorSpec((2,), tf.int32)),
        )
        probabilities, confidence = self.chain.judge(grids, confidence=self.confidence)

        def mask(parts: tuple[tf.Tensor, ...]) -> tf.Tensor:
            seen = self.chain.restore_probabilities(parts[0][tf.newaxis], *parts[1:])
            return tf.io.encode_png(mask_of(seen)[0, ..., tf.newaxis])

        def trust(parts: tuple[tf.Tensor, ...]) -> tf.Tensor:
            seen = self.chain.restore(parts[0][tf.newaxis], *parts[1:])
            return tf.io.encode_png(tf.cast(tf.round(seen[0] * 255), tf.uint8))

        answers = {"mask_bytes": _encoded(mask, probabilities, shapes, spacings)}
        if confidence is not None:
            answers["confidence_bytes"] = _encoded(trust, confidence, shapes, spacings)
        return answers

    def _concrete(self, function: Callable[..., Tensors], inputs: dict[str, Any]) -> Any:
        if self.takes_spacing:
            inputs = {**inputs, "spacing_mm": tf.TensorSpec((None, 2), tf.float32, "spacing_mm")}
        return tf.function(function).get_concrete_function(**inputs)


def _encoded(write: Callable[[tuple[tf.Tensor, ...]], tf.Tensor], *parts: tf.Tensor) -> tf.Tensor:
    return tf.map_fn(write, parts, fn_output_signature=tf.TensorSpec((), tf.string))


def inputs_of(signature: Any) -> dict[str, tf.TensorSpec]:
    """The inputs of a signature by name."""
    specs = tf.nest.flatten(signature.structured_input_signature)
    return {spec.name: spec for spec in specs if spec is not None}  # None: a default, not given
