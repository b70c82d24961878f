"""Pictures to arrays and back: PNG, JPEG and TIFF, 8 and 16 bit, grey or colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from tfadvseg.data.formats.soundness import Unsound, check_jpeg, check_png, check_tiff
from tfadvseg.data.image import Image
from tfadvseg.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")

# By the first bytes, which count more than the name: a JPEG named .png is read.
_CHECKS = {
    b"\x89P": check_png,
    b"\xff\xd8": check_jpeg,
    b"II": check_tiff,
    b"MM": check_tiff,
}


def read_pages(path: Path) -> Image:
    """Reads the pages of a picture as slices.

    Args:
        path: a PNG, JPEG or TIFF file, 8 or 16 bit (TIFF: also float), grey, RGB or RGBA; an
            alpha channel is dropped.

    Returns:
        Voxels (Z, Y, X, K) of the stored type, Z pages, K being 1 or 3 (RGB); no geometry.

    Raises:
        InputError: if the file is missing, truncated or cannot be decoded, or if its pages
            differ in size, naming it.
    """
    pages = _decode(path)
    shapes = {page.shape for page in pages}
    if len(shapes) > 1:
        raise InputError(f"{path}: its {len(pages)} pages differ in size; save each as a file")
    return Image(np.stack([_channels(page) for page in pages]))


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


def write_pages(path: Path, pages: np.ndarray) -> None:
    """Writes one page (1, H, W) as PNG or several as the pages of a TIFF; whole or not at all."""
    if path.suffix.lower() == ".png":
        return write_png(path, pages[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".writing-{path.name}")  # OpenCV goes by the ending
    try:
        if not cv2.imwritemulti(str(temporary), list(pages)):
            raise OSError(f"{path} cannot be written; is the disk full?")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _channels(page: np.ndarray) -> np.ndarray:
    """A page as OpenCV decodes it, (H, W) or (H, W, C) in BGR(A), as (H, W, K)."""
    if page.ndim == 2:
        return page[..., np.newaxis]
    if page.shape[2] == 2:
        return page[..., :1]
    return page[..., 2::-1]


def _decode(path: Path) -> list[np.ndarray]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        _CHECKS.get(content[:2], lambda content: None)(content)
    except Unsound as error:
        raise InputError(f"{path}: {error}; copy it again") from error
    buffer = np.frombuffer(content, np.uint8)
    with _without_decoder_chatter():
        try:
            found: Sequence[np.ndarray | None]
            if content[:2] in (b"II", b"MM"):
                found = cv2.imdecodemulti(buffer, cv2.IMREAD_UNCHANGED)[1]
            else:
                found = [cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)]
        except cv2.error as error:
            raise InputError(f"{path}: damaged ({error.err}); copy it again") from error
    pages = [page for page in found if page is not None]
    if not pages or len(pages) < len(found):
        raise InputError(f"{path}: not an image that can be decoded; expected PNG, JPEG or TIFF")
    return pages


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
