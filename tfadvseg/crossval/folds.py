"""Folds by patients: who tests, who validates, who trains, and in which order labels are given.

Every choice looks at the classes that a patient's masks show, and at nothing else of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from tfadvseg.errors import InputError

ClassesOf: TypeAlias = Mapping[str, frozenset[int]]


@dataclass(frozen=True)
class Fold:
    """The patients with masks, each in one of three parts."""

    test: tuple[str, ...]
    val: tuple[str, ...]
    train: tuple[str, ...]


def make_folds(
    classes_of: ClassesOf, number: int, seed: int, val_patients: int | None = None
) -> tuple[Fold, ...]:
    """Divides patients into folds, so that each of them tests once.

    The sizes of the folds differ by one patient at most, and the patients that show a class are
    spread over the folds, those of the rarest class first. Validation patients show as many classes
    as they can, but never take a class from training if others can validate.

    Args:
        classes_of: patient to the foreground classes of his masks.
        number: of folds, at least 2.
        seed: of the order of the patients.
        val_patients: in each fold; None for a fifth of those that do not test, at least one.

    Raises:
        InputError: if there are too few patients.
    """
    if number > len(classes_of):
        raise InputError(
            f"--folds: expected at most {len(classes_of)}, the patients with masks, received "
            f"{number}; take fewer folds or label more patients"
        )
    order = _shuffled(sorted(classes_of), (seed,))
    tested = _test_patients(order, number, classes_of)
    folds = []
    for test in tested:
        rest = [patient for patient in order if patient not in test]
        wanted = max(1, len(rest) // 5) if val_patients is None else val_patients
        if wanted >= len(rest):
            raise InputError(
                f"--folds {number}: of {len(order)} patients with masks {len(test)} test and "
                f"{wanted} validate, which leaves none to train; take another number of folds, "
                "set val_patients to less, or label more patients"
            )
        val = _validation_patients(rest, wanted, classes_of)
        train = [patient for patient in rest if patient not in val]
        folds.append(Fold(*(tuple(sorted(part)) for part in (test, val, train))))
    return tuple(folds)


def label_order(
    train: Iterable[str], classes_of: ClassesOf, seed: int, fold: int
) -> tuple[str, ...]:
    """The order in which training patients are labelled: the first n are the subset of size n.

    So smaller subsets lie inside larger ones. The first patients are those that show the most
    classes not yet seen; once all are seen, chance decides.

    Args:
        train: training patients.
        classes_of: patient to the foreground classes of his masks.
        seed: of the run.
        fold: number of the fold.
    """
    left = _shuffled(sorted(train), (seed, fold))
    order: list[str] = []
    while left:
        order.append(_most_new(left, order, classes_of))
        left.remove(order[-1])
    return tuple(order)


def labelled_number(fraction: Fraction, patients: int) -> int:
    """How many of the training patients are labelled: the fraction of them, rounded up."""
    return math.ceil(fraction * patients)


def _test_patients(order: Sequence[str], number: int, classes_of: ClassesOf) -> list[list[str]]:
    left = list(order)
    room = [len(left) // number + (fold < len(left) % number) for fold in range(number)]
    folds: list[list[str]] = [[] for _ in range(number)]
    while left:
        counts = Counter(index for patient in left for index in classes_of[patient])
        rarest = min(counts, key=lambda index: (counts[index], index), default=None)
        for patient in [p for p in left if rarest is None or rarest in classes_of[p]]:
            held = [sum(rarest in classes_of[p] for p in fold) for fold in folds]
            free = [fold for fold in range(number) if len(folds[fold]) < room[fold]]
            folds[min(free, key=lambda fold: (held[fold], len(folds[fold])))].append(patient)
            left.remove(patient)
    return folds


def _validation_patients(rest: Sequence[str], number: int, classes_of: ClassesOf) -> list[str]:
    chosen: list[str] = []
    for _ in range(number):
        left = [patient for patient in rest if patient not in chosen]
        holders = Counter(index for patient in left for index in classes_of[patient])
        spare = [p for p in left if all(holders[index] > 1 for index in classes_of[p])]
        chosen.append(_most_new(spare or left, chosen, classes_of))
    return chosen


def _most_new(candidates: Sequence[str], chosen: Iterable[str], classes_of: ClassesOf) -> str:
    """The candidate with the most classes that the chosen ones lack; of equals the first."""
    seen = frozenset().union(*(classes_of[patient] for patient in chosen))
    return max(candidates, key=lambda patient: len(classes_of[patient] - seen))


def _shuffled(patients: Sequence[str], seed: tuple[int, ...]) -> list[str]:
    return [patients[i] for i in np.random.default_rng(seed).permutation(len(patients))]
