"""What is not known of a slice, in pixels of every class: wrong, disputed and undecided ones.

Three ingredients, each an amount of pixels i of a foreground class f:

    error         sum_i |y_if - pi_if|   over  sum_i (y_if + pi_if)
    disagreement  sum_i |t_if - s_if|    over  sum_i (t_if + s_if)
    entropy       sum_i h(pi_if)         over  sum_i (y_if + pi_if)

- t and s are the probabilities of the teacher (S with averaged weights, which predicts) and of the
  student (S), y is 1 where f is predicted, h the entropy of a coin in bits.
- pi is t, calibrated: the predicted class k has P(right), and the others share what is left of it
  as they do in t: pi_c = (1 - P(right)) t_c / (1 - t_k).

So `error` is the expected number of pixels that wrongly are, or wrongly are not, predicted as f:
expected error reduction (Roy and McCallum 2001), if a label put all of them right. Amount over size
is 1 - the Dice to expect for `error`, and 1 - soft Dice of two members of a committee (query by
committee, Seung et al. 1992) for `disagreement`, the smaller of two probabilities being what they
share. `entropy` is uncertainty sampling (Lewis and Gale 1994), of calibrated probabilities, or a
haze of small ones over the background would outweigh what is undecided.

Shapes:
    teacher, student: (N, h, w, C), probabilities.
    right: (N, h, w), P(right) of the teacher's most probable class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import entr

INGREDIENTS = ("error", "disagreement", "entropy")


@dataclass(frozen=True)
class Measures:
    """Amounts and sizes of some slices, cases or patients.

    Attributes:
        amounts: (N, 3, F) pixels of every ingredient and foreground class.
        sizes: (N, 3, F) what they count against.
    """

    amounts: np.ndarray
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.amounts)

    @classmethod
    def joined(cls, parts: Sequence[Measures]) -> Measures:
        """The measures of all parts, one after the other."""
        amounts = np.concatenate([part.amounts for part in parts])
        return cls(amounts, np.concatenate([part.sizes for part in parts]))

    def taken(self, indices: Sequence[int]) -> Measures:
        """Those of some of them, in that order."""
        return Measures(self.amounts[indices], self.sizes[indices])

    def summed(self, groups: np.ndarray) -> Measures:
        """The measures of groups, such as the slices of a case: sums over their members.

        Args:
            groups: (N,) the group of each, from 0 on, none empty.
        """
        totals = []
        for values in (self.amounts, self.sizes):
            total = np.zeros((groups.max() + 1, *values.shape[1:]))
            np.add.at(total, groups, values)
            totals.append(total)
        return Measures(*totals)


def measure(teacher: np.ndarray, right: np.ndarray, student: np.ndarray | None) -> Measures:
    """Measures slices; without a student there is no disagreement."""
    predicted = np.eye(teacher.shape[-1], dtype=np.float32)[teacher.argmax(axis=-1)]
    chances = class_chances(teacher, right)
    wrong, size = _pixels(np.abs(predicted - chances)), _pixels(predicted + chances)
    undecided = _pixels((entr(chances) + entr(1 - chances)) / np.log(2))
    if student is None:
        disputed = both = np.zeros_like(wrong)
    else:
        disputed, both = _pixels(np.abs(teacher - student)), _pixels(teacher + student)
    return Measures(
        np.stack([wrong, disputed, undecided], axis=1), np.stack([size, both, size], axis=1)
    )


def class_chances(probabilities: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Calibrated probabilities (N, h, w, C): P(right), and its rest among the other classes."""
    predicted = np.eye(probabilities.shape[-1], dtype=bool)[probabilities.argmax(axis=-1)]
    others = np.where(predicted, 0, probabilities)
    total = np.maximum(others.sum(axis=-1, keepdims=True), np.finfo(np.float32).tiny)
    right = right[..., np.newaxis]
    return np.where(predicted, right, (1 - right) * others / total)


def _pixels(values: np.ndarray) -> np.ndarray:
    """Sums over the pixels of every foreground class, (N, F)."""
    return values[..., 1:].sum(axis=(1, 2), dtype=np.float64)
