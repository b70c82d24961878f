"""Predictor: an image of any size to its mask, on the image's own grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfadvseg.config import Config
from tfadvseg.data.preprocess import Preprocessing
from tfadvseg.errors import InputError
from tfadvseg.models import AdversarialSegmenter
from tfadvseg.run_folder import RunFolder


@dataclass(frozen=True)
class Prediction:
    """What the networks say of one image.

    Attributes:
        mask: (H, W) uint8 class indices.
        probabilities: (H, W, C) float32.
        confidence: (H, W) float32, D's confidence in [0, 1], 0 outside the window that the
            networks saw; None without a discriminator.
    """

    mask: np.ndarray
    probabilities: np.ndarray
    confidence: np.ndarray | None


class Predictor:
    """Applies a trained model to images.

    Args:
        model: the trained networks.
        config: of the run that trained it: window, crop, size, channels, class names.
    """

    def __init__(self, model: AdversarialSegmenter, config: Config):
        self.config = config
        self.model = model
        self.preprocessing = Preprocessing.from_config(config)
        image = tf.TensorSpec((None, None, config.channels), tf.float32)
        self._predict = tf.function(self._graph, input_signature=[image])

    @classmethod
    def load(cls, run: Path, checkpoint: str = "best") -> Predictor:
        """Loads the model of a run folder.

        Args:
            run: a run folder that `fit` made.
            checkpoint: `best` (on the validation patients) or `last`.

        Raises:
            InputError: if there is no such run, or no such model in it.
        """
        folder = RunFolder(run)
        config = folder.read_config()
        path = folder.path / f"{checkpoint}.keras"
        if not path.is_file():
            raise InputError(f"{path}: no such model; train first, or go on with fit --resume")
        return cls(keras.models.load_model(path, compile=False), config)

    @property
    def has_confidence(self) -> bool:
        """Whether there is a discriminator."""
        return self.model.discriminator is not None

    def __call__(self, image: np.ndarray) -> Prediction:
        """Predicts one image.

        Args:
            image: (H, W, K) stored values.

        Raises:
            InputError: if it has other channels than the training images had.
        """
        if image.shape[-1] != self.config.channels:
            raise InputError(
                f"expected an image with {self.config.channels} channel(s) as in training, "
                f"received {image.shape[-1]}; convert it"
            )
        mask, probabilities, confidence = self._predict(image.astype(np.float32))
        return Prediction(
            mask.numpy(),
            probabilities.numpy(),
            confidence.numpy()[..., 0] if self.has_confidence else None,
        )

    def _graph(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Normalise, sample, segment, judge, and sample back."""
        shape = tf.shape(image)[:2]
        batch = self.preprocessing.image(image)[tf.newaxis]
        seen = tf.nn.softmax(self.model(batch, training=False))
        probabilities = self.preprocessing.restore(seen[0], shape)
        # Outside the window nothing was seen: background.
        background = 1 - tf.reduce_sum(probabilities, axis=-1, keepdims=True)
        probabilities = tf.concat(
            [probabilities[..., :1] + background, probabilities[..., 1:]], axis=-1
        )
        mask = tf.cast(tf.argmax(probabilities, axis=-1), tf.uint8)
        discriminator = self.model.discriminator
        if discriminator is None:
            return mask, probabilities, tf.zeros((0, 0, 1))
        confidence = tf.sigmoid(discriminator(seen, training=False))
        return mask, probabilities, self.preprocessing.restore(confidence[0], shape)
