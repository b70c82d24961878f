"""The check of a whole data set: what its files hold, what is wrong and what is odd."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfadvseg.config import Config
from tfadvseg.data.checks.facts import CaseFacts, Intensity, inspect_all
from tfadvseg.data.checks.faults import find_errors
from tfadvseg.data.checks.findings import Finding, by_part, class_names, unusable
from tfadvseg.data.checks.oddities import find_warnings
from tfadvseg.data.folders.cases import (
    Case,
    DataFolder,
    check_pool,
    read_data_folder,
    read_unlabelled_folder,
)
from tfadvseg.data.folders.split import Split
from tfadvseg.errors import DataWarning
from tfadvseg.progress import Progress, silent


@dataclass(frozen=True)
class Check:
    """What a check found.

    Attributes:
        data: the data folder or table.
        unlabelled: the folder or table of further images; None for none.
        found: number of cases, those that cannot be used included.
        parts: facts by part of the split: `labelled`, `unlabelled`, `val`, `test` and `left_out`,
            unlabelled images of validation and test patients. Without a split all masks are
            `labelled`.
        classes: names in the order of their indices.
        ignore_label: mask value that is no class.
        errors: what must be mended before training.
        warnings: what is allowed but odd.
    """

    data: Path
    unlabelled: Path | None
    found: int
    parts: Mapping[str, Sequence[CaseFacts]]
    classes: tuple[str, ...]
    ignore_label: int
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]

    @property
    def facts(self) -> list[CaseFacts]:
        """The facts of all cases that can be used."""
        return [fact for part in self.parts.values() for fact in part]


def check_data(config: Config, folds: int = 5, progress: Progress = silent) -> Check:
    """Reads every file of a data set once and looks for what is wrong or odd.

    Args:
        config: `data`, `unlabelled`, and how they are read: `patient_pattern`, `series`,
            `keep_identifiers`, `slice_axis`, `classes`, `ignore_label`.
        folds: of the cross-validation to come.
        progress: wraps the cases to show how far reading has come.

    Raises:
        InputError: if folders, names and tables do not fit together, so that there are no cases.
    """
    with _noted("folder") as notes:
        folder, pool = _list_cases(config)
    cases = (*folder.cases, *pool)
    with _noted("reading") as remarks:
        facts, broken = inspect_all(cases, progress, config.slice_axis)

    classes = config.classes or folder.classes
    ignored = config.replace(ignore_label=config.ignore_label or folder.ignore_label).ignored()
    split, left_out = _as_listed(folder.cases, pool)
    parts = by_part(split, facts)
    errors = find_errors(parts, classes=classes, ignore_label=ignored)
    odd = find_warnings(parts, classes=classes, ignore_label=ignored, folds=folds)
    return Check(
        folder.root,
        None if config.unlabelled is None else Path(config.unlabelled),
        found=len(cases),
        parts={**parts, "left_out": [fact for fact in facts if fact.case in left_out]},
        classes=class_names(facts, classes, ignored),
        ignore_label=ignored,
        errors=(*unusable(broken), *errors),
        warnings=(*notes, *remarks, *_left_out(left_out, folder.left_out), *odd),
    )


def summary(check: Check) -> dict[str, Any]:
    """All that the check found, as `tfadvseg data check --json` writes it."""
    facts = check.facts
    return {
        "data": str(check.data),
        "unlabelled": None if check.unlabelled is None else str(check.unlabelled),
        "cases": check.found,
        "unusable": check.found - len(facts),
        "slices": sum(fact.size[0] for fact in facts),
        "patients": _patients(facts),
        "parts": {
            part: {
                "cases": len(members),
                "slices": sum(fact.size[0] for fact in members),
                "patients": _patients(members),
            }
            for part, members in check.parts.items()
        },
        "sizes": _counted(fact.size for fact in facts),
        "spacings_mm": _counted(_rounded(fact.spacing_mm) for fact in facts),
        "orientations": _counted(fact.orientation for fact in facts),
        "channels": _counted(fact.channels for fact in facts),
        "dtypes": _counted(fact.dtype for fact in facts),
        "intensity": {
            name: [min(values), max(values)] if values else None
            for name in Intensity._fields
            for values in [[getattr(fact.intensity, name) for fact in facts]]
        },
        "classes": _classes(check),
        "errors": [asdict(finding) for finding in check.errors],
        "warnings": [asdict(finding) for finding in check.warnings],
        "per_case": [_case(fact, part) for part, fs in check.parts.items() for fact in fs],
    }


def _list_cases(config: Config) -> tuple[DataFolder, tuple[Case, ...]]:
    pattern, series, keep = config.patient_pattern, config.series, config.keep_identifiers
    data = Path(str(config.data))
    folder = read_data_folder(data, pattern, series=series, keep_identifiers=keep)
    if config.unlabelled is None:
        return folder, ()
    pool = Path(config.unlabelled)
    check_pool(data, pool)
    return folder, read_unlabelled_folder(pool, pattern, series=series, keep_identifiers=keep)


@contextmanager
def _noted(kind: str) -> Iterator[list[Finding]]:
    """Collects our warnings as findings; those of others go on their way."""
    notes: list[Finding] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        yield notes
    for warning in caught:
        if issubclass(warning.category, DataWarning):
            notes.append(Finding(kind, str(warning.message)))
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )


def _as_listed(cases: Iterable[Case], pool: Iterable[Case]) -> tuple[Split, set[Case]]:
    """The split of `cases.csv`, and the unlabelled images of its validation and test patients."""
    cases = list(cases)
    held_out = {  # who has no mask cannot validate, and so trains
        case.patient for case in cases if case.split == "test" or case.split == "val" and case.mask
    }
    without = [case for case in (*cases, *pool) if case.mask is None]
    split = Split(
        labelled=tuple(c for c in cases if c.mask and c.split in (None, "train")),
        unlabelled=tuple(case for case in without if case.patient not in held_out),
        val=tuple(case for case in cases if case.mask and case.split == "val"),
        test=tuple(case for case in cases if case.mask and case.split == "test"),
    )
    return split, {case for case in without if case.patient in held_out}


def _left_out(cases: set[Case], unlisted: int) -> list[Finding]:
    """Images that are there and that no part takes."""
    findings = []
    if cases:
        text = (
            f"{len(cases)} unlabelled images of validation or test patients will be left out: "
            "training must not see those patients"
        )
        findings.append(Finding("left_out", text, tuple(sorted(case.name for case in cases))))
    if unlisted:
        text = f"{unlisted} test images without masks are passed over: there is nothing to score"
        findings.append(Finding("left_out", text))
    return findings


def _classes(check: Check) -> list[dict[str, Any]]:
    """Pixels of each class over all masks; ignored pixels count nowhere."""
    masks = [fact for fact in check.facts if fact.labels is not None]
    counts: Counter[int] = Counter()
    for fact in masks:
        counts.update(fact.labels)
    total = sum(counts.values()) - counts[check.ignore_label]
    return [
        {
            "index": index,
            "name": name,
            "pixels": counts[index],
            "share": counts[index] / total if total else None,
            "cases": len(holders),
            "patients": _patients(holders),
        }
        for index, name in enumerate(check.classes)
        for holders in [[fact for fact in masks if index in (fact.labels or ())]]
    ]


def _case(fact: CaseFacts, part: str) -> dict[str, Any]:
    return {
        "case": fact.case.name,
        "patient": fact.case.patient,
        "part": part,
        "size": fact.size,
        "spacing_mm": _rounded(fact.spacing_mm),
        "orientation": fact.orientation,
        "channels": fact.channels,
        "dtype": fact.dtype,
        "intensity": fact.intensity._asdict(),
        "constant": fact.constant,
        "pixels": None if fact.labels is None else {str(i): n for i, n in fact.labels.items()},
        "digest": fact.digest,
    }


def _counted(values: Iterable[Any]) -> list[dict[str, Any]]:
    """Each value and the number of cases that have it, the most frequent first."""
    counts = Counter(values).most_common()
    return [{"value": value, "cases": number} for value, number in counts]


def _rounded(spacing: tuple[float, float, float] | None) -> tuple[float, ...] | None:
    return None if spacing is None else tuple(float(f"{mm:.4g}") for mm in spacing)


def _patients(facts: Iterable[CaseFacts]) -> int:
    return len({fact.case.patient for fact in facts})
