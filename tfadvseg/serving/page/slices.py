"""One slice of an image: what the model is asked with, and the file that its mask becomes."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfadvseg.data.formats.volumes import write_volume
from tfadvseg.data.geometry import Geometry, Slicing, slicing
from tfadvseg.data.image import Image
from tfadvseg.serving.page.uploads import Upload
from tfadvseg.serving.status import invalid


@dataclass(frozen=True)
class Slice:
    """A slice of an image.

    Attributes:
        voxels: (H, W, K) stored values.
        number: which, from 0.
        count: of how many.
        pixel_mm: height and width of its pixels; None where the image does not say.
        grid: where it lies in the patient, as a volume with a single slice; None likewise.
        cut: how it was cut from the file.
        notes: what is odd about the file, in words.
    """

    voxels: np.ndarray
    number: int
    count: int
    pixel_mm: tuple[float, float] | None
    grid: Geometry | None
    cut: Slicing
    notes: tuple[str, ...]


def take_slice(upload: Upload, slice_axis: str, number: int | None) -> Slice:
    """Cuts one slice out of an image.

    Args:
        upload: the image.
        slice_axis: how the model's images are cut, see `geometry.slicing`.
        number: which, from 0; the middle one for None.

    Raises:
        ServingError: if there is no such slice.
    """
    geometry = upload.image.geometry
    cut = slicing(geometry, slice_axis)
    slices = cut.cut(upload.image.voxels)
    count = len(slices)
    chosen = count // 2 if number is None else number
    if not 0 <= chosen < count:
        raise invalid("no such slice", f"slice {chosen}: expected 0 to {count - 1}")
    grid = geometry if upload.has_pixel_size else None
    if grid is not None and len(grid.size) == 3:
        axis = 2 - cut.order[0]
        grid = _one_slice(grid, axis, cut.stored(chosen, count))
    pixel_mm = cut.pixel_mm if upload.has_pixel_size else None
    voxels = slices[chosen].copy()  # a view would keep the volume
    return Slice(voxels, chosen, count, pixel_mm, grid, cut, upload.notes)


def to_nifti(mask: np.ndarray, of: Slice) -> bytes | None:
    """The mask (H, W) of a slice as .nii.gz that lies over the image; None without a grid."""
    if of.grid is None:
        return None
    with tempfile.TemporaryDirectory(prefix="tfadvseg-") as folder:
        path = Path(folder) / "mask.nii.gz"
        write_volume(path, Image(of.cut.join(mask[np.newaxis]), of.grid))
        return path.read_bytes()


def _one_slice(grid: Geometry, axis: int, place: int) -> Geometry:
    """The part of a grid that is one voxel thick along an axis of the file."""
    step = grid.axes()[:, axis] * grid.spacing_mm[axis] * place
    size = tuple(1 if a == axis else n for a, n in enumerate(grid.size))
    return replace(grid, size=size, origin_mm=tuple((np.array(grid.origin_mm) + step).tolist()))
