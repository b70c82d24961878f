"""Distances between the surfaces of truth and prediction in mm: Hausdorff 95 and their mean.

The surface of a mask is its voxels with a face on the outside; beyond the border of the image is
outside. Distances run between voxel centres. SimpleITK finds the surfaces and measures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

import numpy as np
import SimpleITK as sitk

from tfadvseg.metrics import Scores

DISTANCES = ("hd95_mm", "assd_mm")


def surface_distances(
    truth: np.ndarray,
    predicted: np.ndarray,
    num_classes: int,
    ignore_label: int,
    spacing_mm: tuple[float, float, float] | None,
) -> list[Scores]:
    """Measures how far the surfaces of every class lie apart in one case.

    Args:
        truth: (S, H, W) class indices. A single slice (S = 1) is measured in 2-D, by outlines.
        predicted: (S, H, W) class indices.
        num_classes: C.
        ignore_label: voxels of `truth` with this value belong to no class in either mask.
        spacing_mm: distances of slices, rows and columns; None where they are not known.

    Returns:
        One dict a class. `hd95_mm` is the larger of the two directed 95th percentiles, from truth
        to prediction and back; a percentile between two distances is interpolated linearly
        (`numpy.percentile`). `assd_mm` is the mean distance to the other surface, over the voxels
        of both surfaces together. Both are None without spacing, for class 0 (background), and
        where the class is missing from truth, prediction or both: `surface_summary` counts these.
    """
    if spacing_mm is None:
        return [dict.fromkeys(DISTANCES) for _ in range(num_classes)]
    ignored = truth == ignore_label
    truth, predicted = np.where(ignored, 0, truth), np.where(ignored, 0, predicted)
    spacing: Sequence[float] = spacing_mm
    if len(truth) == 1:
        truth, predicted, spacing = truth[0], predicted[0], spacing_mm[1:]
    foreground = range(1, num_classes)
    return [
        dict.fromkeys(DISTANCES),
        *(_between(truth == c, predicted == c, spacing) for c in foreground),
    ]


def surface_summary(
    cases: Sequence[Mapping[str, Scores]], names: Sequence[str]
) -> dict[str, object]:
    """Means over cases, with the number of cases that have no distance and so are not in them.

    Args:
        cases: for each case, class name to its distances together with its scores from
            `metrics.class_scores`: recall is None where the class is not in the truth, precision
            where it was not predicted.
        names: of the classes, background first.

    Returns:
        `per_class`, class name without background to the means `hd95_mm` and `assd_mm` over the
        cases that were measured (None where none was), and to how many cases were `measured`,
        `missed` (in the truth, never predicted), `invented` (predicted, not in the truth) and
        `without_spacing` (in both, not measured); cases with the class in neither are none of
        these. `foreground`: the means over classes, None left out, and the sums of the counts.
    """
    per_class = {name: _over_cases([case[name] for case in cases]) for name in names[1:]}
    every = _over_cases([case[name] for case in cases for name in names[1:]])
    means = {name: _mean(row[name] for row in per_class.values()) for name in DISTANCES}
    return {"foreground": {**every, **means}, "per_class": per_class}


def _between(truth: np.ndarray, predicted: np.ndarray, spacing: Sequence[float]) -> Scores:
    if not (truth.any() and predicted.any()):
        return dict.fromkeys(DISTANCES)
    box = _bounding_box(truth | predicted)
    one, other = _surface(truth[box], spacing), _surface(predicted[box], spacing)
    there, back = _distances(one, other), _distances(other, one)
    return {
        "hd95_mm": float(max(np.percentile(there, 95), np.percentile(back, 95))),
        "assd_mm": float(np.concatenate([there, back]).mean(dtype=np.float64)),
    }


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    axes = range(mask.ndim)
    inside = (np.flatnonzero(mask.any(axis=tuple(a for a in axes if a != axis))) for axis in axes)
    return tuple(slice(found[0], found[-1] + 1) for found in inside)


def _surface(mask: np.ndarray, spacing: Sequence[float]) -> sitk.Image:
    image = sitk.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))
    image.SetSpacing(spacing[::-1])
    return sitk.BinaryContour(image, fullyConnected=False, foregroundValue=1)


def _distances(start: sitk.Image, end: sitk.Image) -> np.ndarray:
    """The distance of every voxel of one surface to the nearest of the other."""
    to_end = sitk.SignedMaurerDistanceMap(end, squaredDistance=False, useImageSpacing=True)
    distances = sitk.GetArrayFromImage(to_end)[sitk.GetArrayFromImage(start) > 0]
    # Voxels of the surface itself are "inside": there the map has minus a rounding error, not 0.
    return np.where(distances > 0, distances, 0)


def _over_cases(scores: Sequence[Scores]) -> Scores:
    in_truth = [score["recall"] is not None for score in scores]
    in_prediction = [score["precision"] is not None for score in scores]
    in_both = [a and b for a, b in zip(in_truth, in_prediction, strict=True)]
    measured = sum(score["hd95_mm"] is not None for score in scores)
    return {
        **{name: _mean(score[name] for score in scores) for name in DISTANCES},
        "measured": measured,
        "missed": sum(in_truth) - sum(in_both),
        "invented": sum(in_prediction) - sum(in_both),
        "without_spacing": sum(in_both) - measured,
    }


def _mean(values: Iterable[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return fmean(defined) if defined else None
