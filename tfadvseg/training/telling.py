"""What the terminal is told of a run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from tfadvseg.config import Config
from tfadvseg.data.folders.split import Split
from tfadvseg.models import AdversarialSegmenter
from tfadvseg.recipes import USE_UNLABELLED

LOSSES = {"ce_loss": "ce", "adv_loss": "adv", "semi_loss": "semi", "d_loss": "D"}
JUDGEMENTS = {"label": "d_real", "labelled": "d_fake_labelled", "unlabelled": "d_fake_unlabelled"}


def description(config: Config, split: Split, model: AdversarialSegmenter) -> Iterator[str]:
    """Lines on what is trained with what."""
    patients = split.to_json()["patients"]
    parts = [
        f"{len(getattr(split, name))} {name} cases (patients: {len(patients[name])})"
        for name in ("labelled", "unlabelled", "val", "test")
        if name != "unlabelled" or config.recipe in USE_UNLABELLED
    ]
    yield "Data: " + ", ".join(parts) + "."
    if config.labelled_patients or config.labelled_fraction:
        yield "Labelled patients: " + ", ".join(patients["labelled"]) + "."
    if config.recipe == "strong" and len(patients["val"]) == 1:
        yield (
            "Warning: what pseudo-labels are worth is judged on one patient, "
            f"{patients['val'][0]}; with two or more (val_patients) it is surer."
        )
    weights = model.segmenter.count_params() / 1e6
    yield f"Segmenter: {config.model}, {weights:.2f} million weights, {config.norm} norm."
    bottom = math.ceil(max(config.size()) / 2**config.depth)
    alone = config.norm == "instance" or config.norm == "batch" and config.batch_size == 1
    if bottom == 1 and alone:
        yield (
            f"Warning: at the bottom of S an image is one pixel, and {config.norm} norm makes the "
            "same of each; set a lower depth, or norm group."
        )
    if model.discriminator is not None:
        side, (height, width) = model.discriminator.reduction, config.size()
        yield (
            f"Discriminator: its map is {math.ceil(height / side)}x{math.ceil(width / side)} for "
            f"{height}x{width} images; one value covers {side}x{side} pixels."
        )


def round_line(row: Mapping[str, Any], config: Config, *, best: bool) -> str:
    """One line on a round; `best` where its validation is the best so far."""
    figures = [f"{short} {row[name]:.3f}" for name, short in LOSSES.items() if name in row]
    if "kept" in row:
        figures.append(f"kept {row['kept']:.0%}")
    if row.get("val_dice") is not None:
        figures.append(f"val Dice {row['val_dice']:.3f}{' (best)' if best else ''}")
    speed = f"{row['steps_per_second']:.2f} steps/s"
    return f"step {row['step']}/{config.steps} {row['stage']}: {', '.join([*figures, speed])}"


def trust_line(row: Mapping[str, Any], config: Config) -> str:
    """A second line on a round with unlabelled images: what D says, which pseudo-labels count."""
    said = ", ".join(f"D({name}) {row[column]:.2f}" for name, column in JUDGEMENTS.items())
    classes = []
    for name in config.classes or ():
        if f"kept {name}" in row:
            right = row.get(f"precision {name}")
            shown = "" if right is None else f" ({right:.0%})"
            classes.append(f"{name} {row[f'kept {name}']:.0%}{shown}")
    return f"  {said}" + (f"; kept (right): {', '.join(classes)}" if classes else "")
