"""The cases of a data set: its images, their masks and their patients."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tfadvseg.data.folders import patients
from tfadvseg.data.folders.description import read_description
from tfadvseg.data.folders.layouts import is_table, list_data, list_pool
from tfadvseg.data.folders.listing import Entry, Listing
from tfadvseg.data.folders.text import shown
from tfadvseg.data.image import Source
from tfadvseg.errors import DataWarning, InputError
from tfadvseg.windows import Window


@dataclass(frozen=True)
class Case:
    """One image, with its mask where there is one, and the patient it belongs to."""

    name: str
    image: Source
    mask: Path | None
    patient: str
    split: str | None = None

    @property
    def truth(self) -> Path:
        """The mask.

        Raises:
            InputError: if there is none.
        """
        if self.mask is None:
            raise InputError(f"{self.image}: expected a mask to compare with, it has none")
        return self.mask


@dataclass(frozen=True)
class DataFolder:
    """What a data set holds: its cases, and what `dataset.json` says of them.

    Attributes:
        root: the folder, or the CSV table.
        cases: all images.
        classes: names, background first.
        ignore_label: mask value that no loss and no metric counts.
        window: intensities that become 0 and 1.
        own_test: patients of the data set's own test images (nnU-Net's imagesTs), which never
            train, whatever the settings.
        left_out: number of test images that are no cases, for want of a mask.
    """

    root: Path
    cases: tuple[Case, ...]
    classes: tuple[str, ...] | None = None
    ignore_label: int | None = None
    window: Window | None = None
    own_test: frozenset[str] = frozenset()
    left_out: int = 0


def read_data_folder(
    root: Path,
    patient_pattern: str | None = None,
    *,
    series: str | None = None,
    keep_identifiers: bool = False,
) -> DataFolder:
    """Finds the cases of a data set, in the layout that it has.

    Args:
        root: a folder with `images/`, and optionally `masks/`, `cases.csv` and `dataset.json`; a
            raw data set of nnU-Net (`imagesTr/`, `labelsTr/`, `dataset.json`); one of the Medical
            Segmentation Decathlon; or a CSV table `image,mask[,patient][,split][,name]`.
        patient_pattern: regular expression, searched in each file name, whose first group is the
            patient; used for images that have no patient in a table and no DICOM PatientID.
        series: which series of DICOM folders: its number, description or UID; None for the one
            that is there.
        keep_identifiers: name patients by their DICOM PatientID instead of a pseudonym.

    Raises:
        InputError: if something is missing, or if names, tables and `dataset.json` do not fit
            together.
    """
    home = root.parent if is_table(root) else root
    description = read_description(home / "dataset.json")
    listing = list_data(root, description)
    cases = _cases(root, listing, patient_pattern, series, keep_identifiers)
    own_test = {entry.image.path for entry in listing.entries if listing.own_test and entry.split}
    return DataFolder(
        root,
        cases,
        description.classes,
        description.ignore_label,
        description.window,
        frozenset(case.patient for case in cases if case.image.path in own_test),
        listing.left_out,
    )


def read_unlabelled_folder(
    root: Path,
    patient_pattern: str | None = None,
    *,
    series: str | None = None,
    keep_identifiers: bool = False,
) -> tuple[Case, ...]:
    """Finds the images of a pool without labels.

    Args:
        root: a folder with the images in `images/`, or directly in it, each file an image of its
            own; or a CSV table `image[,patient][,name]`.
        patient_pattern: as in `read_data_folder`.
        series: as in `read_data_folder`.
        keep_identifiers: as in `read_data_folder`.

    Raises:
        InputError: if there is no such folder, or no image in it.
    """
    cases = _cases(root, list_pool(root), patient_pattern, series, keep_identifiers)
    return tuple(replace(case, mask=None) for case in cases)


def check_pool(data: Path, pool: Path) -> None:
    """Refuses the data set itself as its pool: labelled images would be unlabelled as well.

    Args:
        data: as `root` in `read_data_folder`.
        pool: as `root` in `read_unlabelled_folder`.

    Raises:
        InputError: if both are the same folder or table, or the pool is where its images lie.
    """
    own = (data, data / "images", data / "imagesTr")
    if pool.resolve() in [path.resolve() for path in own]:
        raise InputError(
            f"unlabelled: {pool} is the data folder itself, expected another one; drop it: images "
            "without a mask are unlabelled anyway"
        )


def read_images(
    root: Path,
    patient_pattern: str | None = None,
    *,
    series: str | None = None,
    keep_identifiers: bool = False,
) -> tuple[Case, ...]:
    """Finds the images of a data set, or of a pool without labels, whichever it is.

    Args:
        root: as in `read_data_folder` or in `read_unlabelled_folder`. A CSV table need not have a
            column `mask`.
        patient_pattern: as in `read_data_folder`.
        series: as in `read_data_folder`.
        keep_identifiers: as in `read_data_folder`.

    Returns:
        The cases; those that have a mask keep it.

    Raises:
        InputError: if something is missing, or does not fit together.
    """
    parts = ("images", "imagesTr", "dataset.json")
    if any((root / part).exists() for part in parts):
        listing = list_data(root, read_description(root / "dataset.json"))
    else:
        listing = list_pool(root)
    return _cases(root, listing, patient_pattern, series, keep_identifiers)


def _cases(
    root: Path, listing: Listing, pattern: str | None, series: str | None, keep_identifiers: bool
) -> tuple[Case, ...]:
    listing.check()
    table = root if is_table(root) else root / "cases.csv"
    entries = listing.entries
    if table != root and table.is_file():
        entries = patients.from_table(entries, table)
    entries = patients.from_dicom(entries, keep_identifiers, series)
    if pattern is not None:
        entries = patients.from_pattern(entries, pattern)
    alone = sum(entry.patient is None for entry in entries)
    if alone:
        mend = "fill the column patient" if table == root else "add cases.csv (file,patient)"
        warnings.warn(
            f"{alone} of {len(entries)} images in {table.parent} have no known patient, so each "
            "counts as one, though several may be of the same person; "
            f"{mend} or set patient_pattern",
            DataWarning,
            stacklevel=3,
        )
    cases = tuple(_case(entry, series) for entry in entries)
    _check_one_split_a_patient(table if table.is_file() else listing.named_by, cases)
    return cases


def _case(entry: Entry, series: str | None) -> Case:
    image = entry.image
    if image.path.is_dir():
        image = replace(image, series=series)
    return Case(entry.name, image, entry.mask, entry.patient or entry.name, entry.split)


def _check_one_split_a_patient(named_by: Path, cases: Sequence[Case]) -> None:
    splits: dict[str, str | None] = {}
    for case in cases:
        first = splits.setdefault(case.patient, case.split)
        if first != case.split:
            raise InputError(
                f"{named_by}: patient {shown(case.patient)} is in two splits "
                f"({first or 'none'}, {case.split or 'none'}); a patient belongs to one"
            )
