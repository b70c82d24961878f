"""A run as a SavedModel, one numbered folder a version, as TensorFlow Serving wants it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfadvseg import __version__
from tfadvseg.errors import InputError
from tfadvseg.export import server_files
from tfadvseg.export.model_card import model_card
from tfadvseg.export.parity import Parity, check_saved_model
from tfadvseg.export.samples import sample_slices
from tfadvseg.export.servable import Servable, inputs_of
from tfadvseg.export.versions import new_version
from tfadvseg.export.warmup import write_warmup
from tfadvseg.inference import Predictor
from tfadvseg.run_folder import RunFolder

# Of the run's configuration only what says how images are seen: the rest names data and patients.
SETTINGS = ("model", "recipe", "image_size", "crop", "window", "spacing_mm", "slice_axis")


def export_saved_model(
    run: Path,
    out: Path,
    *,
    checkpoint: str = "best",
    confidence: bool = False,
    data: Path | None = None,
) -> tuple[Path, Parity]:
    """Writes the next version of a model; a server that watches the folder sees it whole.

    Args:
        run: the run folder.
        out: the folder of the model's versions; its name is the model's.
        checkpoint: `best` or `last`.
        confidence: let every signature answer with D's confidence too.
        data: a folder with images to check the export with; None for the run's own.

    Returns:
        The folder of the version, and how near it is to the run's own predictor.

    Raises:
        InputError: if the run, its model, its discriminator or its data is missing.
        ExportError: if the export says something else than the run; nothing is left then.
    """
    samples = sample_slices(run, data)
    predictor = Predictor.load(run, checkpoint)
    if confidence and not predictor.has_confidence:
        raise InputError(
            f"--confidence: {run} was trained with recipe supervised and has no discriminator; "
            "drop the option, or export a run of another recipe"
        )
    servable = Servable(predictor, confidence=confidence)
    signatures = servable.signatures()
    with new_version(out) as version:
        tf.saved_model.save(servable, str(version.writing), signatures=signatures)
        extra = version.writing / "assets.extra"
        extra.mkdir()
        write_warmup(extra, signatures, samples[0].voxels.shape[:2])
        server_files.write_samples(extra, out.name)
        for sample in samples:
            predictor.check_slices(sample.voxels.shape[-1], sample.pixel_mm is not None)
        parity = check_saved_model(version.writing, predictor, samples)
        about = _about(run, checkpoint, predictor, signatures, parity)
        (extra / "model.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        (extra / "model_card.md").write_text(
            model_card(out.name, version.number, RunFolder(run), about), encoding="utf-8"
        )
    return version.path, parity


def _about(
    run: Path, checkpoint: str, predictor: Predictor, signatures: dict[str, Any], parity: Parity
) -> dict[str, Any]:
    """What `model.json` says."""
    config = predictor.config
    return {
        "tfadvseg": __version__,
        "tensorflow": tf.__version__,
        "run": run.resolve().name,
        "checkpoint": checkpoint,
        "classes": list(config.classes or ()),
        "channels": config.channels,
        "settings": {name: getattr(config, name) for name in SETTINGS},
        "signatures": {
            name: {
                "inputs": _specs(inputs_of(function)),
                "outputs": _specs(function.structured_outputs),
            }
            for name, function in signatures.items()
        },
        "parity": {
            "calls": parity.calls,
            "largest_difference": parity.difference,
            "differing_mask_pixels": parity.pixels,
            "mask_pixels": parity.of,
        },
    }


def _specs(tensors: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {"dtype": tensor.dtype.name, "shape": tensor.shape.as_list()}
        for name, tensor in tensors.items()
    }
