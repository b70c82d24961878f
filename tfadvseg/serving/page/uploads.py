"""Uploaded files to slices, with the readers that training and prediction use."""

from __future__ import annotations

import re
import struct
import tempfile
import warnings
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path

from tfadvseg.data.formats.dicom_header import Header
from tfadvseg.data.formats.nifti import LONGEST_HEADER, count_voxels
from tfadvseg.data.formats.soundness import Unsound
from tfadvseg.data.image import Image, Source
from tfadvseg.data.io import read_image
from tfadvseg.errors import DataWarning, InputError
from tfadvseg.serving.images import check_pixels, kinds
from tfadvseg.serving.status import invalid

_NIFTI_STARTS = {length.to_bytes(4, order) for length in (348, 540) for order in ("little", "big")}
_GZIP = b"\x1f\x8b"
_META = 1024  # bytes of a DICOM file that name its transfer syntax
_JPEG_2000 = re.compile(rb"1\.2\.840\.10008\.1\.2\.4\.(9[0-3]|20[1-3])")
_CODESTREAM = re.compile(rb"\xff\x4f\xff\x51.{4}(.{8})", re.DOTALL)  # its width and height
_NAME = "image"  # what messages call the file: its own name stays with who sent it


@dataclass(frozen=True)
class Upload:
    """An image that somebody sent.

    Attributes:
        image: its voxels and geometry.
        has_pixel_size: whether the file says how large its pixels are.
        notes: what is odd about it, in words.
    """

    image: Image
    has_pixel_size: bool
    notes: tuple[str, ...] = ()


def read_upload(content: bytes, most_pixels: int, channels: int) -> Upload:
    """Reads a PNG, JPEG, DICOM or NIfTI file, which its bytes tell apart.

    The readers want a file: it lies in a temporary folder while they read. They are asked one at a
    time, as what they warn of is caught for the whole process.

    Args:
        content: of the file.
        most_pixels: that it may announce, of all slices and channels together.
        channels: that the model takes; with several, the fourth axis of a NIfTI file is channels.

    Raises:
        ServingError: if it is none of these, damaged, or announces too much.
    """
    suffix = _suffix(content, most_pixels)
    with tempfile.TemporaryDirectory(prefix="tfadvseg-") as folder:
        path = Path(folder) / f"{_NAME}{suffix}"
        path.write_bytes(content)
        try:
            has_pixel_size = suffix.startswith(".nii")
            if suffix == ".dcm":
                has_pixel_size = _check_dicom(Header(path), most_pixels)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", DataWarning)
                image = read_image(Source((path,), frames_are_channels=channels > 1))
        except InputError as error:
            raise invalid("unreadable image", _without_path(str(error), path)) from error
    found = (str(warning.message) for warning in caught)
    return Upload(image, has_pixel_size, tuple(_without_path(text, path) for text in found))


def _suffix(content: bytes, most_pixels: int) -> str:
    """The ending by which the readers know the file, once its header is found to be sound."""
    if content[128:132] == b"DICM" or content[:2] == b"\x08\x00":
        if _JPEG_2000.search(content, 0, _META):
            for stream in _CODESTREAM.finditer(content):  # the library decodes these sides first
                width, height = struct.unpack(">II", stream[1])
                check_pixels(width * height, most_pixels)
        return ".dcm"
    packed = content.startswith(_GZIP)
    start = _unpacked(content) if packed else content[:LONGEST_HEADER]
    if start[:4] in _NIFTI_STARTS:
        try:
            check_pixels(count_voxels(start), most_pixels)
        except Unsound as error:
            raise invalid("damaged image", f"{_NAME}: {error}") from error
        return ".nii.gz" if packed else ".nii"
    (found,), _ = kinds([content], most_pixels)
    if found is None:
        raise invalid(
            "not an image",
            "this is not an image that is read here; expected a PNG, JPEG, DICOM or NIfTI file",
        )
    return ".png"  # of JPEG too: the reader of pictures goes by the bytes


def _unpacked(content: bytes) -> bytes:
    """The first bytes of what gzip has packed, and no more."""
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(content, LONGEST_HEADER)
    except zlib.error as error:
        raise invalid("damaged image", f"{_NAME}: a damaged gzip file; copy it again") from error


def _check_dicom(header: Header, most_pixels: int) -> bool:
    """Whether a DICOM file says how large its pixels are; where it does not, GDCM assumes 1 mm."""
    check_pixels(prod(header.size) * header.channels, most_pixels)
    return header.is_enhanced or header.numbers("0028|0030", 2) is not None


def _without_path(text: str, path: Path) -> str:
    return text.replace(str(path), _NAME)
