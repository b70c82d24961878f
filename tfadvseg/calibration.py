"""How often a prediction is right, as a function of what S and D say of it.

S's probability and D's confidence rank pixels, but neither is a probability of being right: S is
too sure of itself, and D has learnt to tell label maps from predictions. Both are brought to one by
logistic regression (Platt 1999), a class each, on labelled patients that S does not train on:

    P(right | class c) = sigmoid(a_c + b_c logit(S's probability of c) + d_c logit(D's confidence))

Whether a case has a class at all is another question, and no sum over pixels answers it: where S
does not know a vessel, it says a little of it everywhere. That is fitted to cases, in the same way:

    P(c is present) = sigmoid(a_c + b_c log(pixels of c that are to be expected in the case))

Shapes:
    probabilities: (N, H, W, C), S's, float.
    confidence: (N, H, W), D's, in [0, 1]; None without a discriminator.
    masks: (N, H, W), the labels.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, log_expit

LIMIT = 12.0  # of logits: beyond it arithmetic of 32 bits knows no more
PIXELS = 40_000  # of a class that are kept
FEWEST = 50  # pixels below which nothing is known
PRIOR = 100.0  # pixels; those of a patient err together, so that many of them tell little
CASE_PRIOR = 1.0
START = (0.0, 1.0, 0.0)  # P(right) is S's probability
LONE = (0.0, 1.0)  # of one pixel that is to be expected, P(present) is one half
FEW = 1e-3  # pixels that are as good as none
GROUPS = 200  # of pixels with about the same P(right), at most


@dataclass(frozen=True)
class Judged:
    """Pixels whose label is known: what was said of them, and whether it was right.

    Attributes:
        classes: (P,) predicted class.
        evidence: (P, 3): 1, logit of S's probability, logit of D's confidence (0 without D).
        right: (P,) whether the label is the predicted class.
    """

    classes: np.ndarray
    evidence: np.ndarray
    right: np.ndarray


def judged(
    probabilities: np.ndarray,
    confidence: np.ndarray | None,
    masks: np.ndarray,
    ignore_label: int,
) -> Judged:
    """The pixels that have a label."""
    counted = masks != ignore_label
    probabilities, labels = probabilities[counted], masks[counted]
    classes = probabilities.argmax(axis=-1)
    said = None if confidence is None else confidence[counted]
    return Judged(classes, evidence(probabilities, classes, said), classes == labels)


def evidence(
    probabilities: np.ndarray, classes: np.ndarray, confidence: np.ndarray | None
) -> np.ndarray:
    """What is known of pixels, (P, 3): 1, logit of S's probability, logit of D's confidence.

    Args:
        probabilities: (P, C).
        classes: (P,) predicted class.
        confidence: (P,); None without a discriminator.
    """
    own = np.take_along_axis(probabilities, classes[:, None], axis=-1)[:, 0]
    said = np.zeros(len(own)) if confidence is None else logit(confidence)
    return np.stack([np.ones(len(own)), logit(own), said], axis=-1)


class Sampler:
    """Keeps a uniform sample of the pixels of each predicted class, of pixels that come in parts.

    Each pixel draws a random number; of a class, the `PIXELS` with the smallest are kept.

    Args:
        num_classes: C.
        seed: of the random numbers.
    """

    def __init__(self, num_classes: int, seed: int):
        self._random = np.random.default_rng(seed)
        empty = [np.zeros(0), np.zeros((0, 3)), np.zeros(0, bool), np.zeros(0, np.intp)]
        self._kept = [empty] * num_classes  # drawn number, evidence, right, group

    def add(self, pixels: Judged, group: int) -> None:
        """Adds pixels of a group, such as a patient."""
        drawn = self._random.random(len(pixels.right))
        for index, kept in enumerate(self._kept):
            own = pixels.classes == index
            groups = np.full(np.count_nonzero(own), group)
            new = (drawn[own], pixels.evidence[own], pixels.right[own], groups)
            joined = [np.concatenate(pair) for pair in zip(kept, new, strict=True)]
            if len(joined[0]) > PIXELS:
                smallest = np.argpartition(joined[0], PIXELS)[:PIXELS]
                joined = [column[smallest] for column in joined]
            self._kept[index] = joined

    def sample(self, without: Collection[int] = ()) -> Judged:
        """What was kept, without some groups."""
        parts = []
        for index, (_, evidence, right, groups) in enumerate(self._kept):
            used = ~np.isin(groups, list(without))
            parts.append((np.full(used.sum(), index), evidence[used], right[used]))
        return Judged(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def fit(pixels: Judged, num_classes: int) -> np.ndarray:
    """The coefficients (C, 3) of every class, by penalised maximum likelihood.

    The prior, worth `PRIOR` pixels, is that S's probability is right as it is; a class that nothing
    was predicted as keeps it.

    Args:
        pixels: whose label is known.
        num_classes: C.
    """
    return np.stack([_fit_class(pixels, index) for index in range(num_classes)])


def probability_right(coefficients: np.ndarray, pixels: Judged) -> np.ndarray:
    """P(right) of pixels, (P,)."""
    return chances(coefficients, pixels.classes, pixels.evidence)


def chances(coefficients: np.ndarray, classes: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """P(right) of pixels, (P,), from their classes (P,) and what is known of them (P, 3)."""
    return expit(np.einsum("pe,pe->p", coefficients[classes], evidence))


@dataclass(frozen=True)
class Curve:
    """How often the pixels of a class are right, from the least P(right) to the greatest.

    Attributes:
        chances: (G,) the lowest P(right) of each group of pixels.
        right: (G,) the right share of the group, smoothed to grow with P(right).
        counts: (G,) its pixels.
    """

    chances: np.ndarray
    right: np.ndarray
    counts: np.ndarray


def curve(chances: np.ndarray, right: np.ndarray) -> Curve:
    """How often pixels of about equal P(right) are right.

    It is smoothed to grow with P(right) (isotonic regression), so that there is one threshold for
    every precision.

    Args:
        chances: (P,) of one class, at least one pixel.
        right: (P,) booleans.
    """
    # Groups of about equal size, none empty, with equal chances always in the same one.
    count = min(GROUPS, max(1, len(chances) // FEWEST))
    edges = np.unique(np.quantile(chances, np.arange(count) / count, method="lower"))
    groups = np.searchsorted(edges, chances, side="right") - 1
    counts = np.bincount(groups)
    smooth = isotonic_regression(np.bincount(groups, weights=right) / counts, weights=counts).x
    return Curve(edges, smooth, counts)


def threshold(found: Curve, target: float) -> float:
    """The lowest P(right) from which on pixels are right as often as wished; infinite if none.

    As often counts for the pixels near the threshold, not for all above it: else a sea of easy
    background would pay for wrong pixels at its shore.

    Args:
        found: of one class.
        target: precision, in (0, 1].
    """
    enough = np.nonzero(found.right >= target)[0]
    return float(found.chances[enough[0]]) if len(enough) else np.inf


def logit(values: np.ndarray) -> np.ndarray:
    """log(v / (1 - v)), within +-12."""
    tiny = np.exp(-LIMIT)
    values = np.clip(values.astype(np.float64), tiny, 1 - tiny)
    return np.log(values) - np.log1p(-values)


def fit_presence(expected: np.ndarray, present: np.ndarray) -> np.ndarray:
    """The coefficients (C, 2) of P(present) of every class, by penalised maximum likelihood.

    Args:
        expected: (N, C) pixels of each class that are to be expected in cases.
        present: (N, C) whether the label has any.
    """
    found = []
    for pixels, there in zip(expected.T, present.T, strict=True):
        x = np.stack([np.ones(len(pixels)), _log(pixels)], axis=-1)
        found.append(_most_likely(x, there.astype(np.float64), np.array(LONE), CASE_PRIOR))
    return np.stack(found)


def chance_present(coefficients: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """P(present) of every class, (C,), from the pixels (C,) that are to be expected."""
    return expit(coefficients[:, 0] + coefficients[:, 1] * _log(expected))


def _log(pixels: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(pixels, FEW))


def _fit_class(pixels: Judged, index: int) -> np.ndarray:
    """The coefficients of one class."""
    own = pixels.classes == index
    x, y = pixels.evidence[own], pixels.right[own].astype(np.float64)
    return _most_likely(x, y, np.array(START), PRIOR)


def _most_likely(x: np.ndarray, y: np.ndarray, start: np.ndarray, prior: float) -> np.ndarray:
    """Logistic regression of y (N,) on x (N, K), whose prior keeps it from extremes."""

    def cost(coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        said, away = x @ coefficients, coefficients - start
        surprise = -np.sum(y * log_expit(said) + (1 - y) * log_expit(-said))
        slope = x.T @ (expit(said) - y)
        return surprise + prior / 2 * np.sum(away**2), slope + prior * away

    return np.asarray(minimize(cost, start, jac=True, method="BFGS").x)
