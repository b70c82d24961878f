"""Pictures of cases: the image, its label, what was predicted, and how much D trusts it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfadvseg import pictures
from tfadvseg.data.folders.cases import Case, read_data_folder
from tfadvseg.data.geometry import slicing
from tfadvseg.data.io import read_image, read_mask
from tfadvseg.errors import DataWarning
from tfadvseg.inference.predictor import Predictor
from tfadvseg.inference.quality import Calibration
from tfadvseg.report.results import Result
from tfadvseg.run_folder import RunFolder

SIDE = 256  # of a picture, in pixels
MARGIN = 0.25  # around what is marked, as a share of it


@dataclass(frozen=True)
class Slice:
    """The slice of a case that is shown: of a volume the one with the most foreground.

    Attributes:
        name: of the case, and which slice where there are several.
        image: (H, W, K) stored values.
        mask: (H, W) class indices, 0 where the ignore label is.
        pixel_mm: height and width of the pixels; None where unknown.
        window: the part of it that pictures show.
        side: the longer side of the pictures, in pixels.
    """

    name: str
    image: np.ndarray
    mask: np.ndarray
    pixel_mm: tuple[float, float] | None
    window: tuple[slice, slice] = (slice(None), slice(None))
    side: int = SIDE

    def around(self, masks: Sequence[np.ndarray]) -> Slice:
        """The same slice, whose pictures show the label and other masks with a margin."""
        marked = np.logical_or.reduce([self.mask > 0, *(mask > 0 for mask in masks)])
        if not marked.any():
            return self
        rows, columns = (_window(marked.any(axis=1 - axis)) for axis in (0, 1))
        return replace(self, window=(rows, columns))

    def picture(self, drawn: np.ndarray | None = None) -> str:
        """The image in its true proportions, with the contours of a mask (H, W) if there is one."""
        picture = self._scaled(pictures.grey(self.image))
        if drawn is not None:
            picture = pictures.overlay(picture, self._scaled(drawn, nearest=True))
        return pictures.data_uri(picture)

    def map(self, values: np.ndarray) -> str:
        """Values (H, W) from 0 to 1 as colours."""
        return pictures.data_uri(pictures.heat(self._scaled(values)))

    def _scaled(self, plane: np.ndarray, *, nearest: bool = False) -> np.ndarray:
        return pictures.scaled(plane[self.window], self.side, self.pixel_mm, nearest=nearest)


@dataclass(frozen=True)
class Predicted:
    """What a run says of a slice.

    Attributes:
        mask: (H, W) class indices.
        confidence: (H, W) the chance that each pixel is right; None without a calibration.
    """

    mask: np.ndarray
    confidence: np.ndarray | None


def choose(results: Sequence[Result]) -> dict[str, str]:
    """The cases with the best, the median and the worst Dice.

    Args:
        results: of runs; of a case in several of them the first counts.

    Returns:
        Case to its rank in words; fewer than three where there are fewer cases.
    """
    dice: dict[str, float] = {}
    for result in results:
        for case, (_, value) in result.cases.items():
            if value is not None:
                dice.setdefault(case, value)
    order = sorted(dice, key=lambda case: (-dice[case], case))
    if not order:
        return {}
    places = {"best": 0, "median": (len(order) - 1) // 2, "worst": len(order) - 1}
    chosen: dict[str, str] = {}
    for rank, place in places.items():
        chosen.setdefault(order[place], rank)
    return chosen


def find_cases(run: Path, data: Path | None, names: Sequence[str]) -> dict[str, Case] | str:
    """Finds cases of a run by name.

    Args:
        run: the run folder.
        data: the data folder; None for the run's own.
        names: of cases.

    Returns:
        The cases; or why there can be no pictures, in words.
    """
    config = RunFolder(run).read_config()
    root = data or Path(str(config.data))
    if not root.exists():
        return f"the data folder {root} is not there (seen from {Path.cwd()})"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # said when the run began
        cases = {case.name: case for case in read_data_folder(root, **config.reading()).cases}
    lost = [name for name in names if name not in cases or cases[name].mask is None]
    if lost:
        return f"{lost[0]} or its mask is no longer in {root}"
    return {name: cases[name] for name in names}


def load_slice(case: Case, slice_axis: str, ignore_label: int) -> Slice:
    """Reads the slice of a case that is shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # said when the run began
        image, mask = read_image(case.image), read_mask(Path(str(case.mask))).voxels
    cut = slicing(image.geometry, slice_axis)
    slices, masks = cut.cut(image.voxels), cut.cut(mask)
    shown = pictures.fullest(masks, ignore_label)
    number, count = cut.stored(shown, len(slices)) + 1, len(slices)
    name = f"{case.name}, slice {number} of {count}" if count > 1 else case.name
    label = pictures.without(masks[shown], ignore_label)
    return Slice(name, slices[shown], label, cut.pixel_mm)


def predict(
    run: Path,
    slices: Mapping[str, Slice],
    checkpoint: str = "best",
    predictor: Predictor | None = None,
) -> dict[str, Predicted]:
    """What the model of a run says of some slices, by the names that they are given under."""
    predictor = predictor or Predictor.load(run, checkpoint)
    calibration = Calibration.find(run, checkpoint)
    found = {}
    with _many_models():
        for name, one in slices.items():
            seen = predictor(np.ascontiguousarray(one.image[None]), one.pixel_mm)
            confidence = calibration.chance_right(seen)[0] if calibration else None
            found[name] = Predicted(seen.masks[0], confidence)
    return found


@contextmanager
def _many_models() -> Iterator[None]:
    """Keeps TensorFlow from warning that one function was compiled often: each is another model."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _window(marked: np.ndarray) -> slice:
    """What is marked along an axis with a margin; at least a third of the axis."""
    places, length = np.flatnonzero(marked), len(marked)
    extent = places[-1] - places[0] + 1
    margin = max(extent * MARGIN, (length / 3 - extent) / 2)
    start, stop = places[0] - margin, places[-1] + 1 + margin
    return slice(max(0, round(start)), min(length, round(stop)))
