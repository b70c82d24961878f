"""Which pseudo-labels recipe strong trusts: thresholds from labelled patients kept aside.

S does not train on the validation patients, so what the teacher says of them is about as right as
what it says of unlabelled ones. For every class, the threshold of P(right) is the lowest from which
on pixels are right as often as `TARGET` (`calibration.threshold`).

A class that is easy, background above all, is trusted on most of its pixels long before a small
vessel is, and would teach S that there is nothing else. So no class counts more than the foreground
classes on average: its trusted pixels weigh

    w_c = min(1, mean over foreground classes of share_f / share_c)

where share_c is the share of the pixels predicted as class c that are trusted. Classes that none of
these patients has are left out of the mean: nothing can be known of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfadvseg import calibration
from tfadvseg.calibration import Curve, Judged, Sampler
from tfadvseg.data.pipeline import Pool
from tfadvseg.data.preprocess import batches
from tfadvseg.models import TeacherSegmenter
from tfadvseg.models.adversarial import judgement

TARGET = 0.8  # how often a trusted pixel near the threshold shall be right
SHOWN = 25  # points of a curve that are kept in a file


@dataclass(frozen=True)
class Trust:
    """What is trusted, and how right it is on the patients that it was found on.

    Attributes:
        coefficients: (C, 3) of P(right), see `calibration`.
        thresholds: (C,) of P(right); infinite where nothing is trusted.
        shares: (C,) trusted share of the pixels predicted as each class.
        precisions: (C,) share of the trusted pixels that are right; NaN where none is trusted.
        class_weights: (C,) what a trusted pixel counts.
        curves: C, how often the pixels of each class are right; None where too few are known.
    """

    coefficients: np.ndarray
    thresholds: np.ndarray
    shares: np.ndarray
    precisions: np.ndarray
    class_weights: np.ndarray
    curves: tuple[Curve | None, ...]

    def to_row(self, classes: Sequence[str]) -> dict[str, float]:
        """Columns of the history: share and precision of each class."""
        columns = {"trusted": self.shares, "precision": self.precisions}
        return {
            f"{name} {label}": float(value)
            for name, values in columns.items()
            for label, value in zip(classes, values, strict=True)
            if np.isfinite(value)
        }

    def to_json(self, classes: Sequence[str]) -> dict[str, Any]:
        """All of it by class, for `trust.json`; what is not known is null."""
        return {name: self._class_to_json(index) for index, name in enumerate(classes)}

    def _class_to_json(self, index: int) -> dict[str, Any]:
        found = self.curves[index]
        values = {
            "threshold": self.thresholds[index],
            "trusted": self.shares[index],
            "precision": self.precisions[index],
            "weight": self.class_weights[index],
        }
        return {
            **{name: _rounded(value) for name, value in values.items()},
            "coefficients": [_rounded(value) for value in self.coefficients[index]],
            "curve": None if found is None else _points(found),
        }


def _points(found: Curve) -> dict[str, list[float | None]]:
    """Some points of a curve, its ends included."""
    some = np.unique(np.linspace(0, len(found.chances) - 1, SHOWN).round().astype(int))
    columns = {"chance": found.chances, "right": found.right}
    return {name: [_rounded(value) for value in column[some]] for name, column in columns.items()}


def _rounded(value: float) -> float | None:
    return float(f"{value:.5g}") if np.isfinite(value) else None


class Examiner:
    """Finds out what to trust of a teacher on slices that S does not train on.

    Args:
        model: whose teacher and D are asked, and which is told.
        pool: slices with masks.
        ignore_label: mask value that does not count.
    """

    def __init__(self, model: TeacherSegmenter, pool: Pool, ignore_label: int):
        self.model, self.pool, self.ignore_label = model, pool, ignore_label
        self.present = np.isin(np.arange(model.output_shape[-1]), np.asarray(pool.masks))
        slices = tf.TensorSpec((None, *pool.images.shape[1:]), tf.float32)
        self._look = tf.function(self._graph, input_signature=[slices])

    def renew(self) -> Trust:
        """Finds anew what to trust of the model as it is now, and tells it."""
        trust = find_trust(self.judge(), self.present)
        self.model.set_trust(trust.coefficients, trust.thresholds, trust.class_weights)
        return trust

    def judge(self) -> Judged:
        """What teacher and D say of the slices, and whether it is right: a sample of pixels."""
        images, masks = self.pool.images, np.asarray(self.pool.masks)
        sampler, size = Sampler(len(self.present), seed=0), images.shape[1:3]
        for part, labels in zip(batches(images, size), batches(masks, size), strict=True):
            probabilities, confidence = (answer.numpy() for answer in self._look(part))
            pixels = calibration.judged(probabilities, confidence, labels, self.ignore_label)
            sampler.add(pixels, group=0)
        return sampler.sample()

    def _graph(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        probabilities = tf.nn.softmax(self.model.teacher(images, training=False))
        return probabilities, tf.sigmoid(judgement(self.model.discriminator, probabilities))


def find_trust(pixels: Judged, present: np.ndarray) -> Trust:
    """Thresholds and weights from pixels whose label is known.

    Args:
        pixels: a sample of each predicted class.
        present: (C,) whether the labels have any pixel of a class.
    """
    num_classes = len(present)
    coefficients = calibration.fit(pixels, num_classes)
    chances = calibration.probability_right(coefficients, pixels)
    thresholds, shares = np.full(num_classes, np.inf), np.zeros(num_classes)
    precisions = np.full(num_classes, np.nan)
    curves: list[Curve | None] = [None] * num_classes
    for index in range(num_classes):
        own = pixels.classes == index
        if own.sum() < calibration.FEWEST:
            continue
        found = curves[index] = calibration.curve(chances[own], pixels.right[own])
        thresholds[index] = calibration.threshold(found, TARGET)
        trusted = own & (chances >= thresholds[index])
        shares[index] = trusted.sum() / own.sum()
        precisions[index] = pixels.right[trusted].mean() if trusted.any() else np.nan
    weights = quotas(shares, present)
    return Trust(coefficients, thresholds, shares, precisions, weights, tuple(curves))


def quotas(shares: np.ndarray, present: np.ndarray) -> np.ndarray:
    """The weight of a trusted pixel of each class, (C,) from 0 to 1; see above."""
    known = shares[1:][present[1:]]
    typical = known.mean() if len(known) else 0.0
    return np.minimum(1.0, typical / np.maximum(shares, 1e-6))
