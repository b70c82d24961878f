"""Small DICOM series."""

import numpy as np
import pytest

NORMAL = np.cross([0.8, 0.6, 0], [0, 0, -1])
OBLIQUE = [0.8, 0.6, 0, 0, 0, -1]


@pytest.fixture
def write_series(write_slice):
    """Writes a series whose file names say nothing of the order; returns the true voxels (HU)."""

    def write(folder, heights=(0, 2, 4, 6, 8), *, shape=(6, 7), oblique=False, seed=0, **elements):
        rng = np.random.default_rng(seed)
        stored = rng.integers(-800, 2000, (len(heights), *shape)).astype(np.int16)
        names = rng.permutation(len(heights))
        normal = NORMAL if oblique else np.array([0, 0, 1])
        axes = dict(ImageOrientationPatient=OBLIQUE) if oblique else {}
        for name, height, pixels in zip(names, heights, stored, strict=True):
            position = np.array([-10, -20, 5]) + height * normal
            own = dict(ImagePositionPatient=[f"{x:.6g}" for x in position], **axes)
            write_slice(folder / f"IM{name:04d}", pixels, **(own | elements))
        return stored[np.argsort(heights, kind="stable")] - 1024

    return write


@pytest.fixture
def real_series(real_data):
    """24 slices of a CT series of 3D-IRCADb-01."""
    return real_data("ct_dicom") / "patient01"
