"""The header of a DICOM file: what it holds, whom it shows, and where its slice lies."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from tfadvseg.data.formats import itk, volumes
from tfadvseg.data.formats.dicom_elements import check_dicom
from tfadvseg.data.formats.dicom_grid import Plane
from tfadvseg.data.formats.soundness import MOST_BYTES, Unsound
from tfadvseg.data.image import Image
from tfadvseg.errors import InputError

_STORAGE = "1.2.840.10008.5.1.4.1.1."
NOT_IMAGES = {  # by the first part of the SOP class
    "1.2.840.10008.1.3.10.": "a directory of other files",
    f"{_STORAGE}4.2.": "a spectrum",
    f"{_STORAGE}9.": "a waveform",
    f"{_STORAGE}11.": "a presentation state",
    f"{_STORAGE}66.": "a segmentation, a registration or raw data",
    f"{_STORAGE}67.": "a mapping of values",
    f"{_STORAGE}88.": "a structured report",
    f"{_STORAGE}104.": "a document",
    **{f"{_STORAGE}481.{n}.": "a plan, dose or contours of radiotherapy" for n in range(2, 20)},
}
# CT, MR and PET in one file; every frame has a position of its own.
ENHANCED = {f"{_STORAGE}{n}" for n in ("2.1", "2.2", "4.1", "4.3", "4.4", "128.1", "130")}

_META = {  # elements of the file's first group, whose encoding is always the same
    "sop_class": re.compile(rb"\x02\x00\x02\x00UI..([0-9.]+)", re.DOTALL),
    "transfer_syntax": re.compile(rb"\x02\x00\x10\x00UI..([0-9.]+)", re.DOTALL),
}
_UNCOMPRESSED = {"", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}
_MOST_UNCOMPRESSED = 2  # two of six samples are left out in YBR 4:2:2
_MOST_COMPRESSION = 10_000  # JPEG 2000 shrinks an empty picture of 2048 x 2048 by 6,600

_CODECS = {  # of character sets whose names in Python are not those of DICOM
    **{"13": "shift_jis", "58": "gb2312", "87": "iso2022_jp", "159": "iso2022_jp_2"},
    **{"149": "euc_kr", "192": "utf-8", "203": "iso8859_15"},
}
# Distances of pixels: in the patient, on the detector, and those that were scanned.
_SPACINGS = ("0028|0030", "0018|1164", "0018|2010")


def is_dicom(path: Path) -> bool:
    """Whether a file says that it is DICOM, by its bytes or else by its ending; a cheap look."""
    return path.is_file() and (path.suffix.lower() == ".dcm" or _head(path)[128:132] == b"DICM")


def dicom_files(folder: Path) -> Iterator[Path]:
    """The DICOM files directly in a folder, in no order; hidden ones and DICOMDIR left out."""
    for path in folder.iterdir():
        if not path.name.startswith(".") and path.name.upper() != "DICOMDIR" and is_dicom(path):
            yield path


def not_an_image(path: Path) -> str | None:
    """What a DICOM file holds if it is no image, in words; None where it may be one."""
    sop_class = _meta(path, "sop_class") + "."
    return next((what for part, what in NOT_IMAGES.items() if sop_class.startswith(part)), None)


class Header:
    """The header of one DICOM image, and its voxels when they are asked for.

    Args:
        path: the file.

    Raises:
        InputError: if it is missing, damaged, no image, or announces more than it holds.
    """

    def __init__(self, path: Path):
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        what = not_an_image(path)
        if what:
            raise InputError(f"{path}: {what}, not an image; choose a file of an image series")
        try:
            check_dicom(path)
        except Unsound as error:
            if not is_dicom(path):
                raise InputError(
                    f"{path}: neither its ending nor its content is that of an image; give PNG, "
                    "JPEG, TIFF, DICOM, NIfTI, MetaImage or NRRD"
                ) from error
            raise InputError(f"{path}: damaged: {error}; export it again") from error
        self.path = path
        with _readable(path):
            self._reader = itk.read_header(path, "GDCMImageIO")
        self._check_announced()

    def text(self, tag: str) -> str:
        """The value of an element such as `0020|000e`; empty where it is absent or blank."""
        if not self._reader.HasMetaDataKey(tag):
            return ""
        value = self._reader.GetMetaData(tag).encode("utf-8", "surrogateescape")
        return value.decode(self._codec, "replace").strip(" \0")

    def numbers(self, tag: str, count: int) -> tuple[float, ...] | None:
        """The numbers of an element; None where it is absent or blank."""
        text = self.text(tag)
        try:
            numbers = tuple(float(part) for part in text.split("\\")) if text else None
        except ValueError:
            numbers = ()
        if numbers is not None and (len(numbers) != count or not all(map(math.isfinite, numbers))):
            raise InputError(
                f"{self.path}: expected {count} numbers in ({tag.replace('|', ',')}), received "
                f"{text[:80]!r}; export the file again"
            )
        return numbers

    @property
    def size(self) -> tuple[int, int, int]:
        """Columns, rows and frames."""
        return self._reader.GetSize()

    @property
    def dtype(self) -> np.dtype:
        """The type of the voxels after slope and intercept."""
        return sitk.GetArrayViewFromImage(sitk.Image([1, 1], self._reader.GetPixelID())).dtype

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return self._reader.GetNumberOfComponents()

    @property
    def is_enhanced(self) -> bool:
        """Whether each frame has a position of its own, which GDCM does not tell."""
        return self.text("0008|0016") in ENHANCED

    @property
    def thickness(self) -> float:
        """Distance of slices that the header announces, in mm; 1 where it announces none."""
        announced = (self.numbers("0018|0088", 1), self.numbers("0018|0050", 1))
        return next((abs(value[0]) for value in announced if value and value[0]), 1.0)

    @property
    def has_spacing(self) -> bool:
        """Whether it says the distance of pixels; GDCM tells 1 mm where it does not.

        That of the regions of an ultrasound image, which its library does not read, does not count.
        """
        return any(self.text(tag) for tag in _SPACINGS)

    @cached_property
    def plane(self) -> Plane | None:
        """Where the slice lies; None where the header does not tell."""
        position, axes = self.numbers("0020|0032", 3), self.numbers("0020|0037", 6)
        if position is None or axes is None or not self.has_spacing:
            return None
        spacing = self._reader.GetSpacing()
        return Plane(self.path.name, self.size[:2], (spacing[0], spacing[1]), position, axes)

    def image(self) -> Image:
        """Voxels (Z, Y, X, K), slope and intercept applied, and the geometry as GDCM tells it.

        Without a distance of pixels there is no geometry.
        """
        with _readable(self.path):
            image = volumes.to_image(itk.read_pixels(self._reader))
        return image if self.has_spacing else Image(image.voxels, None)

    @cached_property
    def _codec(self) -> str:
        """Python's name of the header's character set."""
        key = "0008|0005"
        names = self._reader.GetMetaData(key) if self._reader.HasMetaDataKey(key) else ""
        name = names.split("\\")[-1].strip()
        number = re.search(r"IR (\d+)", name)
        if number is None:
            return name if name.startswith("GB") else "latin-1"
        codec = _CODECS.get(number.group(1), f"iso_ir_{number.group(1)}")
        try:
            codecs.lookup(codec)
        except LookupError:  # a name in it is shown amiss; nothing else depends on it
            return "latin-1"
        return codec

    def _check_announced(self) -> None:
        """Refuses a header that announces more than the file can hold, before memory is taken."""
        bits = int(self.text("0028|0100")) * self.channels
        announced = math.prod(self.size) * bits / 8
        compressed = _meta(self.path, "transfer_syntax") not in _UNCOMPRESSED
        held = self.path.stat().st_size
        most = held * (_MOST_COMPRESSION if compressed else _MOST_UNCOMPRESSED)
        if announced > min(most, MOST_BYTES):
            raise InputError(
                f"{self.path}: its header announces {'x'.join(map(str, self.size))} voxels, more "
                f"than its {held} bytes can hold; the file is damaged"
            )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise InputError(
            f"{path}: cannot be read as a DICOM image: damaged, truncated, without pixels, or "
            "compressed in a way that is not known; export it again, uncompressed"
        ) from error


def _meta(path: Path, name: str) -> str:
    found = _META[name].search(_head(path)[132:])
    return found.group(1).decode() if found else ""


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(1024)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
