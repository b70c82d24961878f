"""Enhanced CT, MR and PET: one DICOM file whose frames have positions and slopes of their own.

GDCM takes the order of the frames for the order of the slices, and the first slope for all:
pydicom, which the extra `dicom` brings, reads these headers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfadvseg.data.formats.dicom_grid import Plane, grid_of, order_of
from tfadvseg.data.formats.dicom_header import Header
from tfadvseg.data.image import Image
from tfadvseg.errors import InputError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def read_frames(header: Header) -> Image:
    """Reads the frames of an enhanced file in the order of their positions.

    Raises:
        InputError: if pydicom is not installed, or if the frames are not the slices of a volume.
    """
    dataset = _dataset(header)
    frames = range(header.size[2])
    try:
        planes = [_plane(header, dataset, frame) for frame in frames]
        slopes = np.array([_slope_and_intercept(dataset, frame) for frame in frames])
        thickness = float(_group(dataset, 0, "PixelMeasuresSequence").get("SliceThickness") or 1)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise InputError(
            f"{header.path}: the positions of its frames cannot be read ({error}); export the "
            "series again, one file a slice"
        ) from error
    order = order_of(planes, header.path)
    geometry = grid_of([planes[index] for index in order], header.path, thickness)
    return Image(_rescaled(header.image().voxels, slopes)[order], geometry)


def _dataset(header: Header) -> Dataset:
    try:
        import pydicom
    except ImportError as error:
        raise InputError(
            f"{header.path}: enhanced DICOM (many slices in a file) needs pydicom; "
            'pip install "tfadvseg[dicom]", or export the series one file a slice'
        ) from error
    return pydicom.dcmread(header.path, stop_before_pixels=True, force=True)


def _group(dataset: Dataset, frame: int, name: str) -> Dataset:
    """The values of a frame, or those that all frames share."""
    own = dataset.PerFrameFunctionalGroupsSequence[frame]
    groups = own if name in own else dataset.SharedFunctionalGroupsSequence[0]
    return getattr(groups, name)[0]


def _plane(header: Header, dataset: Dataset, frame: int) -> Plane:
    row, column = _group(dataset, frame, "PixelMeasuresSequence").PixelSpacing
    position = _group(dataset, frame, "PlanePositionSequence").ImagePositionPatient
    axes = _group(dataset, frame, "PlaneOrientationSequence").ImageOrientationPatient
    return Plane(
        f"frame {frame + 1}",
        header.size[:2],
        (float(column), float(row)),
        tuple(map(float, position)),
        tuple(map(float, axes)),
    )


def _slope_and_intercept(dataset: Dataset, frame: int) -> tuple[float, float]:
    name = "PixelValueTransformationSequence"
    shared = dataset.SharedFunctionalGroupsSequence[0]
    if name not in shared and name not in dataset.PerFrameFunctionalGroupsSequence[frame]:
        return 1.0, 0.0
    values = _group(dataset, frame, name)
    return float(values.RescaleSlope), float(values.RescaleIntercept)


def _rescaled(voxels: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Each frame by its own slope and intercept, where GDCM applied the first frame's to all."""
    if (slopes == slopes[0]).all():
        return voxels
    slope, intercept = slopes[:, :, np.newaxis, np.newaxis, np.newaxis].swapaxes(0, 1)
    return (voxels - intercept[0]) / slope[0] * slope + intercept
