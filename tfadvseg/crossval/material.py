"""What a sweep has to work with: every file is read once, and what is wrong is refused."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfadvseg.config import Config
from tfadvseg.crossval.folds import ClassesOf, Fold
from tfadvseg.data.checks.facts import CaseFacts, inspect_all
from tfadvseg.data.checks.faults import find_errors
from tfadvseg.data.checks.findings import Finding, class_names, lines, unusable
from tfadvseg.data.checks.oddities import find_warnings
from tfadvseg.data.folders.cases import (
    DataFolder,
    check_pool,
    read_data_folder,
    read_unlabelled_folder,
)
from tfadvseg.data.folders.split import held_out_patients
from tfadvseg.data.folders.text import some
from tfadvseg.errors import DataWarning, InputError
from tfadvseg.preparation import check_cases, window_of
from tfadvseg.progress import Progress, silent

UNLABELLED = "the unlabelled images"


@dataclass(frozen=True)
class Material:
    """The data of a sweep, by patients.

    Attributes:
        config: with classes, channels, ignore label and window as the data decide.
        groups: patients with masks who share pictures, and so stay together, by the first of them;
            mostly one patient, and the same picture under two names where there are more.
        classes_of: the first patient of each group to the foreground classes that its masks show.
        images: patient with masks to his number of slices with a mask.
        unlabelled: patients with images that have no mask; some of them may have masks too.
        given: who tests, validates and trains by the settings and the data; None for folds.
    """

    config: Config
    groups: dict[str, tuple[str, ...]]
    classes_of: ClassesOf
    images: dict[str, int]
    unlabelled: frozenset[str]
    given: Fold | None = None


def read_material(
    config: Config, folds: int, *, pool: bool = True, progress: Progress = silent
) -> Material:
    """Reads the files of a data set and of its pool of unlabelled images.

    The split of the data set does not count, but patients of its own test images (nnU-Net's
    imagesTs) are left out. One fold is the split that `fit` makes.

    Args:
        config: with `data` set.
        folds: of the cross-validation.
        pool: also read the folder `unlabelled`.
        progress: wraps the cases to show how far reading has come.

    Raises:
        InputError: for whatever is wrong with the data, or with the data for this configuration.
    """
    folder = read_data_folder(Path(str(config.data)), **config.reading())
    given = _given_fold(folder, config) if folds == 1 else None
    away = folder.own_test - set(given.test if given else ())
    cases = [case for case in folder.cases if case.patient not in away]
    if config.unlabelled is not None:
        check_pool(folder.root, Path(config.unlabelled))
    if config.unlabelled is not None and not pool:
        warnings.warn(
            f"no recipe here uses unlabelled images: {config.unlabelled} is not read",
            DataWarning,
            stacklevel=2,
        )
    elif config.unlabelled is not None:
        further = read_unlabelled_folder(Path(config.unlabelled), **config.reading())
        cases += [case for case in further if case.patient not in away]
    if not any(case.mask for case in cases):
        raise InputError(
            f"{folder.root}: no mask found; expected masks of class indices, named as their images"
        )
    config = config.replace(
        classes=config.classes or folder.classes,
        ignore_label=folder.ignore_label if config.ignore_label is None else config.ignore_label,
        window=config.window or folder.window or window_of(folder.cases),
    )
    config = config.replace(ignore_label=config.ignored())
    facts, broken = inspect_all(cases, progress, config.slice_axis)
    groups = _groups(facts)
    if given:
        _check_apart(groups, given)
    _check(facts, unusable(broken), groups, config, folds)
    config = config.replace(
        classes=class_names(facts, config.classes, config.ignored()), channels=facts[0].channels
    )
    return Material(
        config,
        groups,
        _classes_of(facts, groups, config.ignored()),
        _images(facts),
        frozenset(case.patient for case in cases if case.mask is None),
        given,
    )


def _given_fold(folder: DataFolder, config: Config) -> Fold:
    """The split that `fit` makes, which has to have a test set."""
    test, val, training = held_out_patients(folder, config)
    if not test:
        raise InputError(
            f"--folds 1 is the split that the data give, and {folder.root} names no test patients; "
            "write a split column into cases.csv, set test_patients, or take 2 or more folds"
        )
    return Fold(*(tuple(sorted(part)) for part in (test, val, training)))


def _check(
    facts: Sequence[CaseFacts],
    broken: Sequence[Finding],
    groups: Mapping[str, Sequence[str]],
    config: Config,
    folds: int,
) -> None:
    """Refuses what no run could use, and warns of what is odd."""
    what = {"classes": config.classes, "ignore_label": config.ignored()}
    sides = _sides(facts, groups)
    errors = find_errors(sides, channels=config.channels, **what)  # type: ignore[arg-type]
    if broken or errors:
        raise InputError(" | ".join(lines([*broken, *errors])))
    if config.spacing_mm is not None:
        check_cases([fact.case for fact in facts if fact.spacing_mm is None], config)
    parts = {
        "labelled": [fact for fact in facts if fact.labels is not None],
        "unlabelled": [fact for fact in facts if fact.labels is None],
    }
    odd = lines(find_warnings(parts, folds=folds, **what))  # type: ignore[arg-type]
    together = [" = ".join(members) for members in groups.values() if len(members) > 1]
    if together:
        odd.append(f"patients with the same pictures stay together in every fold: {some(together)}")
    for line in odd:
        warnings.warn(line, DataWarning, stacklevel=4)


def _check_apart(groups: Mapping[str, Sequence[str]], given: Fold) -> None:
    """Refuses a given split with the same picture in two of its parts."""
    part_of = {p: part for part in ("test", "val", "train") for p in getattr(given, part)}
    for members in groups.values():
        if len({part_of[patient] for patient in members}) > 1:
            told = ", ".join(f"{patient} ({part_of[patient]})" for patient in members)
            raise InputError(
                f"these patients share pictures and are in several parts of the split: {told}; "
                "move them to one part, or take 2 or more folds"
            )


def _groups(facts: Sequence[CaseFacts]) -> dict[str, tuple[str, ...]]:
    first = {patient: patient for patient in sorted(_images(facts))}
    owner: dict[str, str] = {}
    for fact in facts:
        if fact.case.patient not in first or fact.constant:
            continue
        pair = {first[fact.case.patient], first[owner.setdefault(fact.digest, fact.case.patient)]}
        if len(pair) > 1:
            first = {patient: min(pair) if it in pair else it for patient, it in first.items()}
    groups: dict[str, tuple[str, ...]] = {}
    for patient, it in first.items():
        groups[it] = (*groups.get(it, ()), patient)
    return groups


def _sides(
    facts: Sequence[CaseFacts], groups: Mapping[str, Sequence[str]]
) -> dict[str, list[CaseFacts]]:
    """The facts of each group, and of all patients without masks: no picture may be in two."""
    group_of = {patient: it for it, members in groups.items() for patient in members}
    sides: dict[str, list[CaseFacts]] = defaultdict(list)
    for fact in facts:
        sides[group_of.get(fact.case.patient, UNLABELLED)].append(fact)
    return dict(sides)


def _classes_of(
    facts: Sequence[CaseFacts], groups: Mapping[str, Sequence[str]], ignore_label: int
) -> dict[str, frozenset[int]]:
    seen: dict[str, set[int]] = {patient: set() for patient in _images(facts)}
    for fact in facts:
        if fact.labels is not None:
            seen[fact.case.patient] |= set(fact.labels) - {0, ignore_label}
    return {it: frozenset().union(*(seen[p] for p in members)) for it, members in groups.items()}


def _images(facts: Sequence[CaseFacts]) -> dict[str, int]:
    images: dict[str, int] = defaultdict(int)
    for fact in facts:
        if fact.labels is not None:
            images[fact.case.patient] += fact.size[0]
    return dict(images)
