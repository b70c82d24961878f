import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from tfadvseg.data.formats.volumes import to_image
from tfadvseg.data.geometry import Geometry, slicing

IDENTITY = (1.0, 0, 0, 0, 1, 0, 0, 0, 1)


def grid(size=(6, 5, 4), spacing=(1.0, 1.0, 3.0), direction=IDENTITY, origin=(0.0, 0.0, 0.0)):
    return Geometry(size, spacing, origin, direction)


def every_orientation():
    """The 48 ways in which the axes of a file may lie along those of the patient."""
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            direction = np.zeros((3, 3))
            direction[order, range(3)] = signs
            yield tuple(direction.ravel().tolist())


@pytest.mark.parametrize(
    ("view", "codes"), [("axial", "SPL"), ("coronal", "PIL"), ("sagittal", "LIP")]
)
@pytest.mark.parametrize("direction", list(every_orientation()))
def test_slices_show_the_patient_the_same_way_round(direction, view, codes):
    """SimpleITK's own reorientation is the reference: slices, rows, columns run along `codes`."""
    stored = sitk.GetImageFromArray(np.arange(120, dtype=np.int16).reshape(4, 5, 6))
    stored.SetDirection(direction)
    stored.SetSpacing((0.5, 0.7, 2.0))
    turned = sitk.DICOMOrient(stored, codes[::-1])
    image = to_image(stored)
    cut = slicing(image.geometry, view)
    np.testing.assert_array_equal(cut.cut(image.voxels)[..., 0], sitk.GetArrayFromImage(turned))
    np.testing.assert_allclose(cut.spacing_mm, turned.GetSpacing()[::-1])


@pytest.mark.parametrize("view", ["acquisition", "axial", "coronal", "sagittal"])
@pytest.mark.parametrize("direction", list(every_orientation()))
def test_joined_slices_are_the_stored_array(direction, view):
    voxels = np.arange(240).reshape(4, 5, 6, 2)
    cut = slicing(grid(direction=direction), view)
    np.testing.assert_array_equal(cut.join(cut.cut(voxels)), voxels)


@pytest.mark.parametrize("view", ["acquisition", "axial", "coronal", "sagittal"])
@pytest.mark.parametrize("direction", list(every_orientation()))
def test_a_slice_lies_at_its_place_in_the_file(direction, view):
    voxels = np.arange(120).reshape(4, 5, 6)
    cut = slicing(grid(direction=direction), view)
    slices = cut.cut(voxels)
    for index, plane in enumerate(slices):
        place = cut.stored(index, len(slices))
        assert set(plane.ravel()) == set(voxels.take(place, axis=cut.order[0]).ravel())
        assert cut.stored(place, len(slices)) == index


@pytest.mark.parametrize(
    ("size", "spacing", "axis"),
    [
        ((6, 5, 4), (1.0, 1.0, 3.0), 2),  # thick slices
        ((6, 5, 4), (0.97, 0.97, 0.6), 2),  # thin slices
        ((6, 5, 4), (1.2, 1.0, 1.0), 0),  # sagittal MRI
        ((6, 5, 4), (0.9, 3.0, 0.9), 1),
        ((6, 5, 4), (0.90, 3.0, 0.92), 1),
        ((6, 5, 4), (1.0, 1.0, 1.0), 2),  # nothing tells: the last
        ((6, 5, 4), (1.0, 2.0, 4.0), 2),
        ((1, 5, 4), (1.0, 1.0, 3.0), 0),  # a single slice
    ],
)
def test_the_acquisition_axis_is_the_odd_one_out(size, spacing, axis):
    cut = slicing(grid(size, spacing), "acquisition")
    assert cut.order[0] == 2 - axis
    assert cut.spacing_mm[0] == spacing[axis]


def test_oblique_axes_go_to_the_nearest():
    angle = np.deg2rad(30)
    tilted = (1, 0, 0, 0, np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle))
    assert slicing(grid(direction=tilted)) == slicing(grid())


def test_pictures_and_two_axes_are_taken_as_they_are():
    voxels = np.arange(20).reshape(1, 4, 5)
    assert slicing(None).spacing_mm is None
    flat = slicing(Geometry((5, 4), (0.5, 2.0), (0.0, 0.0), (1, 0, 0, 1)), "coronal")
    assert flat.pixel_mm == (2.0, 0.5)
    for cut in (slicing(None, "coronal"), flat):
        np.testing.assert_array_equal(cut.cut(voxels), voxels)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"size": (6, 5, 5)}, "size 6x5x4 against 6x5x5 voxels"),
        ({"spacing": (1.0, 1.0, 3.1)}, "spacing"),
        ({"origin": (0.0, 0.5, 0.0)}, "origin 0x0x0 against 0x0.5x0 mm"),
        ({"direction": (-1.0, 0, 0, 0, -1, 0, 0, 0, 1)}, "directions"),
    ],
)
def test_grids_that_differ_are_told_apart(change, text):
    assert text in grid().difference(grid(**change))
    assert grid().difference(grid()) is None


def test_rounding_of_a_file_format_is_no_difference():
    other = grid(spacing=(1.0, 1.0000005, 3.0), origin=(1e-4, 0.0, 0.0))
    assert grid().difference(other) is None
