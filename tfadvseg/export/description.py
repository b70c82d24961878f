"""What an exported model says of itself: `model.json` for programs, a card for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfadvseg import __version__
from tfadvseg.config import Config
from tfadvseg.export.model_card import model_card
from tfadvseg.export.parity import Parity
from tfadvseg.inference.export_folder import DESCRIPTION
from tfadvseg.inference.predictor import Predictor
from tfadvseg.inference.quality import Calibration
from tfadvseg.run_folder import RunFolder

# Of the run's configuration only what says how images are seen: the rest names data and patients.
SETTINGS = ("model", "recipe", "image_size", "crop", "window", "spacing_mm", "slice_axis")


Tensors = Mapping[str, Any]  # with dtype and shape, by name


def describe(
    run: Path, checkpoint: str, config: Config, signatures: Mapping[str, Any], parity: Parity | None
) -> dict[str, Any]:
    """The content of `model.json`.

    Args:
        run: the run folder.
        checkpoint: which of its models.
        config: of the run.
        signatures: of each, from `specs`.
        parity: how near the export is to the run; None where it could not be asked.
    """
    calibration = Calibration.find(run, checkpoint)
    return {
        "tfadvseg": __version__,
        "tensorflow": tf.__version__,
        "run": run.resolve().name,
        "checkpoint": checkpoint,
        **how_it_sees(config),
        "calibration": calibration and calibration.to_json(),
        "signatures": signatures,
        "parity": parity and parity.to_json(),
    }


def how_it_sees(config: Config) -> dict[str, Any]:
    """What `ExportedPredictor` has to know: classes, channels and settings."""
    return {
        "classes": list(config.classes or ()),
        "channels": config.channels,
        "settings": {name: getattr(config, name) for name in SETTINGS},
    }


def write_description(
    folder: Path, run: Path, name: str, version: int, about: Mapping[str, Any]
) -> None:
    """Writes `model.json` and `model_card.md`.

    Args:
        folder: where.
        run: the run folder.
        name: of the model.
        version: its number.
        about: from `describe`.
    """
    (folder / DESCRIPTION).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    card = model_card(name, version, RunFolder(run), about)
    (folder / "model_card.md").write_text(card, encoding="utf-8")


def specs(inputs: Tensors, outputs: Tensors) -> dict[str, Any]:
    """A signature, as `model.json` has it."""

    def told(tensors: Tensors) -> dict[str, Any]:
        return {
            name: {"dtype": tensor.dtype.name, "shape": tensor.shape.as_list()}
            for name, tensor in tensors.items()
        }

    return {"inputs": told(inputs), "outputs": told(outputs)}


def chain_specs(predictor: Predictor, *, confidence: bool) -> dict[str, Any]:
    """The signature of the whole chain for slices of one pixel size, as `model.json` has it.

    Args:
        predictor: of the run.
        confidence: whether D's confidence is answered too.
    """
    config = predictor.config
    slices = [None, None, None]
    inputs: dict[str, Any] = {"images": {"dtype": "float32", "shape": [*slices, config.channels]}}
    if config.spacing_mm is not None:
        inputs["spacing_mm"] = {"dtype": "float32", "shape": [2]}
    classes = len(config.classes or ())
    outputs: dict[str, Any] = {
        "probabilities": {"dtype": "float32", "shape": [*slices, classes]},
        "mask": {"dtype": "uint8", "shape": slices},
    }
    if confidence:
        outputs["confidence"] = {"dtype": "float32", "shape": slices}
    return {"inputs": inputs, "outputs": outputs}
