"""Statistics over patients: intervals, paired tests, and the correction for many of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
SIGNIFICANT = 1 - CONFIDENCE
RESAMPLES = 9999
MOST_VALUES = 10**7  # of resamples that are in memory at a time
FEWEST = 5  # patients; of fewer, a bootstrap interval is far too narrow


@dataclass(frozen=True)
class Paired:
    """What the differences of a number of patients tell.

    Attributes:
        patients: how many there are.
        mean: of the differences; None without a patient.
        low: lower end of the 95% bootstrap interval of the mean; None with fewer than 5 patients.
        high: upper end.
        p: two-sided p-value of Wilcoxon's signed-rank test; None without a patient.
        effect: matched-pairs rank-biserial correlation, from -1 (every patient has a negative
            difference) to 1; None without a patient.
        higher: patients with a difference above zero.
        lower: patients with a difference below zero.
    """

    patients: int
    mean: float | None
    low: float | None
    high: float | None
    p: float | None
    effect: float | None
    higher: int
    lower: int


def paired(differences: Sequence[float]) -> Paired:
    """Tests whether the differences of patients lie around zero.

    Args:
        differences: one a patient.
    """
    values = np.asarray(differences, float)
    if not len(values):
        return Paired(0, None, None, None, None, None, 0, 0)
    low, high = interval(values) or (None, None)
    moved = _without_zeros(values)
    higher = int((moved > 0).sum())
    return Paired(
        patients=len(values),
        mean=float(values.mean()),
        low=low,
        high=high,
        p=_signed_rank(moved),
        effect=_rank_biserial(moved),
        higher=higher,
        lower=len(moved) - higher,
    )


def interval(values: Sequence[float] | np.ndarray) -> tuple[float, float] | None:
    """The 95% bootstrap interval (BCa, 9999 resamples, fixed seed) of a mean over patients.

    Args:
        values: one a patient.

    Returns:
        Both ends; None with fewer than 5 patients.
    """
    from scipy import stats

    values = np.asarray(values, float)
    if len(values) < FEWEST:
        return None
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    found = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="BCa",
        batch=max(1, MOST_VALUES // len(values)),
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction: p-values that may be compared with 0.05 although there are many.

    The smallest of m is multiplied by m, the next by m - 1 and so on; none becomes smaller than
    one before it, and none larger than 1 (Holm, Scand. J. Statist. 6, 1979).
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for done, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - done) * p_values[place]))
        corrected[place] = largest
    return corrected


def smallest_p(patients: int) -> float:
    """The p-value of Wilcoxon's signed-rank test if all patients agree; none is smaller."""
    return min(1.0, 2 * 0.5**patients)


def _without_zeros(values: np.ndarray) -> np.ndarray:
    """The differences that are more than a rounding error."""
    return values[np.abs(values) > 1e-12]


def _signed_rank(moved: np.ndarray) -> float:
    from scipy import stats

    return float(stats.wilcoxon(moved).pvalue) if len(moved) else 1.0


def _rank_biserial(moved: np.ndarray) -> float:
    from scipy import stats

    if not len(moved):
        return 0.0
    ranks = stats.rankdata(np.abs(moved))
    return float((ranks * np.sign(moved)).sum() / ranks.sum())
