"""The planes of DICOM slices, and the grid that they make up."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfadvseg.data.geometry import TOLERANCE, Geometry
from tfadvseg.errors import DataWarning, InputError

SAME_POSITION = 0.01  # gaps below this share of the usual one: the slices lie at one place
MISSING = 1.5  # gaps above this multiple of the usual one: slices are missing
UNEVEN = 0.01  # share of the usual gap by which others may differ without a word
SHEARED = 0.1  # voxels by which a slice may lie beside the one before it without a word


@dataclass(frozen=True)
class Plane:
    """Where a slice lies in the patient.

    Attributes:
        name: of the file or frame, for messages.
        size: columns and rows.
        spacing_mm: of columns and rows.
        position_mm: centre of the first pixel, as in ImagePositionPatient.
        orientation: unit vectors along a row and along a column, as in ImageOrientationPatient.
    """

    name: str
    size: tuple[int, int]
    spacing_mm: tuple[float, float]
    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]

    def difference(self, other: Plane) -> str | None:
        """What keeps two planes from being slices of one volume; None where nothing does."""
        if self.size != other.size:
            return f"size {_by(self.size)} against {_by(other.size)}"
        if not np.allclose(self.spacing_mm, other.spacing_mm, rtol=TOLERANCE):
            return f"pixel spacing {_by(self.spacing_mm)} against {_by(other.spacing_mm)} mm"
        if not np.allclose(self.orientation, other.orientation, atol=TOLERANCE):
            return "orientation"
        return None


def order_of(planes: Sequence[Plane], where: Path) -> list[int]:
    """The indices of planes in the order of their positions along their normal.

    Args:
        planes: of one series, in any order.
        where: the folder or file, for messages.

    Raises:
        InputError: if they differ in size, spacing or orientation, or if two lie at one place.
    """
    first = planes[0]
    for plane in planes[1:]:
        differs = first.difference(plane)
        if differs:
            raise InputError(
                f"{where}: {first.name} and {plane.name} differ in {differs}; a series must hold "
                "the slices of one volume, move what does not belong to it"
            )
    heights = _heights(planes, _axes(first, where))
    order = [int(index) for index in np.argsort(heights, kind="stable")]
    gaps = np.diff(heights[order])
    same = max(SAME_POSITION * _usual(gaps), TOLERANCE * min(first.spacing_mm))
    for gap, one, other in zip(gaps, order, order[1:], strict=False):
        if gap <= same:
            raise InputError(
                f"{where}: {planes[one].name} and {planes[other].name} lie at one position; keep "
                "one slice for each (one time point, one echo)"
            )
    return order


def grid_of(planes: Sequence[Plane], where: Path, thickness_mm: float) -> Geometry:
    """The grid of planes in order; what is not even is reported with a warning.

    Args:
        planes: in the order of their positions.
        where: the folder or file, for messages.
        thickness_mm: distance of slices, taken where there is only one.
    """
    first = planes[0]
    axes = _axes(first, where)
    gaps = np.diff(_heights(planes, axes))
    usual = _usual(gaps)
    sound = gaps[gaps <= MISSING * usual]
    _warn_of_missing(planes, gaps, usual, where)
    _warn_of_uneven(sound, usual, where)
    _warn_of_shear(planes, axes, where)
    return Geometry(
        (*first.size, len(planes)),
        (*first.spacing_mm, float(sound.mean()) if len(sound) else thickness_mm),
        first.position_mm,
        tuple(axes.ravel().tolist()),
    )


def _axes(plane: Plane, where: Path) -> np.ndarray:
    """Matrix whose columns are the unit vectors along rows, along columns and of the normal."""
    row, column = np.reshape(plane.orientation, (2, 3))
    lengths = np.linalg.norm([row, column], axis=1)
    if not np.allclose(lengths, 1, atol=0.01) or abs(row @ column) > 0.01:
        raise InputError(
            f"{where}: the orientation of {plane.name} ({_by(plane.orientation)}) is not that of "
            "two axes at right angles; export the series again"
        )
    row = row / lengths[0]
    normal = np.cross(row, column)
    normal /= np.linalg.norm(normal)
    return np.stack([row, np.cross(normal, row), normal], axis=1)


def _heights(planes: Sequence[Plane], axes: np.ndarray) -> np.ndarray:
    return np.array([plane.position_mm for plane in planes]) @ axes[:, 2]


def _usual(gaps: np.ndarray) -> float:
    """The median; of two in the middle the narrower, since the wider may lack a slice."""
    return float(np.sort(gaps)[(len(gaps) - 1) // 2]) if len(gaps) else 0.0


def _warn_of_missing(planes: Sequence[Plane], gaps: np.ndarray, usual: float, where: Path) -> None:
    wide = np.flatnonzero(gaps > MISSING * usual)
    if not len(wide):
        return
    missing = [round(gaps[z] / usual) - 1 for z in wide]
    places = [
        f"{count} between {planes[z].name} and {planes[z + 1].name}"
        for z, count in zip(wide[:3], missing, strict=False)
    ]
    more = f" and {len(wide) - 3} more gaps" if len(wide) > 3 else ""
    _warn(
        f"{where}: {sum(missing)} of {len(planes) + sum(missing)} slices are missing: "
        f"{', '.join(places)}{more}; what lies beyond a gap is taken for {usual:g} mm after it"
    )


def _warn_of_uneven(gaps: np.ndarray, usual: float, where: Path) -> None:
    if (np.abs(gaps - usual) > UNEVEN * usual).any():
        _warn(
            f"{where}: the distances of its slices range from {gaps.min():g} to {gaps.max():g} mm; "
            f"{gaps.mean():g} mm is taken for all"
        )


def _warn_of_shear(planes: Sequence[Plane], axes: np.ndarray, where: Path) -> None:
    """A tilted gantry: the slices do not lie straight above each other."""
    beside = np.array([plane.position_mm for plane in planes]) @ axes[:, :2]
    shift = np.abs(beside - beside[0]).max()
    if shift > SHEARED * min(planes[0].spacing_mm):
        _warn(
            f"{where}: its slices are shifted against each other by up to {shift:.3g} mm (a tilted "
            "gantry?); they are taken as if they lay straight above each other"
        )


def _warn(text: str) -> None:
    warnings.warn(text, DataWarning, stacklevel=4)


def _by(numbers: Sequence[float]) -> str:
    return "x".join(f"{number:g}" for number in numbers)
