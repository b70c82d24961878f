"""A run as an ONNX model, for ONNX Runtime, OpenVINO, TensorRT and Triton."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfadvseg import telemetry
from tfadvseg.errors import InputError
from tfadvseg.export.description import describe, specs, write_description
from tfadvseg.export.parity import EXACT, HALF_PRECISION, Parity, check_predictor
from tfadvseg.export.precision import half_precision
from tfadvseg.export.samples import Sample, load_for_export
from tfadvseg.export.servable import Servable
from tfadvseg.export.versions import new_version
from tfadvseg.inference.engines import MODEL_FILES
from tfadvseg.inference.exported import ExportedPredictor
from tfadvseg.inference.predictor import Predictor

OPSET = 17


def export_onnx(
    run: Path,
    out: Path,
    *,
    checkpoint: str = "best",
    confidence: bool = False,
    fp16: bool = False,
    data: Path | None = None,
) -> tuple[Path, Parity]:
    """Writes the next version of a model as `<version>/model.onnx`, with the whole chain inside.

    Inputs and outputs are those of the SavedModel's `serving_default`, of any batch, height and
    width; models with a pixel size take `spacing_mm` (2,) for all of a batch.

    Args:
        run: the run folder.
        out: the folder of the model's versions; its name is the model's.
        checkpoint: `best` or `last`.
        confidence: answer with D's confidence too.
        fp16: let the networks compute with 16 bits; the chain around them and all inputs and
            outputs keep 32.
        data: a folder with images to check the export with; None for the run's own.

    Returns:
        The folder of the version, and how near ONNX Runtime is to the run's own predictor.

    Raises:
        InputError: if a package, the run, its model, its discriminator or its data is missing.
        ExportError: if the export says something else than the run; nothing is left then.
    """
    require_onnx()
    predictor, samples = load_for_export(run, checkpoint, confidence=confidence, data=data)
    with new_version(out) as version:
        file = version.writing / MODEL_FILES["onnxruntime"]
        other, parity = write_onnx(file, predictor, samples, confidence=confidence, fp16=fp16)
        told = {"serving_default": specs(other.signature.inputs, other.signature.outputs)}
        about = describe(run, checkpoint, predictor.config, told, parity)
        write_description(version.writing, run, out.name, version.number, about)
    return version.path, parity


def write_onnx(
    file: Path, predictor: Predictor, samples: Sequence[Sample], *, confidence: bool, fp16: bool
) -> tuple[ExportedPredictor, Parity]:
    """Writes the chain of a predictor as an ONNX file, and asks ONNX Runtime about it.

    Args:
        file: where; a file that is there is replaced.
        predictor: of the run.
        samples: real slices.
        confidence: answer with D's confidence too.
        fp16: let the networks compute with 16 bits.

    Returns:
        The predictor of the file, and how near it is to that of the run.

    Raises:
        ExportError: if it says something else.
    """
    save_onnx(file, half_precision(predictor) if fp16 else predictor, confidence=confidence)
    from tfadvseg.inference.engines.onnxruntime import signature

    other = ExportedPredictor(signature(file), predictor.config)
    tolerance = HALF_PRECISION if fp16 else EXACT
    return other, check_predictor(other, predictor, samples, tolerance)


def save_onnx(file: Path, predictor: Predictor, *, confidence: bool) -> None:
    """Writes the chain of a predictor as an ONNX file, and checks it by ONNX's rules.

    Raises:
        InputError: if a package is not installed.
    """
    onnx = require_onnx()
    onnx.save(to_onnx(predictor, confidence=confidence), file)
    onnx.checker.check_model(file, full_check=True)


def require_onnx() -> Any:
    """The package `onnx`.

    Raises:
        InputError: if it, ONNX Runtime or tf2onnx is not installed.
    """
    telemetry.forbid()
    try:
        import onnx
        import onnxruntime  # noqa: F401
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise InputError(
            f'ONNX needs {error.name}, which is not installed; pip install "tfadvseg[onnx]"'
        ) from error
    return onnx


def to_onnx(predictor: Predictor, *, confidence: bool) -> Any:
    """The chain of a predictor as an ONNX model with named inputs and outputs."""
    import tf2onnx

    servable = Servable(predictor, confidence=confidence)
    wanted = servable.slice_specs()
    function = tf.function(servable.slices, input_signature=wanted)
    return tf2onnx.convert.from_function(function, input_signature=wanted, opset=OPSET)[0]
