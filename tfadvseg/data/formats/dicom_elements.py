"""Whether the elements of a DICOM file hang together, from the first to the last.

Its library may run for minutes on a file whose lengths or types are damaged, so that such a file
is found before. DICOM PS3.5, section 7.
"""

from __future__ import annotations

import struct
import zlib
from functools import cached_property
from pathlib import Path

from tfadvseg.data.formats.soundness import Unsound

# Types whose length has two bytes, and those with two bytes unused and four of length.
_SHORT = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_UNDEFINED = 0xFFFFFFFF  # length: what follows are items, up to a delimiter
_ITEM, _END_OF_ITEM, _END_OF_SEQUENCE = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_LEAST_INFLATED, _MOST_INFLATION = 64 << 20, 20  # bytes that may always come, times the file's size
_DEPTH = 32  # of sequences in sequences
_META_GROUP, _SYNTAX = 2, (2, 0x10)
_IMPLICIT, _BIG_ENDIAN, _DEFLATED = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
)


def check_dicom(path: Path) -> None:
    """Walks over the elements of a file.

    Raises:
        Unsound: if a type is none of DICOM's, or an element reaches beyond the end of the file.
        OSError: if the file cannot be read.
    """
    content = path.read_bytes()
    start, syntax = 0, _IMPLICIT
    if content[128:132] == b"DICM":
        start, syntax = _walk_meta(content)
    elif content[4:6] in _SHORT | _LONG:
        syntax = ""  # explicit, without a preamble
    if syntax == _DEFLATED:
        content, start = _inflated(content[start:]), 0
    order = ">" if syntax == _BIG_ENDIAN else "<"
    _Walk(content, order, explicit=syntax != _IMPLICIT).elements(start, len(content))


def _inflated(content: bytes) -> bytes:
    """What is deflated; no more than an image may hold, for a few bytes can announce anything."""
    most = max(_LEAST_INFLATED, _MOST_INFLATION * len(content))
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = stream.decompress(content, most)
    except zlib.error as error:
        raise Unsound("its deflated part is damaged") from error
    if stream.unconsumed_tail:
        raise Unsound(f"its {len(content)} bytes inflate to more than {most}")
    return inflated


def _walk_meta(content: bytes) -> tuple[int, str]:
    """Where the elements about the file itself end, and the syntax that the others have."""
    walk, place, syntax = _Walk(content, "<", explicit=True), 132, ""
    while place + 2 <= len(content) and walk.unpack("H", place) == (_META_GROUP,):
        tag, begin, length = walk.header(place)
        place = begin + length
        if place > len(content):
            break
        if tag == _SYNTAX:
            syntax = content[begin:place].rstrip(b"\0 ").decode("latin-1")
    return place, syntax


class _Walk:
    """Walks over elements of one byte order and one kind of headers."""

    def __init__(self, content: bytes, order: str, *, explicit: bool):
        self.content, self.order, self.explicit = content, order, explicit

    def elements(self, place: int, end: int, depth: int = 0) -> int:
        """Walks to the end, or behind the delimiter of an item; where that is."""
        while place < end and (depth or place < self.filled):
            tag, begin, length = self.header(place)
            if tag == _END_OF_ITEM:
                return begin
            if length == _UNDEFINED:
                place = self.within(place).items(begin, end, depth + 1)
            else:
                place = begin + length
            if place > end:
                raise Unsound(
                    f"the element ({tag[0]:04x},{tag[1]:04x}) reaches beyond the end of the file"
                )
        return place

    def items(self, place: int, end: int, depth: int) -> int:
        """Walks over the items of a sequence, or of compressed pixels; where they end."""
        while place < end and depth < _DEPTH:
            tag, begin, length = self.header(place)
            if tag == _END_OF_SEQUENCE:
                return begin
            if tag != _ITEM:
                break
            place = self.elements(begin, end, depth) if length == _UNDEFINED else begin + length
        raise Unsound("a sequence has no end")

    @cached_property
    def filled(self) -> int:
        """Where nothing but zeros begins, which some write up to a round length."""
        return len(self.content.rstrip(b"\0"))

    def within(self, place: int) -> _Walk:
        """What walks over the items of an element: implicit ones in type UN (PS3.5, 6.2.2)."""
        unknown = self.explicit and self.content[place + 4 : place + 6] == b"UN"
        return _Walk(self.content, "<", explicit=False) if unknown else self

    def header(self, place: int) -> tuple[tuple[int, int], int, int]:
        """Tag of the element at a place, where its value begins, and how long it is."""
        group, number = self.unpack("HH", place)
        kind, begin, form = self.content[place + 4 : place + 6], place + 8, "I"
        if self.explicit and group != _ITEM[0]:
            if kind not in _SHORT | _LONG:
                raise Unsound(f"the element ({group:04x},{number:04x}) is of the type {kind!r}")
            begin, form = (place + 8, "H") if kind in _SHORT else (place + 12, "I")
        (length,) = self.unpack(form, begin - struct.calcsize(form))
        return (group, number), begin, length

    def unpack(self, form: str, place: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from(self.order + form, self.content, place)
        except struct.error as error:
            raise Unsound("truncated") from error
