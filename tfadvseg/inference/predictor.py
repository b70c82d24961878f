"""Predictors: an image of any size to its mask, on the image's own grid."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfadvseg.config import Config
from tfadvseg.data.geometry import slicing
from tfadvseg.data.image import Image
from tfadvseg.data.preprocess import batches
from tfadvseg.errors import InputError
from tfadvseg.exact import exactly
from tfadvseg.inference.chain import Chain, mask_of
from tfadvseg.models import AdversarialSegmenter
from tfadvseg.run_folder import RunFolder


@dataclass(frozen=True)
class Prediction:
    """What the networks say of some slices.

    Attributes:
        masks: (N, H, W) uint8 class indices.
        probabilities: (N, H, W, C) float32.
        confidence: (N, H, W) float32, D's confidence in [0, 1], 0 outside the window that the
            networks saw; None without a discriminator.
    """

    masks: np.ndarray
    probabilities: np.ndarray
    confidence: np.ndarray | None


class SlicePredictor(ABC):
    """Applies a trained model to images, whatever computes it.

    Args:
        config: how the model sees images: window, crop, size, channels, class names.
    """

    def __init__(self, config: Config):
        self.config = config

    @property
    @abstractmethod
    def has_confidence(self) -> bool:
        """Whether D's confidence is answered too."""

    @abstractmethod
    def _compute(self, slices: np.ndarray, spacing: np.ndarray) -> Prediction:
        """Predicts (N, H, W, K) float32 whose pixels have a height and width (2,) in mm."""

    def __call__(
        self, slices: np.ndarray, spacing_mm: tuple[float, float] | None = None
    ) -> Prediction:
        """Predicts slices, all at once.

        Args:
            slices: (N, H, W, K) stored values.
            spacing_mm: height and width of their pixels; needed if the model wants a pixel size.

        Raises:
            InputError: if they have other channels than in training, or no pixel size.
        """
        self.check_slices(slices.shape[-1], spacing_mm is not None)
        spacing = np.array(spacing_mm or (1, 1), np.float32)
        return self._compute(slices.astype(np.float32), spacing)

    def stream(self, image: Image) -> Iterator[tuple[slice, Prediction]]:
        """Predicts an image, some slices at a time.

        Args:
            image: voxels (Z, Y, X, K).

        Yields:
            Which slices (of `slicing(image.geometry, config.slice_axis)`), and what the networks
            say of them.

        Raises:
            InputError: see `check`.
        """
        cut, start = slicing(image.geometry, self.config.slice_axis), 0
        for part in batches(cut.cut(image.voxels), self.config.size()):
            yield slice(start, start + len(part)), self(part, cut.pixel_mm)
            start += len(part)

    def segment(self, image: Image) -> np.ndarray:
        """Predicts the mask of an image, (Z, Y, X) uint8, on its own grid.

        Raises:
            InputError: see `check`.
        """
        mask = np.empty(image.voxels.shape[:3], np.uint8)
        slices = slicing(image.geometry, self.config.slice_axis).cut(mask)
        for part, prediction in self.stream(image):
            slices[part] = prediction.masks
        return mask

    def check(self, image: Image) -> None:
        """Refuses an image that this model cannot take.

        Raises:
            InputError: if it has other channels than the training images had, or if the model
                wants a pixel size and the image has none.
        """
        self.check_slices(image.voxels.shape[-1], image.geometry is not None)

    def check_slices(self, channels: int, has_spacing: bool) -> None:
        """The same for slices of so many channels, with or without a pixel size."""
        if channels != self.config.channels:
            raise InputError(
                f"expected an image with {self.config.channels} channel(s) as in training, "
                f"received {channels}; convert it"
            )
        if self.config.spacing_mm is not None and not has_spacing:
            raise InputError(
                "expected an image that says its pixel size in mm (NIfTI, MHA, NRRD, DICOM), as "
                "this model was trained with spacing_mm; received one that does not"
            )


class Predictor(SlicePredictor):
    """The model of a run in TensorFlow.

    Args:
        model: the trained networks.
        config: of the run that trained it.
    """

    def __init__(self, model: AdversarialSegmenter, config: Config):
        super().__init__(config)
        self.model = model
        self.chain = Chain(model, config)
        slices = tf.TensorSpec((None, None, None, config.channels), tf.float32)
        self._predict = tf.function(
            self._graph, input_signature=[slices, tf.TensorSpec((2,), tf.float32)]
        )

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
        return cls(keras.models.load_model(folder.model(checkpoint), compile=False), config)

    @property
    def has_confidence(self) -> bool:
        """Whether there is a discriminator."""
        return self.model.discriminator is not None

    def _compute(self, slices: np.ndarray, spacing: np.ndarray) -> Prediction:
        with exactly():
            masks, probabilities, confidence = self._predict(slices, spacing)
        return Prediction(
            masks.numpy(),
            probabilities.numpy(),
            confidence.numpy()[..., 0] if self.has_confidence else None,
        )

    def _graph(
        self, slices: tf.Tensor, spacing: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        shape = tf.shape(slices)[1:3]
        seen, confidence = self.chain.judge(self.chain.prepare(slices, spacing))
        probabilities = self.chain.restore_probabilities(seen, shape, spacing)
        if confidence is None:
            return mask_of(probabilities), probabilities, tf.zeros((0, 0, 0, 1))
        restored = self.chain.restore(confidence, shape, spacing)
        return mask_of(probabilities), probabilities, restored
