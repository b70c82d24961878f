"""The patients of the images: from a table, from DICOM headers, or from the file names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tfadvseg.data.folders.listing import SPLITS, Entry
from tfadvseg.data.folders.text import read_table, shown, some
from tfadvseg.data.formats import dicom
from tfadvseg.data.identity import pseudonym
from tfadvseg.data.io import is_dicom, stem_of
from tfadvseg.errors import InputError


def from_table(entries: Sequence[Entry], table: Path) -> tuple[Entry, ...]:
    """The images with the patients and splits of `cases.csv`.

    Raises:
        InputError: if the table has other columns than `file,patient[,split]`, lists an image
            that is not there, or another split than the layout has.
    """
    rows = _read_cases_csv(table, entries)
    result = []
    for entry in entries:
        patient, split = rows.get(entry.name, (None, None))
        if entry.split and split not in (None, entry.split):
            raise InputError(
                f"{table}: {entry.name} is in the split {split}, but lies among the {entry.split} "
                "images; leave its split empty"
            )
        result.append(replace(entry, patient=patient, split=entry.split or split))
    return tuple(result)


def from_dicom(
    entries: Sequence[Entry], keep_identifiers: bool, series: str | None = None
) -> tuple[Entry, ...]:
    """DICOM images with the patients of their headers, where none is known yet.

    Args:
        entries: images; those of other formats stay as they are.
        keep_identifiers: take the PatientID as it is. Else a pseudonym stands for it, and for the
            name of a case that tells it.
        series: which one is read, of folders with several.
    """
    return tuple(
        _from_header(entry, keep_identifiers, series) if is_dicom(entry.image.path) else entry
        for entry in entries
    )


def from_pattern(entries: Sequence[Entry], pattern: str) -> tuple[Entry, ...]:
    """The images with the patients in their file names, where none is known yet.

    Args:
        entries: images.
        pattern: regular expression whose first group is the patient.

    Raises:
        InputError: if it is no regular expression with a group, or finds no patient in a name.
    """
    compiled = _compiled(pattern)
    return tuple(
        entry if entry.patient is not None else replace(entry, patient=_found(compiled, entry))
        for entry in entries
    )


def _from_header(entry: Entry, keep: bool, series: str | None) -> Entry:
    path, patient = entry.image.path, entry.patient
    if patient is None:
        identifier = dicom.patient_of(path, series)
        patient = pseudonym(identifier) if identifier and not keep else identifier
    return replace(entry, name=dicom.safe_name(entry.name, path, keep, series), patient=patient)


def _found(pattern: re.Pattern[str], entry: Entry) -> str:
    file = entry.image.path.name
    found = pattern.search(file)
    if not found or not found.group(1):
        raise InputError(
            f"patient_pattern: {pattern.pattern!r} finds no patient in {shown(file)}; expected one "
            r"that does, for example ^(patient\d+)_"
        )
    return found.group(1)


def _compiled(pattern: str) -> re.Pattern[str]:
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


def _read_cases_csv(path: Path, entries: Sequence[Entry]) -> dict[str, tuple[str, str | None]]:
    """Reads `file,patient[,split]` as patient and split by the name of the case."""
    names = {stem_of(file): entry.name for entry in entries for file in entry.image.files}
    names |= {entry.name: entry.name for entry in entries}
    rows: dict[str, tuple[str, str | None]] = {}
    unknown = []
    for line, row in read_table(path, ("file", "patient"), ("split",)):
        name, split = names.get(stem_of(Path(row["file"]))), row.get("split") or None
        if name is None:
            unknown.append(row["file"] or f"(line {line})")
            continue
        if split not in (None, *SPLITS):
            raise InputError(
                f"{path}: the split of {name} is {shown(str(split))!r}; expected train, val or test"
            )
        if not row["patient"]:
            raise InputError(f"{path}: {name} has no patient; fill the column")
        if rows.setdefault(name, (row["patient"], split)) != (row["patient"], split):
            raise InputError(f"{path}, line {line}: {name} is listed before, with other values")
        rows[name] = (row["patient"], split)
    if unknown:
        raise InputError(f"{path}: no image is named {some(unknown)}; remove the lines")
    return rows
