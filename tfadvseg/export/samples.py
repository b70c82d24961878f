"""Real slices of a run's data, to try an export with."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfadvseg.data.folders.cases import Case, read_data_folder
from tfadvseg.data.geometry import slicing
from tfadvseg.data.io import read_image
from tfadvseg.errors import DataWarning, InputError
from tfadvseg.inference import Predictor
from tfadvseg.run_folder import RunFolder

MOST_SAMPLES = 6


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
        stride = -(-len(cases) // MOST_SAMPLES)
        return [_middle(case, config.slice_axis) for case in cases[::stride]]


def _held_out(run: Path, cases: tuple[Case, ...]) -> tuple[Case, ...]:
    split = RunFolder(run).read_json("split.json")
    for part in ("test", "val", "labelled"):
        found = tuple(case for case in cases if case.name in split[part])
        if found:
            return found
    raise InputError(f"{run}: none of its cases are in its data folder any more; give --data DIR")


def _middle(case: Case, slice_axis: str) -> Sample:
    image = read_image(case.image)
    cut = slicing(image.geometry, slice_axis)
    slices = cut.cut(image.voxels)
    return Sample(np.ascontiguousarray(slices[len(slices) // 2]), cut.pixel_mm)
