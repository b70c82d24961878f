"""Whether a file holds what its header announces.

Decoders fill what is missing with zeros or grey, take the memory that a header asks for, or talk
to the terminal. So files are looked at before a decoder sees them.
"""

from __future__ import annotations

import math
import struct
import zlib

MOST_BYTES = 16 << 30  # of a decoded image
MOST_PIXELS_A_BYTE = 8 * 1100  # of a file: zlib shrinks by 1032 at most, a pixel may be a bit
CHUNK = 1 << 20  # bytes that are read at once
_JPEG_END = b"\xff\xd9"
_JPEG_NO_FRAME = (0xC4, 0xC8, 0xCC)  # tables among the markers of frames
_TIFF_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_TIFF_SIDES = {256: "width", 257: "height"}


class Unsound(Exception):
    """What is wrong with a file, in words that go on from its name."""


def check_png(content: bytes) -> tuple[int, int]:
    """Walks a PNG's chunks (length, type, data, checksum) to the last one.

    Returns:
        Width and height.
    """
    start, sides = 8, (0, 0)
    while start + 12 <= len(content):
        end = start + 8 + int.from_bytes(content[start : start + 4], "big")
        checksum = int.from_bytes(content[end : end + 4], "big")
        if zlib.crc32(content[start + 4 : end]) != checksum:
            break
        if content[start + 4 : start + 8] == b"IHDR":
            sides = struct.unpack_from(">II", content, start + 8)
            _check_sides(content, *sides)
        if content[start + 4 : start + 8] == b"IEND":
            return sides
        start = end + 4
    raise Unsound(f"truncated or damaged ({len(content)} bytes)")


def check_jpeg(content: bytes) -> tuple[int, int]:
    """Walks a JPEG's segments to the one with its sides, and looks for its end.

    Returns:
        Height and width.
    """
    start = 2
    while start + 9 <= len(content) and content[start] == 0xFF:
        marker, (length,) = content[start + 1], struct.unpack_from(">H", content, start + 2)
        if 0xC0 <= marker <= 0xCF and marker not in _JPEG_NO_FRAME:
            sides = struct.unpack_from(">HH", content, start + 5)
            _check_sides(content, *sides)
            if _JPEG_END in content[-4096:]:
                return sides
            break
        start += 2 + length
    raise Unsound(f"truncated or damaged ({len(content)} bytes)")


def check_tiff(content: bytes) -> None:
    """Reads the sides of a TIFF's pages, which a decoder would take memory for."""
    order = "<" if content[:2] == b"II" else ">"
    big = content[2:4] in (b"\x2b\0", b"\0\x2b")
    count, entry, word = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    try:
        (place,) = struct.unpack_from(order + word, content, 8 if big else 4)
        seen = set()
        while place and place not in seen:
            seen.add(place)
            (entries,) = struct.unpack_from(order + count, content, place)
            place += struct.calcsize(order + count)
            sides = {}
            for _ in range(entries):
                tag, kind, _, value = struct.unpack_from(order + entry, content, place)
                place += struct.calcsize(order + entry)
                if tag in _TIFF_SIDES and kind in _TIFF_NUMBERS:
                    (sides[tag],) = struct.unpack_from(order + _TIFF_NUMBERS[kind], value)
            _check_sides(content, *(sides.get(tag, 0) for tag in _TIFF_SIDES))
            (place,) = struct.unpack_from(order + word, content, place)
    except struct.error as error:
        raise Unsound(f"truncated or damaged ({len(content)} bytes)") from error


def _check_sides(content: bytes, *sides: int) -> None:
    pixels = math.prod(sides)
    if not 0 < pixels <= MOST_PIXELS_A_BYTE * len(content):
        raise Unsound(
            f"its header announces {'x'.join(map(str, sides))} pixels, which its {len(content)} "
            "bytes cannot hold"
        )


def check_bytes(announced: int) -> None:
    """Refuses more than memory should be asked for, and nothing at all."""
    if not 0 < announced <= MOST_BYTES:
        raise Unsound(f"its header announces {announced:,} bytes")
