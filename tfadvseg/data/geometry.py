"""Where the voxels of an image lie in the patient, and how a volume is cut into slices."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

# What the slices of each kind show: the patient axes (0 left, 1 posterior, 2 superior) that run
# along slices, rows and columns, and whether each runs backwards. As radiologists look at them:
# the patient's left on the right, the front or the head on top.
SLICE_AXES = {
    "axial": ((2, 1, 0), (False, False, False)),
    "coronal": ((1, 2, 0), (False, True, False)),
    "sagittal": ((0, 2, 1), (False, True, False)),
}
SAME_SPACING = 0.05  # spacings closer than this share count as equal
TOLERANCE = 1e-3  # of spacing, origin (in voxels) and direction, between an image and its mask


@dataclass(frozen=True)
class Geometry:
    """The grid of an image in the patient: LPS coordinates in mm, as in DICOM and SimpleITK.

    Attributes:
        size: voxels along the file's axes (i, j, k); (i, j) for a single picture without a third.
        spacing_mm: distance of neighbouring voxels along these axes.
        origin_mm: centre of the first voxel.
        direction: matrix by rows whose columns are the unit vectors of the axes.
    """

    size: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]

    def axes(self) -> np.ndarray:
        """The direction as a matrix; column a is the unit vector of axis a."""
        return np.reshape(self.direction, (len(self.size), len(self.size)))

    def difference(self, other: Geometry) -> str | None:
        """What differs from another grid, in words; None where both are the same."""
        if self.size != other.size:
            return f"size {_by(self.size)} against {_by(other.size)} voxels"
        if not np.allclose(self.spacing_mm, other.spacing_mm, rtol=TOLERANCE):
            return f"spacing {_by(self.spacing_mm)} against {_by(other.spacing_mm)} mm"
        if not np.allclose(self.direction, other.direction, atol=TOLERANCE):
            return "directions of the axes"
        shift = np.abs(np.subtract(self.origin_mm, other.origin_mm)) / min(self.spacing_mm)
        if shift.max() > TOLERANCE * 10:
            return f"origin {_by(self.origin_mm)} against {_by(other.origin_mm)} mm"
        return None


@dataclass(frozen=True)
class Slicing:
    """Which axes of a file become slices, rows and columns, and which of them are turned round.

    Attributes:
        order: the axes of the stored array (Z, Y, X) that become slice, row and column.
        flips: whether each of the three runs against the stored order.
        spacing_mm: distances of slices, rows and columns; None where the file has no spacing.
    """

    order: tuple[int, int, int] = (0, 1, 2)
    flips: tuple[bool, bool, bool] = (False, False, False)
    spacing_mm: tuple[float, float, float] | None = None

    @property
    def pixel_mm(self) -> tuple[float, float] | None:
        """Height and width of the slices' pixels in mm, None where unknown."""
        return self.spacing_mm and self.spacing_mm[1:]

    def cut(self, voxels: np.ndarray) -> np.ndarray:
        """The stored array (Z, Y, X, ...) as slices (S, H, W, ...); a view."""
        rest = range(3, voxels.ndim)
        return voxels.transpose(*self.order, *rest)[self._steps()]

    def join(self, slices: np.ndarray) -> np.ndarray:
        """Slices (S, H, W, ...) as the stored array (Z, Y, X, ...); a view."""
        rest = range(3, slices.ndim)
        return slices[self._steps()].transpose(*np.argsort(self.order), *rest)

    def stored(self, index: int, count: int) -> int:
        """Where slice `index` of `count` lies in the file, both from 0; and the other way round."""
        return count - 1 - index if self.flips[0] else index

    def _steps(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)


def slicing(geometry: Geometry | None, slice_axis: str = "acquisition") -> Slicing:
    """How a file is cut into slices that always show the patient the same way round.

    Args:
        geometry: of the file; None for pictures without one, which are taken as they are.
        slice_axis: `axial`, `coronal`, `sagittal`, or `acquisition`: the axis with a single
            voxel, else the one whose spacing differs from the two others, else the file's last.
    """
    if geometry is None:
        return Slicing()
    if len(geometry.size) < 3:
        row, column = geometry.spacing_mm[::-1]
        return Slicing(spacing_mm=(1.0, row, column))
    patient_axes = _patient_axes(geometry)
    if slice_axis == "acquisition":
        along = patient_axes[_acquisition_axis(geometry)]
        shown = next(view for view in SLICE_AXES.values() if view[0][0] == along)
    else:
        shown = SLICE_AXES[slice_axis]
    order, flips, spacing = [], [], []
    for patient_axis, backwards in zip(*shown, strict=True):
        axis = patient_axes.index(patient_axis)
        negative = geometry.axes()[patient_axis, axis] < 0
        order.append(2 - axis)  # arrays hold the file's axes the other way round
        flips.append(bool(negative) != backwards)
        spacing.append(geometry.spacing_mm[axis])
    return Slicing(tuple(order), tuple(flips), tuple(spacing))  # type: ignore[arg-type]


def _patient_axes(geometry: Geometry) -> list[int]:
    """The patient axis (0 left, 1 posterior, 2 superior) nearest to each axis of the file."""
    closeness = np.abs(geometry.axes())
    axes = [0, 0, 0]
    for _ in range(3):
        patient_axis, axis = np.unravel_index(np.argmax(closeness), closeness.shape)
        axes[axis] = int(patient_axis)
        closeness[patient_axis, :] = closeness[:, axis] = -1
    return axes


def _acquisition_axis(geometry: Geometry) -> int:
    single = [axis for axis in (2, 1, 0) if geometry.size[axis] == 1]
    if single:
        return single[0]
    logs = [math.log(spacing) for spacing in geometry.spacing_mm]
    apart = [min(abs(logs[a] - logs[b]) for b in range(3) if b != a) for a in range(3)]
    most = max(apart)
    if most <= SAME_SPACING or apart[2] == most:
        return 2
    return apart.index(most)


def _by(numbers: tuple[float, ...]) -> str:
    return "x".join(f"{number:g}" for number in numbers)
