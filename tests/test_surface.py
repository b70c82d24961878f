import json
from math import sqrt

import numpy as np
import pytest

from tfadvseg.metrics import class_scores, confusion_matrix
from tfadvseg.surface import DISTANCES, surface_distances, surface_summary

IGNORED = 255
SPACING = (5.0, 0.7, 0.9)
NOTHING = dict.fromkeys(DISTANCES)
NAMES = ["background", "liver", "spleen"]


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def volume(shape, *boxes):
    """Zeros with ones in boxes: an index (a number or a slice) for each axis."""
    voxels = np.zeros(shape, np.uint8)
    for box in boxes:
        voxels[box] = 1
    return voxels


def distances(truth, predicted, spacing=SPACING):
    return surface_distances(truth, predicted, 2, IGNORED, spacing)[1]


def both(hd95, assd):
    return pytest.approx({"hd95_mm": hd95, "assd_mm": assd}, rel=1e-5)


def test_voxels_lie_as_far_apart_as_the_spacing_says():
    truth, predicted = volume((5, 6, 7), (1, 1, 2)), volume((5, 6, 7), (3, 4, 6))
    apart = sqrt(10.0**2 + 2.1**2 + 3.6**2)
    assert distances(truth, predicted) == both(apart, apart)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_plane_shifted_by_three_voxels_is_three_spacings_away(axis):
    truth, predicted = volume((8, 8, 8)), volume((8, 8, 8))
    np.moveaxis(truth, axis, 0)[1] = 1
    np.moveaxis(predicted, axis, 0)[4] = 1
    assert distances(truth, predicted) == both(3 * SPACING[axis], 3 * SPACING[axis])


def test_a_cube_round_a_cube():
    inner, outer = slice(3, 6), slice(2, 7)
    truth = volume((9, 9, 9), (inner, inner, inner))
    predicted = volume((9, 9, 9), (outer, outer, outer))
    # 26 surface voxels inside, all 1 away; 98 outside: on sides, edges and corners.
    assd = (26 + 54 + 36 * sqrt(2) + 8 * sqrt(3)) / (26 + 98)
    assert distances(truth, predicted, (1, 1, 1)) == both(sqrt(3), assd)
    assert distances(predicted, truth, (1, 1, 1)) == both(sqrt(3), assd)


def test_the_definitions_of_percentile_and_mean():
    line, end = volume((3, 3, 13), (1, 1, slice(1, 12))), volume((3, 3, 13), (1, 1, 1))
    # 0 to 10 voxels away from the line's voxels to its end, and 0 back: max of the two directed
    # percentiles (pooled it were 9.45), mean of all twelve (of the two means it were 2.5).
    expected = both(9.5 * 0.9, 55 / 12 * 0.9)
    assert distances(line, end) == expected
    assert distances(end, line) == expected


def test_voxels_inside_are_not_surface_and_beyond_the_border_is_outside():
    truth, predicted = volume((3, 3, 3), ...), volume((3, 3, 3), (1, 1, 1))
    assd = (6 + 12 * sqrt(2) + 8 * sqrt(3) + 1) / 27
    assert distances(truth, predicted, (1, 1, 1)) == both(sqrt(3), assd)


def test_a_voxel_that_touches_the_outside_with_an_edge_alone_is_not_surface():
    cross = volume((1, 5, 5), (0, slice(1, 4), ...), (0, ..., slice(1, 4)))
    corner = volume((1, 5, 5), (0, 1, 1))
    # From the corner of its inner square to the outline's 12 voxels, and back.
    squares = [1, 2, 5, 1, 2, 5, 9 + 0, 9 + 1, 9 + 4, 9 + 0, 9 + 1, 9 + 4]
    assert distances(cross, corner, (1, 1, 1))["assd_mm"] == pytest.approx(
        (sum(map(sqrt, squares)) + 1) / 13
    )


def test_every_component_counts():
    truth = volume((4, 9, 9), (1, 1, 1), (1, 7, 1))
    predicted = volume((4, 9, 9), (1, 1, 1))
    assert distances(truth, predicted) == both(0.95 * 4.2, 4.2 / 3)


def test_a_single_slice_is_measured_in_its_plane():
    truth, predicted = (
        volume((1, 7, 7), (0, slice(1, 6), slice(1, 6))),
        volume((1, 7, 7), (0, 3, 3)),
    )
    assd = (4 * sqrt(8) + 8 * sqrt(5) + 4 * 2 + 2) / 17  # 16 voxels of outline, not all 25
    assert distances(truth, predicted, (99, 1, 1)) == both(sqrt(8), assd)


def test_equal_masks_are_exactly_nothing_apart(rng):
    mask = (rng.random((4, 15, 200)) < 0.5).astype(np.uint8)
    assert str(distances(mask, mask)) == "{'hd95_mm': 0.0, 'assd_mm': 0.0}"  # not minus zero


def surface_points(mask, spacing):
    inside = {tuple(index) for index in np.argwhere(mask)}
    steps = np.concatenate([np.eye(mask.ndim, dtype=int), -np.eye(mask.ndim, dtype=int)])
    points = [p for p in inside if any(tuple(np.add(p, step)) not in inside for step in steps)]
    return np.array(points) * spacing


def brute_force(truth, predicted, spacing):
    a, b = surface_points(truth, spacing), surface_points(predicted, spacing)
    pairs = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=-1))
    there, back = pairs.min(axis=1), pairs.min(axis=0)
    assd = (there.sum() + back.sum()) / (len(there) + len(back))
    return both(max(np.percentile(there, 95), np.percentile(back, 95)), assd)


