"""What a run shows while it trains: the terminal's bar, and TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from tfadvseg.data.folders.cases import Case
from tfadvseg.data.geometry import slicing
from tfadvseg.data.io import read_image, read_mask
from tfadvseg.inference.predictor import Predictor
from tfadvseg.pictures import class_colours, fullest, grey, heat, panel, without

SHOWN = {
    "ce_loss": "ce",
    "adv_loss": "adv",
    "semi_loss": "semi",
    "d_loss": "D",
    "kept": "kept",
}
PANELS = 4


class StepsPerSecond(ProgressColumn):
    """The speed of training."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:.2f}/s")


class StepBar(keras.callbacks.Callback):
    """One bar over all steps of a run, with the losses, the speed and the time left.

    Args:
        console: where to show it.
        total: steps of the run.
        done: steps that are done already.
    """

    def __init__(self, console: Console, total: int, done: int):
        super().__init__()
        self.progress = Progress(
            TextColumn("{task.completed}/{task.total}"),
            BarColumn(bar_width=10),  # all of it fits into 80 columns
            TextColumn("{task.fields[losses]}"),
            StepsPerSecond(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.progress.add_task("train", total=total, completed=done, losses="")

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        losses = " ".join(
            f"{SHOWN[k]} {float(v):.2f}" for k, v in (logs or {}).items() if k in SHOWN
        )
        self.progress.update(self.task, advance=1, losses=losses)


class TensorBoard:
    """Writes scalars, and panels of image, label, prediction and confidence.

    Args:
        folder: where TensorBoard looks.
        cases: cases with masks; a few of them are drawn.
    """

    def __init__(self, folder: Path, cases: Sequence[Case]):
        self.writer = tf.summary.create_file_writer(str(folder))
        stride = max(1, len(cases) // PANELS)
        self.cases = list(cases[stride // 2 :: stride][:PANELS])  # from the middle of patients

    def write(self, row: Mapping[str, Any], predictor: Predictor) -> None:
        """Writes one row of the history, and the panels as the networks see them now."""
        step = row["step"]
        with self.writer.as_default():
            for name, value in row.items():
                if isinstance(value, float):
                    tf.summary.scalar(name, value, step=step)
            for case in self.cases:
                picture = case_panel(case, predictor)
                tf.summary.image(f"panels/{case.name}", picture[None], step=step)
        self.writer.flush()


def case_panel(case: Case, predictor: Predictor) -> np.ndarray:
    """Image, label, prediction and (where there is a D) confidence, side by side.

    Of a volume it shows the slice with the most foreground.
    """
    image = read_image(case.image)
    cut = slicing(image.geometry, predictor.config.slice_axis)
    slices = cut.cut(image.voxels)
    mask, shown, ignored = None, len(slices) // 2, predictor.config.ignored()
    if case.mask is not None:
        masks = cut.cut(read_mask(case.mask).voxels)
        shown = fullest(masks, ignored)
        mask = without(masks[shown], ignored)
    prediction = predictor(slices[shown : shown + 1], cut.pixel_mm)
    pictures = [grey(slices[shown]), class_colours(prediction.masks[0])]
    if mask is not None:
        pictures.insert(1, class_colours(mask))
    if prediction.confidence is not None:
        pictures.append(heat(prediction.confidence[0]))
    return panel(pictures)
