"""Segmenters whose convolutions compute with 8 bits, through NNCF, and what that costs."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfadvseg.config import Config
from tfadvseg.data.folders.cases import Case
from tfadvseg.data.geometry import slicing
from tfadvseg.data.io import read_image
from tfadvseg.errors import ExportError, InputError
from tfadvseg.evaluation import cases_of_split, score_cases
from tfadvseg.export.samples import Sample
from tfadvseg.inference.predictor import Predictor, SlicePredictor
from tfadvseg.run_folder import RunFolder

MOST_SLICES = 100  # that activations are measured on
MOST_LOSS = 0.005  # of Dice
_CONVOLUTIONS = ("Convolution", "ConvolutionBackpropData")


@dataclass(frozen=True)
class Calibration:
    """What 8 bits are fitted to, and what they are judged by.

    Attributes:
        training: labelled cases, whose images the ranges of activations are measured on.
        validation: cases whose Dice decides.
    """

    training: Sequence[Case]
    validation: Sequence[Case]

    @classmethod
    def of_run(cls, run: Path, data: Path | None = None) -> Calibration:
        """Those of a run; its test patients stay out.

        Raises:
            InputError: if it has no validation patients, or a case is not there any more.
        """
        folder = RunFolder(run)
        root = data or Path(str(folder.read_config().data))
        if not folder.read_json("split.json")["val"]:
            raise InputError(
                f"--int8: {run} has no validation patients, whose Dice would say what 8 bits "
                "cost; train with --set val_patients=N, or drop the option"
            )
        return cls(cases_of_split(folder, root, "train"), cases_of_split(folder, root, "val"))

    def slices(self, slice_axis: str) -> Iterator[Sample]:
        """At most MOST_SLICES slices, evenly over the training cases and over each case."""
        count = min(MOST_SLICES, len(self.training))
        for index in np.linspace(0, len(self.training) - 1, count).astype(int):
            image = read_image(self.training[index].image)
            cut = slicing(image.geometry, slice_axis)
            slices = cut.cut(image.voxels)
            share = min(len(slices), MOST_SLICES // count)
            for middle in (np.arange(share) + 0.5) * len(slices) / share:
                yield Sample(np.ascontiguousarray(slices[int(middle)]), cut.pixel_mm)


@dataclass(frozen=True)
class Cost:
    """What 8 bits cost, as mean foreground Dice over all voxels of the validation cases."""

    calibration_slices: int
    validation_cases: int
    dice_float32: float
    dice_int8: float

    def __str__(self) -> str:
        return (
            f"Dice on the {self.validation_cases} validation images: {self.dice_float32:.4f} with "
            f"32 bits, {self.dice_int8:.4f} with 8"
        )


def quantise(model: Any, config: Config, calibration: Calibration) -> tuple[Any, int]:
    """Lets the segmenter's convolutions compute with 8 bits; all else keeps 32.

    Args:
        model: of OpenVINO.
        config: of the run, which the model comes from.
        calibration: cases of the run.

    Returns:
        The other model, and the number of slices that its ranges were measured on.
    """
    import nncf

    samples = calibration.slices(config.slice_axis)
    inputs = [sample.inputs(config.spacing_mm is not None) for sample in samples]
    others = _others(model)
    with _silent():
        quantised = nncf.quantize(
            model,
            nncf.Dataset(inputs),
            subset_size=len(inputs),
            ignored_scope=nncf.IgnoredScope(names=others, validate=False),
        )
    return quantised, len(inputs)


def judge(
    other: SlicePredictor, predictor: Predictor, calibration: Calibration, slices: int
) -> Cost:
    """What 8 bits cost.

    Args:
        other: the predictor that computes with them.
        predictor: of the run.
        calibration: cases of the run.
        slices: that the ranges were measured on.

    Raises:
        ExportError: if its Dice is lower by more than MOST_LOSS.
        InputError: if the validation cases show no class but background.
    """
    cost = Cost(
        calibration_slices=slices,
        validation_cases=len(calibration.validation),
        dice_float32=_dice(predictor, calibration.validation),
        dice_int8=_dice(other, calibration.validation),
    )
    if cost.dice_float32 - cost.dice_int8 > MOST_LOSS:
        raise ExportError(
            f"--int8 costs too much. {cost}; expected a loss of at most {MOST_LOSS}; nothing was "
            "exported; drop the option"
        )
    return cost


def _dice(predictor: SlicePredictor, cases: Sequence[Case]) -> float:
    scores = score_cases(predictor, cases, "val", surfaces=False)
    dice = scores["pooled"]["foreground"]["dice"]
    if dice is None:
        raise InputError(
            "--int8: the validation masks show background alone, so Dice says nothing; train "
            "with other validation patients, or drop the option"
        )
    return float(dice)


def _others(model: Any) -> list[str]:
    """What keeps 32 bits: all but the convolutions that the mask comes from.

    The discriminator's are not among them, as no mask depends on it.
    """
    waiting = [result for result in model.get_results() if "mask" in _names(result)]
    found: dict[str, Any] = {}
    while waiting:
        node = waiting.pop()
        if node.get_friendly_name() not in found:
            found[node.get_friendly_name()] = node
            waiting += [value.get_node() for value in node.input_values()]
    segmenter = {n for n, node in found.items() if node.get_type_name() in _CONVOLUTIONS}
    names = (node.get_friendly_name() for node in model.get_ops())
    return [name for name in names if name not in segmenter]


def _names(result: Any) -> set[str]:
    return set(result.input(0).get_source_output().get_names())


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keeps NNCF's notices and its bars of progress off the terminal."""
    log = logging.getLogger("nncf")  # its own set_log_level() changes the handlers of others too
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        log.setLevel(level)
