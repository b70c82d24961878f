"""Unlabelled patients who are unlike the labelled ones: another scanner, another part of the body.

Their pseudo-labels would be trusted by thresholds that were found on other images. Every slice
becomes a vector v: quantiles and gradient of its intensities, quantiles of how sure S is and of
what D says, the share of each class. With the mean m and the covariance C of the labelled slices,
both of standardised values and C shrunk towards independence, a patient's distance is

    median over his slices of sqrt((v - m)' C^-1 (v - m) / length of v)             (Mahalanobis)

A patient is an outlier beyond `MARGIN` times the distance that a labelled patient typically has
from the other labelled ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfadvseg.data.folders.text import some
from tfadvseg.data.pipeline import Pool
from tfadvseg.data.preprocess import batches
from tfadvseg.models import AdversarialSegmenter
from tfadvseg.models.adversarial import judgement

MARGIN = 3.0
SHRINKAGE = 0.3
SPREAD = 0.01  # least standard deviation of a number; smaller differences mean nothing
INTENSITIES = (0.1, 0.25, 0.5, 0.75, 0.9)  # quantiles of a slice
SURENESS = (0.05, 0.25, 0.5)  # of the logit between the two likeliest classes
JUDGEMENTS = (0.1, 0.5, 0.9)  # of D's logits
LEAST = 1e-3  # share of a class that differs from none


@dataclass(frozen=True)
class Distances:
    """How far every patient lies from the labelled ones.

    Attributes:
        patients: distance by name.
        limit: beyond it, a patient is an outlier.
    """

    patients: dict[str, float]
    limit: float

    @property
    def outliers(self) -> list[str]:
        """The names beyond the limit, the farthest first."""
        beyond = [name for name, distance in self.patients.items() if distance > self.limit]
        return sorted(beyond, key=lambda name: -self.patients[name])

    def __str__(self) -> str:
        names = [f"{name} ({self.patients[name]:.2f})" for name in self.outliers]
        return (
            f"{len(names)} of {len(self.patients)} unlabelled patients are unlike the labelled "
            f"ones, perhaps from another scanner or part of the body: {some(names)}; their "
            f"distance is above {self.limit:.2f}"
        )


def find_outliers(model: AdversarialSegmenter, unlabelled: Pool, labelled: list[Pool]) -> Distances:
    """Compares the patients of a pool with labelled ones.

    Args:
        model: the networks.
        unlabelled: slices with the names of their patients.
        labelled: pools of at least two patients together.
    """
    looks = Looks(model)
    known: dict[str, np.ndarray] = {}
    for pool in labelled:
        known |= looks.by_patient(pool)
    return distances(looks.by_patient(unlabelled), known)


def distances(patients: dict[str, np.ndarray], known: dict[str, np.ndarray]) -> Distances:
    """The distances of patients, and the limit that the known ones set.

    Args:
        patients: vectors (slices, length) by name.
        known: the same of two patients or more.
    """
    apart = [
        _distance(own, np.concatenate([known[name] for name in known if name != left_out]))
        for left_out, own in known.items()
    ]
    reference = np.concatenate(list(known.values()))
    found = {name: _distance(own, reference) for name, own in patients.items()}
    return Distances(found, MARGIN * float(np.median(apart)))


class Looks:
    """Turns slices into the vectors that are compared.

    Args:
        model: the networks.
    """

    def __init__(self, model: AdversarialSegmenter):
        self.model = model
        slices = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
        self._graph = tf.function(self._look, input_signature=[slices])

    def by_patient(self, pool: Pool) -> dict[str, np.ndarray]:
        """Vectors (slices, length) of every patient of a pool."""
        vectors = np.concatenate(list(self._vectors(pool.images)))
        return {str(name): vectors[pool.patients == name] for name in np.unique(pool.patients)}

    def _vectors(self, images: np.ndarray) -> Iterator[np.ndarray]:
        for part in batches(images, images.shape[1:3]):
            sure, judged, shares = (found.numpy() for found in self._graph(part))
            gradient = np.abs(np.diff(part, axis=1)).mean(axis=(1, 2, 3))
            yield np.concatenate(
                [
                    _quantiles(part, INTENSITIES),
                    gradient[:, None],
                    _quantiles(sure, SURENESS),
                    _quantiles(judged, JUDGEMENTS),
                    np.log(shares + LEAST),
                ],
                axis=1,
            )

    def _look(self, slices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        logits = self.model.predicting(slices, training=False)
        probabilities = tf.nn.softmax(logits)
        first, second = tf.unstack(tf.math.top_k(logits, 2).values, axis=-1)
        judged = tf.zeros_like(first)
        if self.model.discriminator is not None:
            judged = judgement(self.model.discriminator, probabilities)
        return first - second, judged, tf.reduce_mean(probabilities, axis=(1, 2))


def _quantiles(values: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    return np.quantile(values.reshape(len(values), -1), shares, axis=1).T


def _distance(vectors: np.ndarray, reference: np.ndarray) -> float:
    """The median distance of vectors (slices, length) from a reference of the same kind."""
    mean, spread = reference.mean(axis=0), np.maximum(reference.std(axis=0), SPREAD)
    standard, own = (reference - mean) / spread, (vectors - mean) / spread
    identity = np.eye(reference.shape[1])
    covariance = (1 - SHRINKAGE) * standard.T @ standard / len(standard) + SHRINKAGE * identity
    squares = np.sum(own * np.linalg.solve(covariance, own.T).T, axis=1) / len(mean)
    return float(np.median(np.sqrt(squares)))
