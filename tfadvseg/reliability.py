"""Whether probabilities of being right are kept: reliability diagram and calibration error.

Pixels are put into `BINS` bins of equal width by what was said of them. In a bin, the mean of what
was said and the share that is right should be equal; the expected calibration error is the mean of
their difference over the pixels (Guo et al. 2017, "On Calibration of Modern Neural Networks"):

    ECE = sum over bins b of  pixels_b / pixels  |right_b - said_b|
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

BINS = 15  # as in the paper


class Reliability:
    """Counts what was said of pixels and how often it was right, class by predicted class.

    Args:
        names: of the classes, background first.
    """

    def __init__(self, names: Sequence[str]):
        self._names = names
        self._sums = np.zeros((3, len(names), BINS))  # pixels, what was said, right

    def add(self, said: np.ndarray, classes: np.ndarray, right: np.ndarray) -> None:
        """Adds pixels.

        Args:
            said: (P,) probability of being right, in [0, 1].
            classes: (P,) predicted class.
            right: (P,) whether it is the true one.
        """
        bins = np.minimum((said * BINS).astype(np.intp), BINS - 1)
        cells, shape = classes * BINS + bins, self._sums.shape[1:]
        for sums, weights in zip(self._sums, (None, said, right), strict=True):
            sums += np.bincount(cells, weights, minlength=sums.size).reshape(shape)

    def to_json(self) -> dict[str, Any]:
        """ECE and bins of the pixels predicted as foreground, of all, and of each class."""
        sums = self._sums
        return {
            "foreground": _diagram(sums[:, 1:].sum(axis=1)),
            "all": _diagram(sums.sum(axis=1)),
            "per_class": {name: _diagram(sums[:, index]) for index, name in enumerate(self._names)},
        }


def _diagram(sums: np.ndarray) -> dict[str, Any]:
    """The figures of some pixels from their sums (3, BINS); None where there is no pixel."""
    pixels, said, right = sums
    total = pixels.sum()
    return {
        "ece": float(np.abs(right - said).sum() / total) if total else None,
        "pixels": pixels.astype(int).tolist(),
        "said": _means(said, pixels),
        "right": _means(right, pixels),
    }


def _means(sums: np.ndarray, pixels: np.ndarray) -> list[float | None]:
    return [
        float(value / count) if count else None for value, count in zip(sums, pixels, strict=True)
    ]
