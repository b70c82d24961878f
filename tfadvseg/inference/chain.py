"""The whole way from stored values to probabilities, in TensorFlow operations."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfadvseg.config import Config
from tfadvseg.data.preprocess import Preprocessing
from tfadvseg.models import AdversarialSegmenter


class Chain:
    """Normalise and sample, segment and judge, sample back: what prediction and exports share.

    Args:
        model: the trained networks.
        config: of the run that trained them.
    """

    def __init__(self, model: AdversarialSegmenter, config: Config):
        self.segmenter = model.predicting
        self.discriminator = model.discriminator
        self.preprocessing = Preprocessing.from_config(config)

    def prepare(self, images: tf.Tensor, spacing: Any, window: tf.Tensor | None = None) -> Any:
        """Brings slices to the network's grid.

        Args:
            images: (N, H, W, K) float32 stored values.
            spacing: (2,) height and width of their pixels in mm; counts for models with a pixel
                size only.
            window: (N, 2) values that become 0 and 1; where they are equal, and by default, the
                model's own rule finds them.

        Returns:
            (N, h, w, K) float32 in [0, 1].
        """
        return self.preprocessing.images(images, spacing, window)

    def judge(
        self, grid: tf.Tensor, *, confidence: bool = True
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """What the networks say of slices on their grid.

        Args:
            grid: (N, h, w, K), from `prepare`.
            confidence: also ask the discriminator, where there is one.

        Returns:
            Probabilities (N, h, w, C), and D's confidence (N, h, w, 1) in [0, 1] or None.
        """
        probabilities = tf.nn.softmax(self.segmenter(grid, training=False))
        if self.discriminator is None or not confidence:
            return probabilities, None
        return probabilities, tf.sigmoid(self.discriminator(probabilities, training=False))

    def restore(self, maps: tf.Tensor, shape: tf.Tensor, spacing: Any) -> tf.Tensor:
        """Samples maps (N, h, w, C) back on slices of a shape (2,): 0 where nothing was seen."""
        return self.preprocessing.restore(maps, shape, spacing)

    def restore_probabilities(self, maps: tf.Tensor, shape: tf.Tensor, spacing: Any) -> tf.Tensor:
        """The same for probabilities: what was not seen is background."""
        restored = self.restore(maps, shape, spacing)
        background = 1 - tf.reduce_sum(restored, axis=-1, keepdims=True)
        return tf.concat([restored[..., :1] + background, restored[..., 1:]], axis=-1)


def mask_of(probabilities: tf.Tensor) -> tf.Tensor:
    """The most probable class of each pixel, uint8."""
    return tf.cast(tf.argmax(probabilities, axis=-1), tf.uint8)
