"""What the files of a case hold: each is read once, and what cannot be used is gathered."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk

from tfadvseg.data.folders.cases import Case
from tfadvseg.data.geometry import Geometry, slicing
from tfadvseg.data.image import Image
from tfadvseg.data.io import read_image, read_mask, reading_threads
from tfadvseg.errors import InputError
from tfadvseg.progress import Progress, silent


class Intensity(NamedTuple):
    """Values of an image, over all channels."""

    minimum: float
    p0_5: float
    median: float
    p99_5: float
    maximum: float


@dataclass(frozen=True)
class CaseFacts:
    """What the files of one case hold.

    Attributes:
        case: whose files these are.
        size: number of slices, height and width in pixels, as training cuts the file.
        channels: of each pixel.
        spacing_mm: distances of slices, rows and columns; None for pictures.
        orientation: where the axes of the file point to, as in `LPS` (left, posterior, superior);
            None for pictures and for a single slice without a third axis.
        dtype: NumPy's name of the type of the values.
        intensity: values from the smallest to the greatest.
        saturated: share of the values that are 0 or 255; None for other than 8-bit images.
        labels: pixels of each class index of the mask; None where there is no mask.
        areas: pixels of each class index in a slice that holds it, on average; empty likewise.
        digest: BLAKE2b of shape and values; the same for the same picture in another file.
    """

    case: Case
    size: tuple[int, int, int]
    channels: int
    spacing_mm: tuple[float, float, float] | None
    orientation: str | None
    dtype: str
    intensity: Intensity
    saturated: float | None
    labels: dict[int, int] | None
    areas: dict[int, float]
    digest: str

    @property
    def constant(self) -> bool:
        """Whether the image holds one value only."""
        return self.intensity.minimum == self.intensity.maximum


def inspect(case: Case, slice_axis: str = "acquisition") -> CaseFacts:
    """Reads the files of a case.

    Args:
        case: one image, with or without a mask.
        slice_axis: how volumes are cut into slices; see `geometry.slicing`.

    Raises:
        InputError: if a file cannot be read, the mask holds other than class indices, or image
            and mask do not lie on the same grid.
    """
    image = read_image(case.image)
    voxels, cut = image.voxels, slicing(image.geometry, slice_axis)
    slices, height, width = cut.cut(voxels).shape[:3]
    counts = None if case.mask is None else _counts(case, image, slice_axis)
    return CaseFacts(
        case=case,
        size=(slices, height, width),
        channels=voxels.shape[3],
        spacing_mm=cut.spacing_mm,
        orientation=_orientation(image.geometry),
        dtype=voxels.dtype.name,
        intensity=Intensity(*np.percentile(voxels, (0, 0.5, 50, 99.5, 100)).tolist()),
        saturated=_saturated(voxels) if voxels.dtype == np.uint8 else None,
        labels=None if counts is None else {i: int(n.sum()) for i, n in counts.items()},
        areas={index: float(found[found > 0].mean()) for index, found in (counts or {}).items()},
        digest=_digest(voxels),
    )


def inspect_all(
    cases: Sequence[Case], progress: Progress = silent, slice_axis: str = "acquisition"
) -> tuple[list[CaseFacts], dict[Case, str]]:
    """Reads the files of many cases, several at a time.

    Args:
        cases: in any order.
        progress: wraps the cases to show how far reading has come.
        slice_axis: see `inspect`.

    Returns:
        The facts in the order of the cases, and why each of the other cases cannot be used.
    """

    def look(case: Case) -> CaseFacts | InputError:
        try:
            return inspect(case, slice_axis)
        except InputError as error:
            return error

    with reading_threads() as threads:
        results = list(progress(threads.map(look, cases), len(cases)))
    facts = [result for result in results if isinstance(result, CaseFacts)]
    broken = {
        case: str(result)
        for case, result in zip(cases, results, strict=True)
        if isinstance(result, InputError)
    }
    return facts, broken


def _counts(case: Case, image: Image, slice_axis: str) -> dict[int, np.ndarray]:
    """Pixels of each index in every slice."""
    mask = read_mask(case.mask)  # type: ignore[arg-type]
    differs = mask.difference(image)
    if differs:
        raise InputError(
            f"{case.mask}: the mask lies on another grid than its image: {differs}; write it on "
            "the grid of the image"
        )
    slices = slicing(image.geometry, slice_axis).cut(mask.voxels)
    # One by one, as counting widens the type.
    counts = np.stack([np.bincount(plane.ravel(), minlength=256) for plane in slices])
    return {int(index): counts[:, index] for index in np.flatnonzero(counts.any(axis=0))}


def _orientation(geometry: Geometry | None) -> str | None:
    if geometry is None or len(geometry.size) < 3:
        return None
    return sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(geometry.direction)


def _saturated(voxels: np.ndarray) -> float:
    inside = np.count_nonzero(voxels) - np.count_nonzero(voxels == 255)
    return 1 - inside / voxels.size


def _digest(voxels: np.ndarray) -> str:
    """A hash of shape and values (Z, Y, X, K), the same whatever the type that stores them."""
    digest = hashlib.blake2b(str(voxels.shape).encode(), digest_size=16)
    for plane in voxels:
        digest.update(np.add(plane, 0, dtype=np.float32, order="C", casting="unsafe").data)
    return digest.hexdigest()
