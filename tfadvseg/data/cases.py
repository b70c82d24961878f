"""The cases of a data folder, and their split by patients."""

from __future__ import annotations

import csv
import json
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tfadvseg.config import Config
from tfadvseg.data.io import IMAGE_SUFFIXES, list_images
from tfadvseg.errors import DataWarning, InputError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Case:
    """One image file, with its mask where there is one, and the patient it belongs to."""

    name: str
    image: Path
    mask: Path | None
    patient: str
    split: str | None = None


@dataclass(frozen=True)
class DataFolder:
    """What a data folder holds: its cases, and what `dataset.json` says of them."""

    root: Path
    cases: tuple[Case, ...]
    classes: tuple[str, ...] | None = None
    ignore_label: int | None = None
    window: str | tuple[float, float] | None = None


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
            "patients": {name: _patients(cases) for name, cases in parts.items()},
        }


def read_data_folder(root: Path, patient_pattern: str | None = None) -> DataFolder:
    """Finds the cases of a data folder.

    Args:
        root: a folder with `images/`, and optionally `masks/`, `cases.csv` and `dataset.json`.
        patient_pattern: regular expression, searched in each file name, whose first group is the
            patient; used for files that `cases.csv` does not list.

    Raises:
        InputError: if a folder is missing or empty, or if names, `cases.csv` or `dataset.json`
            do not fit together.
    """
    images = _images_of(root / "images", root)
    masks = _by_stem(list_images(root / "masks")) if (root / "masks").is_dir() else {}
    orphans = sorted(set(masks) - set(images))
    if orphans:
        raise InputError(
            f"{root / 'masks'}: {_some(orphans)} without an image of that name in images/; "
            "add the image or remove the mask"
        )
    return DataFolder(
        root,
        _cases(images, masks, root / "cases.csv", patient_pattern),
        **_read_dataset_json(root / "dataset.json"),
    )


def read_unlabelled_folder(root: Path, patient_pattern: str | None = None) -> tuple[Case, ...]:
    """Finds the images of a pool without labels: in `root/images`, or directly in `root`.

    Raises:
        InputError: if there is no such folder, or no image in it.
    """
    folder = root / "images" if (root / "images").is_dir() else root
    return _cases(_images_of(folder, root), {}, root / "cases.csv", patient_pattern)


