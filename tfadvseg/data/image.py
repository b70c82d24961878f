"""What a reader gives: voxels, and where they lie in the patient."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfadvseg.data.geometry import Geometry


@dataclass(frozen=True)
class Source:
    """The files of one image.

    Attributes:
        files: one file for all channels, or one a channel; a DICOM series is a folder.
        series: which series of a DICOM folder: its number, description or UID; None for the one
            that is there.
        frames_are_channels: the fourth axis of a file holds channels, as in the Medical
            Segmentation Decathlon.
    """

    files: tuple[Path, ...]
    series: str | None = None
    frames_are_channels: bool = False

    @property
    def path(self) -> Path:
        """The file that names the image."""
        return self.files[0]

    @property
    def has_scales(self) -> bool:
        """Whether each channel was measured by itself, on a scale of its own; not so in colour."""
        return len(self.files) > 1 or self.frames_are_channels


@dataclass(frozen=True)
class Image:
    """An image or a mask as it is stored, rescaled to the units that its file means (HU).

    Attributes:
        voxels: (Z, Y, X, K); a single picture has Z = 1. Masks have no K.
        geometry: None for PNG, JPEG and TIFF, which say nothing of the patient.
    """

    voxels: np.ndarray
    geometry: Geometry | None = None

    def difference(self, other: Image) -> str | None:
        """What differs between the grids of two images, in words; None where they are the same.

        Two sizes are compared where one of the files says nothing of the patient.
        """
        if self.geometry is not None and other.geometry is not None:
            return self.geometry.difference(other.geometry)
        sizes = [image.voxels.shape[2::-1] for image in (self, other)]
        if sizes[0] == sizes[1]:
            return None
        if sizes[0][2] == sizes[1][2] == 1:
            sizes = [size[:2] for size in sizes]
        one, two = ("x".join(map(str, size)) for size in sizes)
        return f"size {one} against {two} pixels"
