"""Image files of every format to arrays and back. One contract: voxels and geometry."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tfadvseg.data.formats import dicom, raster, volumes
from tfadvseg.data.image import Image, Source
from tfadvseg.errors import DataWarning, InputError

SUFFIXES = (*raster.SUFFIXES, *volumes.SUFFIXES, *dicom.SUFFIXES)
_MOST_THREADS = 8  # each may hold a whole volume


def reading_threads() -> ThreadPoolExecutor:
    """Threads that read several files at a time, few enough for the memory that volumes take."""
    return ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS))


def read_image(source: Source | Path) -> Image:
    """Reads an image: the values that its file means, and its geometry.

    Args:
        source: a PNG, JPEG or TIFF (pages are slices), NIfTI, MHA, MHD, NRRD or DICOM file, or a
            folder with a DICOM series; or several files of one grid, one a channel.

    Returns:
        Voxels (Z, Y, X, K) of the stored type; DICOM and NIfTI rescaled by slope and intercept
        (HU). Voxels that are no numbers become 0, with a warning.

    Raises:
        InputError: naming the file that is missing, damaged, or of a kind that is not read.
    """
    source = source if isinstance(source, Source) else Source((source,))
    channels = [_read(path, source) for path in source.files]
    first = channels[0]
    for path, other in zip(source.files[1:], channels[1:], strict=True):
        differs = first.difference(other)
        if differs:
            raise InputError(
                f"{path}: another grid than {source.path.name}: {differs}; the channels of an "
                "image must lie on one grid, resample them"
            )
    voxels = np.concatenate([c.voxels for c in channels], -1) if channels[1:] else first.voxels
    return Image(_finite(voxels, source.path), first.geometry)


def read_mask(path: Path) -> Image:
    """Reads a mask of class indices.

    Returns:
        Voxels (Z, Y, X) of uint8.

    Raises:
        InputError: if the file cannot be read, has several channels that differ, or holds values
            that are not class indices of 0 to 255.
    """
    image = _read(path, Source((path,)))
    voxels = image.voxels
    if voxels.shape[-1] > 1 and (voxels != voxels[..., :1]).any():
        raise InputError(
            f"{path}: expected a grey mask of class indices, received a colour image; "
            "write the index of the class into each pixel (0 background, 1, 2, ...)"
        )
    voxels = voxels[..., 0]
    if voxels.dtype != np.uint8:
        with np.errstate(invalid="ignore"):
            indices = voxels.astype(np.uint8)
        if (voxels != indices).any():
            raise InputError(
                f"{path}: expected class indices from 0 to 255, received {voxels.dtype} values "
                f"from {voxels.min()} to {voxels.max()}"
            )
        voxels = indices
    return Image(voxels, image.geometry)


def write_mask(path: Path, image: Image) -> None:
    """Writes a mask, or a map of one channel, in the format that the file's ending names.

    Args:
        path: .png, .tif (pages), .nii, .nii.gz, .mha, .mhd or .nrrd; its folder is made where it
            is missing. It appears whole or not at all.
        image: voxels (Z, Y, X); the geometry is written where the format has one.
    """
    if suffix_of(path) in volumes.SUFFIXES:
        volumes.write_volume(path, image)
    else:
        raster.write_pages(path, image.voxels)


def list_images(folder: Path) -> list[Path]:
    """The images directly in a folder, by name: files, and folders with a DICOM series.

    Hidden files are passed over.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".")
        and (dicom.is_series_folder(path) if path.is_dir() else suffix_of(path) in SUFFIXES)
    )


def is_dicom(path: Path) -> bool:
    """Whether a path is read as DICOM: a folder, or a file whose ending is none of the others."""
    return path.is_dir() or suffix_of(path) not in (*raster.SUFFIXES, *volumes.SUFFIXES)


def suffix_of(path: Path) -> str:
    """The ending of a file name, in lower case; `.nii.gz` is one."""
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()


def stem_of(path: Path) -> str:
    """The name of a file without its ending, or of a folder."""
    suffix = suffix_of(path)
    return path.name[: -len(suffix)] if suffix in SUFFIXES else path.name


def _read(path: Path, source: Source) -> Image:
    if is_dicom(path):
        return dicom.read_series(path, source.series) if path.is_dir() else dicom.read_file(path)
    if suffix_of(path) in volumes.SUFFIXES:
        return volumes.read_volume(path, frames_are_channels=source.frames_are_channels)
    return raster.read_pages(path)


def _finite(voxels: np.ndarray, path: Path) -> np.ndarray:
    """The voxels without NaN and infinities, which would poison whatever they meet."""
    if voxels.dtype.kind != "f":
        return voxels
    finite = np.isfinite(voxels)
    if finite.all():
        return voxels
    if not finite.any():
        raise InputError(f"{path}: not one voxel is a number; write the image again")
    warnings.warn(
        f"{path}: {finite.size - np.count_nonzero(finite)} voxels are no numbers; they become 0",
        DataWarning,
        stacklevel=3,
    )
    return np.where(finite, voxels, 0)
