"""The split of the cases by patients: labelled, unlabelled, validation and test."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfadvseg.config import Config
from tfadvseg.data.folders.cases import Case, DataFolder
from tfadvseg.data.folders.text import some
from tfadvseg.errors import DataWarning, InputError


@dataclass(frozen=True)
class Split:
    """Which case is used for what. No patient is in two of training, `val` and `test`."""

    labelled: tuple[Case, ...]
    unlabelled: tuple[Case, ...]
    val: tuple[Case, ...]
    test: tuple[Case, ...]

    def to_json(self) -> dict[str, Any]:
        """Names of the cases and, per part, of the patients."""
        parts = {name: getattr(self, name) for name in ("labelled", "unlabelled", "val", "test")}
        return {
            **{name: [case.name for case in cases] for name, cases in parts.items()},
            "patients": {name: patients_of(cases) for name, cases in parts.items()},
        }


def split_cases(folder: DataFolder, unlabelled: Sequence[Case], config: Config) -> Split:
    """Splits the cases by patients: test, validation, and training with and without labels.

    Test and validation patients come from the configuration, else from the data set (the split
    column of its table, nnU-Net's imagesTs); without either there is no test set, and a fifth of
    the labelled patients (at least one) validates. The labelled training patients are the first
    ones of a seeded order, so that a smaller number is always a subset of a larger one.

    Args:
        folder: the data folder.
        unlabelled: cases of a further pool; those of validation and test patients are left out.
        config: `labelled_patients` or `labelled_fraction`, `val_patients`, `test_patients`, `seed`.

    Raises:
        InputError: if there are fewer labelled patients than asked for, or a name is unknown.
    """
    test, val, training = held_out_patients(folder, config)
    labelled = _labelled_patients(config, training)
    return _assign(folder, unlabelled, test, val, labelled)


def held_out_patients(folder: DataFolder, config: Config) -> tuple[set[str], set[str], list[str]]:
    """The test and the validation patients, and the others with masks in the order of the seed.

    Args:
        folder: the data folder.
        config: `val_patients`, `test_patients`, `seed`.

    Raises:
        InputError: if nobody is left to train, or a name is unknown.
    """
    with_masks = patients_of(case for case in folder.cases if case.mask)
    if not with_masks:
        raise InputError(
            f"{folder.root}: no mask found; expected masks of class indices, named as their images"
        )
    order = _shuffled(with_masks, config.seed)
    others = [patient for patient in order if patient not in folder.own_test]
    named = isinstance(config.test_patients, tuple)
    test = _held_out("test", config, folder, order if named else others, default=0)
    rest = [patient for patient in others if patient not in test]
    val = _held_out("val", config, folder, rest, default=max(1, len(rest) // 5))
    training = [patient for patient in rest if patient not in val]
    if not training:
        raise InputError(
            f"{folder.root}: no labelled patient is left for training: {len(with_masks)} have "
            f"masks, {len(test)} test, {len(val)} validation; lower test_patients or val_patients"
        )
    return test, val, training


def _assign(
    folder: DataFolder,
    pool: Iterable[Case],
    test: set[str],
    val: set[str],
    labelled: set[str],
) -> Split:
    """Puts every case where its patient belongs."""
    cases, pool = folder.cases, tuple(pool)
    held_out = test | val | folder.own_test
    hidden = [case for case in cases if case.mask is None and case.patient in held_out]
    hidden += [case for case in pool if case.patient in held_out]
    if hidden:
        warnings.warn(
            f"{len(hidden)} unlabelled images of validation or test patients are left out: "
            "training must not see those patients",
            DataWarning,
            stacklevel=4,
        )
    training = [case for case in cases if case.patient not in held_out]
    use = [case for case in training if case.mask and case.patient in labelled]
    rest = [case for case in training if not (case.mask and case.patient in labelled)]
    rest += [case for case in pool if case.patient not in held_out]
    return Split(
        labelled=tuple(use),
        unlabelled=tuple(replace(case, mask=None) for case in rest),
        val=tuple(case for case in cases if case.mask and case.patient in val),
        test=tuple(case for case in cases if case.mask and case.patient in test),
    )


def _held_out(
    split: str,
    config: Config,
    folder: DataFolder,
    candidates: list[str],
    default: int,
) -> set[str]:
    """The patients of the validation or test split."""
    name = f"{split}_patients"
    wanted: int | tuple[str, ...] | None = getattr(config, name)
    if isinstance(wanted, tuple):
        # A test patient without masks is kept out of training, beside those who are tested.
        also = {case.patient for case in folder.cases} if split == "test" else set()
        extra = also.intersection(wanted).difference(candidates)
        return _known(name, tuple(p for p in wanted if p not in extra), candidates) | extra
    if wanted is None and any(case.split for case in folder.cases):
        listed = {case.patient for case in folder.cases if case.split == split}
        if split == "val":  # who tests, or has no mask, cannot validate
            listed.intersection_update(candidates)
        if listed:
            return listed
    number = default if wanted is None else wanted
    if number >= len(candidates):
        mend = f"label more patients, or set {name} to less"
        if split == "val" and config.recipe == "strong" and len(candidates) < 2:
            mend = (  # it needs validation patients, so less is no way out
                "recipe strong needs both: label another patient, or take --recipe paper and "
                "--set val_patients=0"
            )
        raise InputError(
            f"{name}: {number} of the {len(candidates)} labelled patients that are there for it "
            f"leave none for training; {mend}"
        )
    return set(candidates[:number])


def _labelled_patients(config: Config, training: list[str]) -> set[str]:
    """The training patients whose masks are used."""
    wanted = config.labelled_patients
    if isinstance(wanted, tuple):
        return _known("labelled_patients", wanted, training)
    if wanted is None:
        wanted = max(1, round((config.labelled_fraction or 1) * len(training)))
    if wanted > len(training):
        raise InputError(
            f"labelled_patients: expected at most {len(training)} (the training patients with "
            f"masks), received {wanted}"
        )
    return set(training[:wanted])


def _known(name: str, wanted: tuple[str, ...], candidates: list[str]) -> set[str]:
    unknown = [patient for patient in wanted if patient not in candidates]
    if unknown or not wanted:
        raise InputError(
            f"{name}: expected labelled patients among {some(sorted(candidates))}, received "
            f"{some(unknown) if unknown else 'none'}"
        )
    return set(wanted)


def _shuffled(patients: list[str], seed: int) -> list[str]:
    return [patients[i] for i in np.random.default_rng(seed).permutation(len(patients))]


def patients_of(cases: Iterable[Case]) -> list[str]:
    """The names of the patients of some cases, sorted."""
    return sorted({case.patient for case in cases})
