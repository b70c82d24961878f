"""Real slices of a run's data, to try an export with."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from tfadvseg.config import Config
from tfadvseg.data.folders.cases import Case, read_data_folder
from tfadvseg.data.geometry import slicing
from tfadvseg.data.image import Image, Source
from tfadvseg.data.io import read_image
from tfadvseg.errors import DataWarning, InputError
from tfadvseg.inference.predictor import Predictor, SlicePredictor
from tfadvseg.run_folder import RunFolder

MOST_SAMPLES = 6
T = TypeVar("T")


@dataclass(frozen=True)
class Sample:
    """A slice.

    Attributes:
        voxels: (H, W, K) stored values.
        pixel_mm: height and width of its pixels; None where the image does not say.
    """

    voxels: np.ndarray
    pixel_mm: tuple[float, float] | None

    def inputs(self, takes_spacing: bool) -> dict[str, np.ndarray]:
        """A batch of one as inputs by name."""
        images = {"images": self.voxels[np.newaxis].astype(np.float32)}
        if not takes_spacing:
            return images
        return {**images, "spacing_mm": np.array(self.pixel_mm, np.float32)}


def load_for_export(
    run: Path, checkpoint: str, *, confidence: bool, data: Path | None
) -> tuple[Predictor, list[Sample]]:
    """Loads the model of a run, and real slices to try its export with.

    Args:
        run: the run folder.
        checkpoint: `best` or `last`.
        confidence: whether D's confidence is wanted.
        data: another data folder; None for the run's own.

    Raises:
        InputError: if something of it is missing, or the slices do not fit the model.
    """
    samples = sample_slices(run, data)
    predictor = Predictor.load(run, checkpoint)
    if confidence and not predictor.has_confidence:
        raise InputError(
            f"--confidence: {run} was trained with recipe supervised and has no discriminator; "
            "drop the option, or export a run of another recipe"
        )
    for sample in samples:
        predictor.check_slices(sample.voxels.shape[-1], sample.pixel_mm is not None)
    return predictor, samples


def sample_slices(run: Path, data: Path | None = None) -> list[Sample]:
    """The middle slices of some cases, evenly over those that the run did not train on.

    Args:
        run: the run folder.
        data: another data folder; None for the run's own.

    Raises:
        InputError: if the data is not there any more.
    """
    config = RunFolder(run).read_config()
    root = data or Path(str(config.data))
    if not root.exists():
        raise InputError(
            f"{root}: the data of {run} is not there, and an export is checked on real images: "
            "bring it back, or give --data DIR with images like them"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # said when the run began
        cases = read_data_folder(root, **config.reading()).cases
        if data is None:
            cases = _held_out(run, cases)
        return [_middle(read_image(case.image), config) for case in _some(cases)]


def slices_of(sources: Sequence[Source], predictor: SlicePredictor) -> list[Sample]:
    """The middle slices of some images, evenly over all.

    Args:
        sources: the images.
        predictor: that has to take them.

    Raises:
        InputError: if one cannot be read, or does not fit the model.
    """
    samples = []
    for source in _some(sources):
        image = read_image(source)
        try:
            predictor.check(image)
        except InputError as error:
            raise InputError(f"{source.path}: {error}") from error
        samples.append(_middle(image, predictor.config))
    return samples


def _some(items: Sequence[T]) -> Sequence[T]:
    return items[:: -(-len(items) // MOST_SAMPLES)]


def _held_out(run: Path, cases: tuple[Case, ...]) -> tuple[Case, ...]:
    split = RunFolder(run).read_json("split.json")
    for part in ("test", "val", "labelled"):
        found = tuple(case for case in cases if case.name in split[part])
        if found:
            return found
    raise InputError(f"{run}: none of its cases are in its data folder any more; give --data DIR")


def _middle(image: Image, config: Config) -> Sample:
    cut = slicing(image.geometry, config.slice_axis)
    slices = cut.cut(image.voxels)
    return Sample(np.ascontiguousarray(slices[len(slices) // 2]), cut.pixel_mm)
