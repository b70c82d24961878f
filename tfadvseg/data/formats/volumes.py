"""NIfTI, MetaImage and NRRD files to arrays and back, through SimpleITK."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from tfadvseg.data.formats import itk
from tfadvseg.data.formats.meta_image import check_meta_image
from tfadvseg.data.formats.nifti import read_voxels
from tfadvseg.data.formats.soundness import MOST_PIXELS_A_BYTE, Unsound, check_bytes
from tfadvseg.data.geometry import Geometry
from tfadvseg.data.image import Image
from tfadvseg.errors import InputError

READERS = {
    ".nii": "NiftiImageIO",
    ".nii.gz": "NiftiImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
    ".nrrd": "NrrdImageIO",
}
SUFFIXES = tuple(READERS)


def read_volume(path: Path, *, frames_are_channels: bool = False) -> Image:
    """Reads a NIfTI, MHA, MHD or NRRD file.

    Args:
        path: the file.
        frames_are_channels: take the fourth axis for channels; else four axes are refused.

    Raises:
        InputError: if it is missing or damaged, has four axes, or announces more than it holds.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    image_io = _image_io(path)
    with _sound(path):
        if image_io == "MetaImageIO":
            check_meta_image(path)
        reader = itk.read_header(path, image_io)
        size = reader.GetSize()
        if len(size) > 3 and not frames_are_channels and any(n > 1 for n in size[3:]):
            raise InputError(
                f"{path}: {len(size)} axes ({'x'.join(map(str, size))}), expected 3; save every "
                "frame or channel as a file of its own (name_0000, name_0001, ... are channels)"
            )
        if image_io == "NiftiImageIO":
            return Image(read_voxels(path), _geometry(reader))
        _check_announced(path, reader)
        return to_image(itk.read_pixels(reader))


@contextmanager
def _sound(path: Path) -> Iterator[None]:
    """Names the file that is damaged or cannot be read."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Unsound as error:
        raise InputError(f"{path}: {error}; copy it again") from error
    except RuntimeError as error:  # SimpleITK's
        raise InputError(_cannot_be_read(path, error)) from error


def to_image(image: sitk.Image) -> Image:
    """SimpleITK's image as voxels (Z, Y, X, K) and geometry; a fourth axis becomes channels."""
    voxels = np.asarray(_Shared(image))
    if image.GetDimension() > 3:
        voxels = np.moveaxis(voxels.reshape(-1, *voxels.shape[-3:]), 0, -1)
    elif image.GetNumberOfComponentsPerPixel() == 1:
        voxels = voxels[..., np.newaxis]
    return Image(voxels.reshape(-1, *voxels.shape[-3:]), _geometry(image))


class _Shared:
    """Lets arrays use SimpleITK's memory, and keeps the image while one of them lives."""

    def __init__(self, image: sitk.Image):
        self.image = image
        self.__array_interface__ = sitk.GetArrayViewFromImage(image).__array_interface__


def _geometry(header: sitk.Image | sitk.ImageFileReader) -> Geometry:
    axes = len(header.GetSize())
    direction, kept = np.reshape(header.GetDirection(), (axes, axes)), min(axes, 3)
    return Geometry(
        header.GetSize()[:kept],
        header.GetSpacing()[:kept],
        header.GetOrigin()[:kept],
        tuple(direction[:kept, :kept].ravel().tolist()),
    )


def write_volume(path: Path, image: Image) -> None:
    """Writes voxels (Z, Y, X) with their geometry; the file appears whole or not at all."""
    voxels = image.voxels
    if image.geometry is not None and len(image.geometry.size) == 2:
        voxels = voxels[0]
    volume = sitk.GetImageFromArray(voxels)
    if image.geometry is not None:
        volume.SetSpacing(image.geometry.spacing_mm)
        volume.SetOrigin(image.geometry.origin_mm)
        volume.SetDirection(image.geometry.direction)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as scratch:
        try:
            itk.write_image(volume, Path(scratch) / path.name)
            del volume
            read_volume(Path(scratch) / path.name)  # a full disk is no error to every writer
        except (RuntimeError, InputError) as error:
            raise OSError(f"{path} cannot be written: {_last_line(error)}") from error
        # The voxels of .mhd lie in a second file: it comes first, no header is ever alone.
        for file in sorted(Path(scratch).iterdir(), key=lambda file: file.name == path.name):
            file.replace(path.parent / file.name)


def _image_io(path: Path) -> str:
    name = path.name.lower()
    return next(image_io for suffix, image_io in READERS.items() if name.endswith(suffix))


def _check_announced(path: Path, reader: sitk.ImageFileReader) -> None:
    """Refuses a header that announces more than the file can hold, before memory is taken."""
    announced = math.prod(reader.GetSize()) * reader.GetNumberOfComponents()
    check_bytes(announced)
    held = sum(file.stat().st_size for file in _files(path))
    if announced > held * MOST_PIXELS_A_BYTE:
        raise Unsound(
            f"its header announces {'x'.join(map(str, reader.GetSize()))} voxels, which its {held} "
            "bytes cannot hold"
        )


def _files(path: Path) -> list[Path]:
    """The file, and for a header the file of the voxels beside it."""
    if path.suffix.lower() != ".mhd":
        return [path]
    return [p for p in path.parent.glob(f"{path.stem}.*") if p.is_file()]


def _cannot_be_read(path: Path, error: Exception) -> str:
    if "orthonormal" in str(error):
        return f"{path}: its axes are not at right angles; resample it on a grid whose axes are"
    return f"{path}: damaged, or not what its ending says ({_last_line(error)}); write it again"


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
