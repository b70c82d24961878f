"""DICOM series and single files to arrays, and the identities that their headers hold."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfadvseg.data.formats import dicom_frames
from tfadvseg.data.formats.dicom_grid import grid_of, order_of
from tfadvseg.data.formats.dicom_header import Header, dicom_files, is_dicom, not_an_image
from tfadvseg.data.identity import pseudonym
from tfadvseg.data.image import Image
from tfadvseg.errors import InputError

SUFFIXES = (".dcm",)

MOST_LISTED = 5
SHORTEST_IDENTITY = 3  # characters; shorter ones are found in names by chance


def is_series_folder(folder: Path) -> bool:
    """Whether a folder holds DICOM files, directly; looks at the first bytes of each."""
    return next(dicom_files(folder), None) is not None


def read_series(folder: Path, wanted: str | None = None) -> Image:
    """Reads the slices of a DICOM series in the order of their positions.

    Files that are not DICOM, and DICOM files that are no images (reports, plans), are passed over.

    Args:
        folder: the files of the series, under any names.
        wanted: number, description or UID of the series, where the folder holds several.

    Returns:
        Voxels (Z, Y, X, K), each slice rescaled by its own slope and intercept (HU); Z runs along
        the normal of the slices, and its spacing is the mean distance of neighbouring slices.

    Raises:
        InputError: if there is no series or several, if a file is damaged, or if the slices do
            not make up a volume.
    """
    headers = _series(folder, wanted)
    if len(headers) == 1:
        return _read_one(headers[0])
    headers = _in_order(headers, folder)
    planes = [header.plane for header in headers if header.plane]
    return Image(_stack(headers), grid_of(planes, folder, headers[0].thickness))


def read_file(path: Path) -> Image:
    """Reads a single DICOM file, of one frame or many.

    Returns:
        Voxels (Z, Y, X, K), rescaled by slope and intercept; values of MONOCHROME1 are inverted,
        so that dense is bright.

    Raises:
        InputError: if it is missing, damaged, not DICOM or no image.
    """
    return _read_one(Header(path))


def series_files(folder: Path, wanted: str | None = None) -> tuple[Path, ...]:
    """The files of a series in the order of the slices that `read_series` gives.

    Args:
        folder: of the series; a single file is its own series.
        wanted: as for `read_series`.

    Raises:
        InputError: as `read_series`.
    """
    if folder.is_file():
        return (folder,)
    return tuple(header.path for header in _in_order(_series(folder, wanted), folder))


def patient_of(path: Path, series: str | None = None) -> str | None:
    """The PatientID of a DICOM file or series folder; None where it is blank or not DICOM.

    Args:
        path: the file or folder.
        series: as `wanted` for `read_series`.
    """
    header = _identity_header(path, series)
    return (header.text("0010|0020") or None) if header else None


def safe_name(name: str, path: Path, keep: bool = False, series: str | None = None) -> str:
    """The name of a case without the identity of the patient.

    Args:
        name: of the case, as the file or folder gives it.
        path: the DICOM file or series folder.
        keep: leave the name as it is.
        series: as `wanted` for `read_series`.

    Returns:
        The name; or a pseudonym of it where it contains the PatientID or a family name of the
        header, whatever its case and separators.
    """
    header = None if keep else _identity_header(path, series)
    if header is None:
        return name
    plain = _plain(name)
    found = any(identity in plain for identity in _identities(header))
    return pseudonym(name, "case") if found else name


def _read_one(header: Header) -> Image:
    if header.is_enhanced:
        return dicom_frames.read_frames(header)
    image = header.image()
    if header.plane is None or header.size[2] > 1:
        return image
    return Image(image.voxels, grid_of([header.plane], header.path, header.thickness))


def _series(folder: Path, wanted: str | None) -> list[Header]:
    """The headers of the wanted series, by file name."""
    paths = sorted(dicom_files(folder)) if folder.is_dir() else []
    series: dict[str, list[Header]] = {}
    for path in paths:
        if not_an_image(path) is None:
            header = Header(path)
            series.setdefault(header.text("0020|000e"), []).append(header)
    if not series:
        what = f"only {not_an_image(paths[0])} in {paths[0].name}" if paths else "no DICOM file"
        raise InputError(f"{folder}: {what}; expected a folder with the files of a DICOM series")
    found = [uid for uid in series if wanted is None or _matches(series[uid][0], wanted.strip())]
    if len(found) == 1:
        _check_one_patient(series[found[0]])
        return series[found[0]]
    count = "no series" if not found else f"{len(found)} series"
    asked = f" for {wanted!r}" if wanted is not None else ""
    raise InputError(
        f"{folder}: {count}{asked}, expected one; choose with `series` (number, description or "
        f"UID) from {_listing([series[uid] for uid in found or series])}"
    )


def _check_one_patient(headers: Sequence[Header]) -> None:
    first = headers[0]
    for header in headers[1:]:
        if header.text("0010|0020") != first.text("0010|0020"):
            raise InputError(
                f"{header.path}: of another patient than {first.path.name}, in one series; move "
                "it to a folder of its own"
            )


def _matches(header: Header, wanted: str) -> bool:
    number, description, uid = map(header.text, ("0020|0011", "0008|103e", "0020|000e"))
    return wanted in (number, uid) or wanted.casefold() == description.casefold()


def _listing(series: Sequence[list[Header]]) -> str:
    """Number, description and slices of each series; the UID too where these do not tell."""
    series = sorted(series, key=lambda headers: headers[0].text("0020|0011").rjust(12))
    labels = [_label(headers) for headers in series]
    if len(set(labels)) < len(labels):
        labels = [
            f"{label} {headers[0].text('0020|000e')}"
            for label, headers in zip(labels, series, strict=True)
        ]
    more = f" and {len(labels) - MOST_LISTED} more" if len(labels) > MOST_LISTED else ""
    return ", ".join(labels[:MOST_LISTED]) + more


def _label(headers: list[Header]) -> str:
    number = headers[0].text("0020|0011") or "without number"
    description = " ".join(headers[0].text("0008|103e").split()) or "no description"
    slices = sum(header.size[2] for header in headers)
    return f"{number} ({description}, {slices} slice{'s' if slices > 1 else ''})"


def _in_order(headers: list[Header], folder: Path) -> list[Header]:
    """The headers by position; those of a series that is no stack of slices are refused."""
    if len(headers) == 1:
        return headers
    planes = []
    for header in headers:
        if header.size[2] > 1:
            raise InputError(
                f"{header.path}: {header.size[2]} frames, in a series of {len(headers)} files; "
                "expected one slice a file, move it to a folder of its own"
            )
        if header.plane is None:
            lacking = "position and orientation (ImagePositionPatient)"
            if header.text("0020|0032") and header.text("0020|0037"):
                lacking = "size of pixels (PixelSpacing)"
            raise InputError(
                f"{header.path}: no {lacking}, in a series of {len(headers)} files; move it to a "
                "folder of its own"
            )
        planes.append(header.plane)
    order = order_of(planes, folder)
    for index in order[1:]:
        if headers[index].channels != headers[order[0]].channels:
            raise InputError(
                f"{headers[index].path}: {headers[index].channels} channels against "
                f"{headers[order[0]].channels} of {headers[order[0]].path.name}; remove it"
            )
    return [headers[index] for index in order]


def _stack(headers: list[Header]) -> np.ndarray:
    """The slices one by one: SimpleITK would give all of them the type of the first."""
    columns, rows, _ = headers[0].size
    shape = (len(headers), rows, columns, headers[0].channels)
    voxels = np.empty(shape, np.result_type(*(header.dtype for header in headers)))
    for z, header in enumerate(headers):
        voxels[z] = header.image().voxels[0]
    return voxels


def _identity_header(path: Path, series: str | None) -> Header | None:
    """The header that names the patient, the first of the series; None where there is no image.

    That no file is of the series, or that it has several patients, `read_series` refuses.
    """
    if not path.is_dir():
        return Header(path) if is_dicom(path) and not_an_image(path) is None else None
    headers = (Header(file) for file in sorted(dicom_files(path)) if not_an_image(file) is None)
    first = next(headers, None)
    if first is None or series is None or _matches(first, series.strip()):
        return first
    return next((header for header in headers if _matches(header, series.strip())), first)


def _identities(header: Header) -> set[str]:
    """The PatientID and the words of the family name, in each way that the name is written."""
    family = [name.split("^")[0] for name in header.text("0010|0010").split("=")]
    words = [header.text("0010|0020"), *re.findall(r"\w+", " ".join(family))]
    return {_plain(word) for word in words if len(word) >= SHORTEST_IDENTITY} - {""}


def _plain(text: str) -> str:
    """Letters and digits alone, whatever their case and the way their accents are written."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter for letter in folded if letter.isalnum())
