"""Image files to arrays and back: PNG, JPEG and TIFF, 8 and 16 bit, grey or colour."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from tfadvseg.errors import InputError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")

_JPEG_END = b"\xff\xd9"


def read_image(path: Path) -> np.ndarray:
    """Reads an image as its stored values.

    Args:
        path: a PNG, JPEG or single-page TIFF file, 8 or 16 bit (TIFF: also float), grey, RGB or
            RGBA; an alpha channel is dropped.

    Returns:
        Array (H, W, K) of the stored type, K being 1 or 3 (RGB).

    Raises:
        InputError: if the file is missing, truncated or cannot be decoded, naming it.
    """
    pixels = _decode(path)
    if pixels.ndim == 2:
        return pixels[..., np.newaxis]
    if pixels.shape[2] == 2:
        return pixels[..., :1]
    return np.ascontiguousarray(pixels[..., 2::-1])  # BGR(A) to RGB


def read_mask(path: Path) -> np.ndarray:
    """Reads a mask of integer class indices.

    Returns:
        Array (H, W) of uint8.

    Raises:
        InputError: if the file cannot be read, is a colour image, or holds values that are not
            class indices of 0 to 255.
    """
    pixels = _decode(path)
    if pixels.ndim == 3:
        if (pixels[..., :3] != pixels[..., :1]).any():
            raise InputError(
                f"{path}: expected a grey mask of class indices, received a colour image; "
                "write the index of the class into each pixel (0 background, 1, 2, ...)"
            )
        pixels = pixels[..., 0]
    if pixels.dtype != np.uint8:
        if (pixels != pixels.astype(np.uint8)).any():
            raise InputError(
                f"{path}: expected class indices from 0 to 255, received {pixels.dtype} values "
                f"from {pixels.min()} to {pixels.max()}"
            )
        pixels = pixels.astype(np.uint8)
    return pixels


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Writes a PNG through a temporary file, so that no half-written one is ever seen.

    Args:
        path: the file; its folder is made where it is missing.
        pixels: (H, W) or (H, W, 3) RGB; uint8 or uint16.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = cv2.imencode(".png", pixels if pixels.ndim == 2 else pixels[..., ::-1])[1]
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(encoded.tobytes())
    temporary.replace(path)


def list_images(folder: Path) -> list[Path]:
    """The image files directly in a folder, by name; hidden files are passed over."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )


def _decode(path: Path) -> np.ndarray:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if _is_damaged(content):
        raise InputError(f"{path}: truncated or damaged ({len(content)} bytes); copy it again")
    with _without_decoder_chatter():
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        pages = cv2.imcount(str(path)) if content[:2] in (b"II", b"MM") else 1
    if pixels is None:
        raise InputError(f"{path}: not an image that can be decoded; expected PNG, JPEG or TIFF")
    if pages > 1:
        raise InputError(f"{path}: expected one page, received {pages}; save each as a file")
    return pixels


def _is_damaged(content: bytes) -> bool:
    """Whether the end or a checksum is missing: decoders fill the rest of such a file with grey."""
    if content.startswith(b"\x89PNG"):
        return not _png_is_sound(content)
    if content.startswith(b"\xff\xd8"):
        return _JPEG_END not in content[-4096:]
    return not content


def _png_is_sound(content: bytes) -> bool:
    """Walks a PNG's chunks (length, type, data, checksum) to the last one."""
    start = 8
    while start + 12 <= len(content):
        end = start + 8 + int.from_bytes(content[start : start + 4], "big")
        checksum = int.from_bytes(content[end : end + 4], "big")
        if zlib.crc32(content[start + 4 : end]) != checksum:
            return False
        if content[start + 4 : start + 8] == b"IEND":
            return True
        start = end + 4
    return False


@contextmanager
def _without_decoder_chatter() -> Iterator[None]:
    """Keeps what OpenCV prints about a bad file off the terminal: our own error names it."""
    logging = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging  # OpenCV 4, 5
    level = logging.getLogLevel()
    logging.setLogLevel(0)
    try:
        yield
    finally:
        logging.setLogLevel(level)
