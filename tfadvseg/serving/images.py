"""Encoded images, looked at before a decoder takes the memory that their headers ask for."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tfadvseg.data.formats.soundness import Unsound, check_jpeg, check_png
from tfadvseg.serving.status import invalid

_CHECKS = {b"\x89P": check_png, b"\xff\xd8": check_jpeg}
# TensorFlow would decode these too, whatever size they announce.
_OTHERS = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"RIFF": "WebP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL": "JPEG XL",
}
_PNG_LAYOUT = slice(24, 26)  # bit depth and colour type
Kind = tuple[tuple[int, int], bytes]


def kinds(contents: Iterable[bytes], most_pixels: int) -> tuple[list[Kind | None], int]:
    """What images are, by their headers.

    Args:
        contents: of a request: PNG, JPEG, or what is no image and the graph may know.
        most_pixels: of all of them together.

    Returns:
        For each its sides and layout, which images in one batch share, or None; and how many
        pixels they have together.

    Raises:
        ServingError: if one is damaged or of another format, or if they have too many pixels.
    """
    found = [_kind(content) for content in contents]
    pixels = sum(math.prod(kind[0]) for kind in found if kind)
    check_pixels(pixels, most_pixels)
    return found, pixels


def check_pixels(pixels: int, most_pixels: int) -> None:
    """Refuses images that announce too many pixels.

    Raises:
        ServingError: if they do.
    """
    if pixels > most_pixels:
        raise invalid(
            "too many pixels",
            f"images announce {pixels:,} pixels, more than the {most_pixels:,} of --max-pixels",
        )


def _kind(content: bytes) -> Kind | None:
    other = next((name for start, name in _OTHERS.items() if content.startswith(start)), None)
    if other:
        raise invalid("not PNG or JPEG", f"expected a PNG or JPEG image, received {other}")
    start = bytes(content[:2])
    if start not in _CHECKS:
        return None
    try:
        sides = _CHECKS[start](content)
    except Unsound as error:
        raise invalid("damaged image", f"image: {error}") from error
    return sides, content[_PNG_LAYOUT] if start == b"\x89P" else b"JPEG"
