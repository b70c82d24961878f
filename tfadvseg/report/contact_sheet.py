"""A contact sheet: one slice of each of some cases, small, with the contours of its mask."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from tfadvseg import pictures
from tfadvseg.data.checks.facts import CaseFacts
from tfadvseg.data.geometry import slicing
from tfadvseg.data.io import read_image, read_mask, reading_threads
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
        slice_number: which slice of the file, counted from 1.
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
        reading_threads() as threads,
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
    shown, mask = len(slices) // 2, None
    if fact.case.mask is not None:
        masks = cut.cut(read_mask(fact.case.mask).voxels)
        shown = pictures.fullest(masks, ignore_label)
        mask = pictures.without(masks[shown], ignore_label)
    picture = pictures.scaled(pictures.grey(slices[shown]), SIDE, cut.pixel_mm)
    if mask is not None:  # contours are drawn after shrinking
        small = pictures.scaled(mask, SIDE, cut.pixel_mm, nearest=True)
        picture = pictures.overlay(picture, small)
    return Thumbnail(
        fact.case.name,
        fact.case.patient,
        cut.stored(shown, len(slices)) + 1,
        len(slices),
        mask is not None,
        pictures.data_uri(picture),
    )