@pytest.mark.parametrize("shape", [(2, 9, 11), (7, 8, 9), (12, 3, 5), (6, 1, 9)])
@pytest.mark.parametrize("density", [0.03, 0.4, 0.95])
def test_distances_equal_a_brute_force_reference(shape, density, rng):
    for spacing in [(1.0, 1.0, 1.0), SPACING, (0.3, 2.0, 0.7)]:
        truth, predicted = (rng.random((2, *shape)) < density).astype(np.uint8)
        truth[0, 0, 0] = predicted[-1, 0, -1] = 1
        assert distances(truth, predicted, spacing) == brute_force(truth, predicted, spacing)


def test_distances_in_the_plane_equal_a_brute_force_reference(rng):
    truth, predicted = (rng.random((2, 1, 17, 23)) < 0.6).astype(np.uint8)
    expected = brute_force(truth[0], predicted[0], SPACING[1:])
    assert distances(truth, predicted) == expected


def test_turning_the_axes_together_with_the_spacing_changes_nothing(rng):
    truth, predicted = (rng.random((2, 5, 8, 11)) < 0.5).astype(np.uint8)
    expected = distances(truth, predicted)
    for order in [(0, 2, 1), (1, 0, 2), (2, 1, 0), (1, 2, 0)]:
        turned = [mask.transpose(order)[::-1] for mask in (truth, predicted)]
        spacing = tuple(SPACING[axis] for axis in order)
        assert distances(*turned, spacing) == pytest.approx(expected)


def test_the_empty_space_around_changes_nothing(rng):
    truth, predicted = (rng.random((2, 4, 6, 7)) < 0.5).astype(np.uint8)
    around = ((3, 0), (9, 2), (0, 5))
    padded = np.pad(truth, around), np.pad(predicted, around)
    assert distances(*padded) == distances(truth, predicted)


def test_every_class_is_measured_by_itself_and_background_is_not(rng):
    truth, predicted = rng.integers(0, 4, (2, 4, 7, 8)).astype(np.uint8)
    measured = surface_distances(truth, predicted, 4, IGNORED, SPACING)
    alone = [distances((truth == c) * 1, (predicted == c) * 1) for c in (1, 2, 3)]
    assert measured == [NOTHING, *alone]
    assert {type(value) for scores in alone for value in scores.values()} == {float}


def test_ignored_voxels_are_in_neither_mask(rng):
    truth, predicted = (rng.random((2, 4, 7, 8)) < 0.5).astype(np.uint8)
    ignored = rng.random(truth.shape) < 0.3
    given = np.where(ignored, np.uint8(IGNORED), truth), predicted.copy()
    expected = distances(np.where(ignored, 0, truth), np.where(ignored, 0, predicted))
    assert distances(*given) == expected != distances(truth, predicted)
    np.testing.assert_array_equal(given[1], predicted)


def test_a_class_whose_index_is_the_ignore_label_is_not_measured():
    mask = volume((2, 4, 4), (0, 1, 1))
    assert surface_distances(mask, mask, 2, 1, SPACING) == [NOTHING, NOTHING]


def test_nothing_is_measured_where_a_mask_is_empty():
    empty, mask = volume((3, 4, 5)), volume((3, 4, 5), (1, 1, 1))
    for truth, predicted in [(empty, empty), (mask, empty), (empty, mask)]:
        assert distances(truth, predicted) == NOTHING


def test_nothing_is_measured_without_spacing():
    mask = volume((3, 4, 5), (1, 1, 1))
    assert surface_distances(mask, mask, 3, IGNORED, None) == [NOTHING] * 3


def scored(truth, predicted, spacing=(1.0, 1.0, 1.0)):
    """One case of a single row of voxels, as `score_cases` gives it to the summary."""
    truth, predicted = np.array([[truth]], np.uint8), np.array([[predicted]], np.uint8)
    scores = class_scores(confusion_matrix(truth, predicted, 3, IGNORED))
    measured = surface_distances(truth, predicted, 3, IGNORED, spacing)
    return {n: {**s, **d} for n, s, d in zip(NAMES, scores, measured, strict=True)}


CASES = [
    scored([1, 0, 0, 0, 2, 0], [0, 0, 1, 0, 2, 0]),  # liver 2 mm off, spleen found
    scored([1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0]),  # liver 4 mm off, no spleen
    scored([1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]),  # liver missed
    scored([1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 2]),  # liver missed, spleen invented
    scored([0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]),  # liver invented
    scored([1, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], None),  # no spacing
    scored([1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], None),  # missed is missed, without it too
]


def row(distance, **counts):
    nothing = dict.fromkeys(("measured", "missed", "invented", "without_spacing"), 0)
    return {"hd95_mm": distance, "assd_mm": distance, **nothing, **counts}


def test_summary_says_what_the_means_leave_out():
    assert surface_summary(CASES, NAMES) == {
        "foreground": row(1.5, measured=3, missed=3, invented=2, without_spacing=1),
        "per_class": {
            "liver": row(3.0, measured=2, missed=3, invented=1, without_spacing=1),
            "spleen": row(0.0, measured=1, invented=1),
        },
    }


def test_summary_has_no_mean_where_nothing_was_measured():
    missed = {"foreground": row(None, missed=1)}
    missed["per_class"] = {"liver": row(None, missed=1), "spleen": row(None)}
    assert surface_summary(CASES[2:3], NAMES) == missed
    assert surface_summary([], NAMES)["foreground"] == row(None)


def test_a_class_that_was_never_measured_is_left_out_of_the_foreground_mean():
    assert surface_summary(CASES[1:3], NAMES)["foreground"] == row(4.0, measured=1, missed=1)


def test_summary_can_be_written_as_json():
    summary = surface_summary(CASES, NAMES)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
