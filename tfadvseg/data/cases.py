"""The cases of a data folder: its images, their masks and their patients."""

from __future__ import annotations

import csv
import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
            f"{root / 'masks'}: {some(orphans)} without an image of that name in images/; "
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
            f"{folder}: no image found ({'only ' + some(found) if found else 'it is empty'}); "
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


def some(names: Sequence[str], most: int = 5) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
