"""The voxels of NIfTI files.

The library that SimpleITK reads them with fills what is missing with zeros, turns what is no
number into 0, both in silence, and holds a volume twice. So the voxels are read here, and the
geometry there. https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tfadvseg.data.formats.soundness import CHUNK, Unsound, check_bytes

_KINDS = {
    **{2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8"},
    **{256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"},
}
_COLOURS = {128: 3, 2304: 4}  # bytes of RGB and RGBA in a voxel
# By the length of the header, where NIfTI-1 and -2 hold sides, type, first voxel, slope, intercept.
_FIELDS = {
    348: ((40, "8h"), (70, "h"), (108, "f"), (112, "ff")),
    540: ((16, "8q"), (12, "h"), (168, "q"), (176, "dd")),
}
LONGEST_HEADER = 544
_LAST_START = 1 << 26  # of the voxels: extensions of the header may lie before them


@dataclass(frozen=True)
class _Header:
    """What tells how the voxels lie in the file.

    Attributes:
        shape: (V, T, Z, Y, X) components, frames and sides.
        dtype: of a component.
        colours: bytes of colour in a voxel; 0 for none.
        start: place of the first voxel.
        slope, intercept: what stored values mean; slope 0 for just themselves.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    colours: int
    start: int
    slope: float
    intercept: float


def read_voxels(path: Path) -> np.ndarray:
    """Reads the voxels of a NIfTI file, packed or not.

    Returns:
        (Z, Y, X, K); frames and components are channels. Of the stored type, or float32 where
        slope and intercept change the values.

    Raises:
        Unsound: if the file is damaged or holds less than it announces.
        OSError: if it cannot be read.
    """
    try:
        with _opened(path) as stream:
            header = _header(stream.read(LONGEST_HEADER))
            stream.seek(header.start)
            voxels = np.empty((*header.shape, header.colours or 1), header.dtype)
            _fill(memoryview(voxels).cast("B"), stream)  # type: ignore[arg-type]
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Unsound(f"truncated or damaged ({error})") from error
    if not header.dtype.isnative:
        voxels = voxels.byteswap(inplace=True).view(header.dtype.newbyteorder())
    if header.slope not in (0, 1) or header.intercept:
        voxels = voxels * np.float32(header.slope or 1) + np.float32(header.intercept)
    channels = voxels.reshape(-1, *header.shape[2:], voxels.shape[-1])
    return channels[0] if len(channels) == 1 else np.moveaxis(channels[..., 0], 0, -1)


def count_voxels(content: bytes) -> int:
    """How many values a header announces.

    Args:
        content: the first LONGEST_HEADER bytes of a file, unpacked.

    Raises:
        Unsound: if it is damaged.
    """
    header = _header(content)
    return math.prod(header.shape) * (header.colours or 1)


def _header(content: bytes) -> _Header:
    for order in "<>":
        for length, fields in _FIELDS.items():
            if len(content) >= length and struct.unpack_from(order + "i", content)[0] == length:
                (axes, *sides), (kind,), (start,), (slope, intercept) = (
                    struct.unpack_from(order + form, content, place) for place, form in fields
                )
                if 1 <= axes <= 7 and min(sides[:axes]) > 0 and 0 <= start <= _LAST_START:
                    sides = [side if a < axes else 1 for a, side in enumerate(sides)]
                    return _checked(order, sides, kind, int(start), slope, intercept)
    raise Unsound("its header is damaged, or it is no NIfTI file")


def _checked(
    order: str, sides: list[int], kind: int, start: int, slope: float, intercept: float
) -> _Header:
    if kind not in _KINDS and kind not in _COLOURS:
        raise Unsound(f"its voxels are of the type {kind}, expected integers or floating point")
    if sides[5] * sides[6] > 1:
        raise Unsound("it has more than five axes")
    dtype, colours = np.dtype(order + _KINDS.get(kind, "u1")), _COLOURS.get(kind, 0)
    shape = (sides[4], sides[3], sides[2], sides[1], sides[0])
    check_bytes(math.prod(shape) * dtype.itemsize * (colours or 1))
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        slope, intercept = 0, 0
    return _Header(shape, dtype, colours, start, slope, intercept if slope else 0)


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else path.open("rb")  # type: ignore[return-value]


def _fill(memory: memoryview, stream: BinaryIO) -> None:
    """Reads the voxels piece by piece, then the rest, whose end holds the checksum."""
    filled = 0
    while filled < len(memory):
        count = stream.readinto(memory[filled : filled + CHUNK])  # type: ignore[attr-defined]
        if not count:
            raise Unsound(f"its header announces {len(memory):,} bytes, it holds {filled:,}")
        filled += count
    while stream.read(CHUNK):
        pass
