"""Paired comparisons of a sweep's settings, patient by patient, on the same folds and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from tfadvseg.metrics import Scores, mean
from tfadvseg.report.results import FOREGROUND
from tfadvseg.report.statistics import Paired, holm, paired, smallest_p
from tfadvseg.report.sweep import ALL_LABELS, BASELINE, Run, Setting, Sweep
from tfadvseg.surface import DISTANCES


@dataclass(frozen=True)
class Comparison:
    """One setting against another.

    Attributes:
        setting: whose values are looked at.
        against: whose values are subtracted.
        measure: which score or distance.
        found: statistics of the differences; one difference a patient, the mean over the seeds.
        differences: patient to difference.
        pairs: folds and seeds for which both runs are finished.
        planned: folds and seeds that both settings have in the plan.
        p_holm: p after Holm's correction for all comparisons of one list and one measure, where
            those of the same runs count once.
        smallest_p: what `p_holm` would be if all patients agreed in all these comparisons.
    """

    setting: Setting
    against: Setting
    measure: str
    found: Paired
    differences: Mapping[str, float]
    pairs: int
    planned: int
    p_holm: float | None = None
    smallest_p: float = 1.0


def between_recipes(sweep: Sweep, measure: str) -> list[Comparison]:
    """Every recipe against every simpler one, with the same model and the same labels."""
    settings = sweep.settings()
    return _corrected(
        [
            _compare(settings, other, one, measure)
            for one, other in combinations(settings, 2)
            if (one.model, one.fraction) == (other.model, other.fraction)
            and one.trained_as != other.trained_as
        ]
    )


def against_all_labels(sweep: Sweep, measure: str) -> list[Comparison]:
    """Every setting with fewer labels against supervision with all labels."""
    settings = sweep.settings()
    full = {s.model: s for s in settings if s.fraction == ALL_LABELS and s.trained_as == BASELINE}
    return _corrected(
        [
            _compare(settings, setting, full[setting.model], measure)
            for setting in settings
            if setting.model in full and setting.fraction != ALL_LABELS
        ]
    )


def _compare(
    settings: Mapping[Setting, Sequence[Run]], one: Setting, other: Setting, measure: str
) -> Comparison:
    """Averages the differences over the seeds first, so that a patient counts once."""
    ours, theirs = ({(run.fold, run.seed): run for run in settings[s]} for s in (one, other))
    planned = [key for key in ours if key in theirs]
    both = [(ours[key].result, theirs[key].result) for key in planned]
    finished = [(a, b) for a, b in both if a is not None and b is not None]
    values: dict[str, list[float]] = {}
    for a, b in finished:
        for patient in a.patients.keys() & b.patients.keys():
            found = _difference(a.patients[patient], b.patients[patient], measure)
            values.setdefault(patient, []).extend([] if found is None else [found])
    means = {patient: mean(values[patient]) for patient in sorted(values)}
    differences = {patient: value for patient, value in means.items() if value is not None}
    statistics = paired(list(differences.values()))
    return Comparison(one, other, measure, statistics, differences, len(finished), len(planned))


def _difference(
    one: Mapping[str, Scores], other: Mapping[str, Scores], measure: str
) -> float | None:
    """The difference of a patient's foreground means.

    A distance is not defined for a structure that was missed. It is averaged over the classes
    that both runs found, or missing a difficult structure would look like an improvement.
    """
    if measure not in DISTANCES:
        pairs = [(one[FOREGROUND][measure], other[FOREGROUND][measure])]
    else:
        names = [name for name in one if name != FOREGROUND and name in other]
        pairs = [(one[name].get(measure), other[name].get(measure)) for name in names]
    return mean([a - b for a, b in pairs if a is not None and b is not None])


def _corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """With Holm's correction; the same runs under the names of two recipes are one test."""
    tests = {_runs_of(c): c.found for c in comparisons if c.found.p is not None}
    corrected = holm([found.p or 0.0 for found in tests.values()])
    smallest = holm([smallest_p(found.patients) for found in tests.values()])
    known = dict(zip(tests, zip(corrected, smallest, strict=True), strict=True))
    result = []
    for comparison in comparisons:
        p, least = known.get(_runs_of(comparison), (None, 1.0))
        result.append(replace(comparison, p_holm=p, smallest_p=least))
    return result


def _runs_of(comparison: Comparison) -> tuple[Setting, ...]:
    """What tells whether two comparisons are of the same runs."""
    both = comparison.setting, comparison.against
    return tuple(replace(setting, recipe=setting.trained_as) for setting in both)
