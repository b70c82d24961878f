"""A contact sheet: one slice of each of some cases, small, with the contours of its mask."""

from __future__ import annotations

import base64
import os
import warnings
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import cv2
import numpy as np

from tfadvseg import pictures
from tfadvseg.data.checks.facts import MOST_THREADS, CaseFacts
from tfadvseg.data.geometry import slicing
from tfadvseg.data.io import read_image, read_mask
from tfadvseg.errors import DataWarning
from tfadvseg.progress import Progress, silent

T = TypeVar("T")

MOST_PICTURES = 60
SIDE = 192  # of a thumbnail, in pixels


@dataclass(frozen=True)
class Thumbnail:
    """One slice of a case.

    Attributes:
        case: name of the case.
        patient: whose image it is.
        slice_number: which slice, counted from 1.
        slices: how many the case has.
        labelled: whether the case has a mask.
        url: the picture as a PNG in a data URI.
    """

    case: str
    patient: str
    slice_number: int
    slices: int
    labelled: bool
    url: str


def contact_sheet(
    facts: Sequence[CaseFacts],
    ignore_label: int,
    *,
    slice_axis: str = "acquisition",
    progress: Progress = silent,
) -> list[Thumbnail]:
    """Draws up to 60 cases, spread evenly over the patients and over the cases of each.

    Args:
        facts: the cases that can be used.
        ignore_label: mask value that is not drawn.
        slice_axis: how volumes are cut into slices. The slice with the most foreground is drawn,
            the middle one where there is none.
        progress: wraps the cases to show how far drawing has come.
    """
    chosen = _spread(facts, ignore_label)

    def draw(fact: CaseFacts) -> Thumbnail:
        return _thumbnail(fact, ignore_label, slice_axis)

    with (
        warnings.catch_warnings(),
        ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS)) as threads,
    ):
        warnings.simplefilter("ignore", DataWarning)  # said when the facts were read
        return list(progress(threads.map(draw, chosen), len(chosen)))


def _spread(facts: Sequence[CaseFacts], ignore_label: int) -> list[CaseFacts]:
    """As many cases of each patient, evenly over its own; of too many patients every so many.

    Of neighbouring cases, such as the slices of a scan, the one with the most foreground is taken.
    """
    patients: dict[str, list[CaseFacts]] = defaultdict(list)
    for fact in facts:
        patients[fact.case.patient].append(fact)

    def foreground(fact: CaseFacts) -> int:
        return sum(n for index, n in (fact.labels or {}).items() if index not in (0, ignore_label))

    shown = [near[0] for near in _neighbours(list(patients.values()), MOST_PICTURES)]
    each = MOST_PICTURES // max(1, len(shown))
    return [max(near, key=foreground) for cases in shown for near in _neighbours(cases, each)]


def _neighbours(items: Sequence[T], most: int) -> list[list[T]]:
    """The items in so many runs of about one length, each run from its middle outwards."""
    groups = min(len(items), most)
    cuts = [round(number * len(items) / groups) for number in range(groups + 1)]
    runs = [items[start:stop] for start, stop in pairwise(cuts)]
    return [
        [run[place] for place in sorted(range(len(run)), key=lambda p: abs(p - middle))]
        for run in runs
        for middle in [len(run) // 2]
    ]


def _thumbnail(fact: CaseFacts, ignore_label: int, slice_axis: str) -> Thumbnail:
    image = read_image(fact.case.image)
    cut = slicing(image.geometry, slice_axis)
    slices = cut.cut(image.voxels)
    index, mask = len(slices) // 2, None
    if fact.case.mask is not None:
        masks = cut.cut(read_mask(fact.case.mask).voxels)
        foreground = [np.count_nonzero((plane > 0) & (plane != ignore_label)) for plane in masks]
        index = int(np.argmax(foreground)) if any(foreground) else index
        mask = np.where(masks[index] == ignore_label, 0, masks[index]).astype(np.uint8)
    _, row, column = cut.spacing_mm or (1.0, 1.0, 1.0)
    return Thumbnail(
        fact.case.name,
        fact.case.patient,
        index + 1,
        len(slices),
        mask is not None,
        _data_uri(_small(slices[index], mask, (row, column))),
    )


def _small(image: np.ndarray, mask: np.ndarray | None, spacing: tuple[float, float]) -> np.ndarray:
    """The slice (H, W, K) in its true proportions, contours drawn after shrinking."""
    height, width = (side * mm for side, mm in zip(image.shape[:2], spacing, strict=True))
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    shrinks = size[0] < image.shape[1] or size[1] < image.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    picture = cv2.resize(pictures.grey(image), size, interpolation=how)
    if mask is None:
        return picture
    nearest = cv2.resize(np.ascontiguousarray(mask), size, interpolation=cv2.INTER_NEAREST)
    return pictures.overlay(picture, nearest)


def _data_uri(picture: np.ndarray) -> str:
    encoded = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
    return "data:image/png;base64," + base64.b64encode(encoded).decode("ascii")