def split_cases(folder: DataFolder, unlabelled: Sequence[Case], config: Config) -> Split:
    """Splits the cases by patients: test, validation, and training with and without labels.

    Test and validation patients come from the configuration, else from the split column of
    `cases.csv`; without either there is no test set, and a fifth of the labelled patients (at
    least one) validates. The labelled training patients are the first ones of a seeded order, so
    that a smaller number is always a subset of a larger one.

    Args:
        folder: the data folder.
        unlabelled: cases of a further pool; those of validation and test patients are left out.
        config: `labelled_patients` or `labelled_fraction`, `val_patients`, `test_patients`, `seed`.

    Raises:
        InputError: if there are fewer labelled patients than asked for, or a name is unknown.
    """
    with_masks = _patients(case for case in folder.cases if case.mask)
    if not with_masks:
        raise InputError(
            f"{folder.root / 'masks'}: no mask found; expected class-index images named as their "
            "images"
        )
    order = _shuffled(with_masks, config.seed)
    test = _held_out("test", config.test_patients, folder, order, default=0)
    rest = [patient for patient in order if patient not in test]
    val = _held_out("val", config.val_patients, folder, rest, default=max(1, len(rest) // 5))
    training = [patient for patient in rest if patient not in val]
    if not training:
        raise InputError(
            f"{folder.root}: no labelled patient is left for training: {len(with_masks)} have "
            f"masks, {len(test)} test, {len(val)} validation; lower test_patients or val_patients"
        )
    labelled = _labelled_patients(config, training)
    return _assign(folder.cases, unlabelled, test, val, labelled)


def _assign(
    cases: Iterable[Case],
    pool: Iterable[Case],
    test: set[str],
    val: set[str],
    labelled: set[str],
) -> Split:
    """Puts every case where its patient belongs."""
    cases, pool = list(cases), list(pool)
    held_out = test | val
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
    wanted: int | tuple[str, ...] | None,
    folder: DataFolder,
    candidates: list[str],
    default: int,
) -> set[str]:
    """The patients of the validation or test split."""
    name = f"{split}_patients"
    if isinstance(wanted, tuple):
        return _known(name, wanted, candidates)
    if wanted is None and any(case.split for case in folder.cases):
        listed = {case.patient for case in folder.cases if case.split == split}
        if listed:
            return listed
    number = default if wanted is None else wanted
    if number >= len(candidates):
        raise InputError(
            f"{name}: {number} of the {len(candidates)} labelled patients that are there for it "
            f"leave none for training; label more patients, or set {name} to less"
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
            f"{name}: expected labelled patients among {_some(sorted(candidates))}, received "
            f"{_some(unknown) if unknown else 'none'}"
        )
    return set(wanted)


def _shuffled(patients: list[str], seed: int) -> list[str]:
    return [patients[i] for i in np.random.default_rng(seed).permutation(len(patients))]


def _patients(cases: Iterable[Case]) -> list[str]:
    return sorted({case.patient for case in cases})


def _images_of(folder: Path, root: Path) -> dict[str, Path]:
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; expected a data folder with images/ in it")
    if not folder.is_dir():
        mend = f"did you mean {root.parent}?" if root.name == "images" else "put the images there"
        raise InputError(f"{folder}: no such folder; {mend}")
    images = list_images(folder)
    if not images:
        found = sorted({path.suffix for path in folder.iterdir() if path.suffix})
        raise InputError(
            f"{folder}: no image found ({'only ' + _some(found) if found else 'it is empty'}); "
            f"expected files that end in {', '.join(IMAGE_SUFFIXES)}"
        )
    return _by_stem(images)


def _by_stem(paths: list[Path]) -> dict[str, Path]:
    stems: dict[str, Path] = {}
    for path in paths:
        if path.stem in stems:
            raise InputError(
                f"{path}: the same name as {stems[path.stem].name}; a mask could belong to "
                "either, rename one"
            )
        stems[path.stem] = path
    return stems


def _cases(
    images: dict[str, Path], masks: dict[str, Path], table: Path, patient_pattern: str | None
) -> tuple[Case, ...]:
    rows = _read_cases_csv(table, images) if table.is_file() else {}
    pattern = _compiled(patient_pattern)
    cases, alone = [], 0
    for stem, image in images.items():
        patient, split = rows.get(stem, (None, None))
        if patient is None and pattern is not None:
            found = pattern.search(image.name)
            if not found:
                raise InputError(
                    f"patient_pattern: {patient_pattern!r} does not match {image.name}; expected "
                    r"one that does, for example ^(patient\d+)_"
                )
            patient = found.group(1)
        alone += patient is None
        cases.append(Case(stem, image, masks.get(stem), patient or stem, split))
    if alone:
        warnings.warn(
            f"{alone} of {len(cases)} images in {table.parent} have no known patient, so each "
            "counts as one: slices of a patient may come into training and test; "
            "add cases.csv (file,patient) or set patient_pattern",
            DataWarning,
            stacklevel=4,
        )
    _check_one_split_a_patient(table, cases)
    return tuple(cases)


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"patient_pattern: {pattern!r} is no regular expression: {error}"
        ) from error
    if compiled.groups < 1:
        raise InputError(
            f"patient_pattern: expected a group in round brackets that is the patient, received "
            rf"{pattern!r}; for example ^(patient\d+)_"
        )
    return compiled


def _read_cases_csv(path: Path, images: dict[str, Path]) -> dict[str, tuple[str, str | None]]:
    """Reads `file,patient[,split]` as patient and split by the file's name without ending."""
    rows: dict[str, tuple[str, str | None]] = {}
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        if not {"file", "patient"} <= set(reader.fieldnames or ()):
            raise InputError(
                f"{path}: expected the columns file,patient[,split], received "
                f"{','.join(reader.fieldnames or ())}"
            )
        for row in reader:
            stem, split = Path(row["file"]).stem, row.get("split") or None
            if stem not in images:
                raise InputError(f"{path}: {row['file']} is not in images/; remove the line")
            if split not in (None, *SPLITS):
                raise InputError(
                    f"{path}: the split of {row['file']} is {split!r}; expected train, val or test"
                )
            if not row["patient"]:
                raise InputError(f"{path}: {row['file']} has no patient; fill the column")
            rows[stem] = (row["patient"], split)
    return rows


def _check_one_split_a_patient(table: Path, cases: list[Case]) -> None:
    splits: dict[str, str | None] = {}
    for case in cases:
        if splits.setdefault(case.patient, case.split) != case.split:
            raise InputError(
                f"{table}: patient {case.patient} is in two splits ({splits[case.patient]}, "
                f"{case.split}); a patient belongs to one"
            )


def _read_dataset_json(path: Path) -> dict[str, Any]:
    """Reads class names, ignore label and intensity window; unknown keys are passed over."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path}: expected a JSON object, received what is none: {error}"
        ) from error
    labels = content.get("labels", {}) if isinstance(content, dict) else None
    if not isinstance(labels, dict) or any(
        index not in labels.values() for index in range(len(labels))
    ):
        raise InputError(
            f'{path}: expected {{"labels": {{"background": 0, "name": 1, ...}}}} with the indices '
            f"0, 1, 2, ..., received {json.dumps(content)[:120]}"
        )
    window = content.get("window")
    return {
        "classes": tuple(sorted(labels, key=lambda name: labels[name])) or None,
        "ignore_label": content.get("ignore_label"),
        "window": tuple(window) if isinstance(window, list) else window,
    }


def _some(names: Sequence[str], most: int = 5) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
