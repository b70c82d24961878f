"""What SimpleITK reads and writes, one file at a time.

Its image IO, ITK's, shares variables between threads without a lock and runs without Python's, so
that two threads in it now and then corrupt the memory of the process
(https://github.com/SimpleITK/SimpleITK/issues/74). Whoever opens files by SimpleITK calls these.
"""

from __future__ import annotations

import threading
from pathlib import Path

import SimpleITK as sitk

_one_at_a_time = threading.Lock()

sitk.ProcessObject.SetGlobalWarningDisplay(False)  # what is wrong comes as an exception, once


def read_header(path: Path, image_io: str) -> sitk.ImageFileReader:
    """Reads size, geometry and elements of a file.

    Args:
        path: the file.
        image_io: ITK's name of the format, such as `NiftiImageIO`.

    Raises:
        RuntimeError: if it is damaged or of another format.
    """
    reader = sitk.ImageFileReader()
    reader.SetImageIO(image_io)
    reader.SetFileName(str(path))
    with _one_at_a_time:
        reader.ReadImageInformation()
    return reader


def read_pixels(reader: sitk.ImageFileReader) -> sitk.Image:
    """Reads the file whose header was read; raises RuntimeError where it is damaged."""
    with _one_at_a_time:
        return reader.Execute()


def write_image(image: sitk.Image, path: Path) -> None:
    """Writes a compressed file of the format that its ending names; raises RuntimeError."""
    with _one_at_a_time:
        sitk.WriteImage(image, str(path), useCompression=True)
