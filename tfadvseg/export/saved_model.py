"""A run as a SavedModel, one numbered folder a version, as TensorFlow Serving wants it."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from tfadvseg.export import server_files
from tfadvseg.export.description import describe, specs, write_description
from tfadvseg.export.parity import Parity, check_saved_model
from tfadvseg.export.samples import load_for_export
from tfadvseg.export.servable import Servable, inputs_of
from tfadvseg.export.versions import new_version
from tfadvseg.export.warmup import write_warmup


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
    predictor, samples = load_for_export(run, checkpoint, confidence=confidence, data=data)
    servable = Servable(predictor, confidence=confidence)
    signatures = servable.signatures()
    with new_version(out) as version:
        tf.saved_model.save(servable, str(version.writing), signatures=signatures)
        extra = version.writing / "assets.extra"
        extra.mkdir()
        write_warmup(extra, signatures, samples[0].voxels.shape[:2])
        server_files.write_samples(extra, out.name)
        parity = check_saved_model(version.writing, predictor, samples)
        told = {
            name: specs(inputs_of(function), function.structured_outputs)
            for name, function in signatures.items()
        }
        about = describe(run, checkpoint, predictor.config, told, parity)
        write_description(extra, run, out.name, version.number, about)
    return version.path, parity
