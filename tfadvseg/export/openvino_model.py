"""A run as an OpenVINO model, for CPUs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfadvseg import telemetry
from tfadvseg.config import Config
from tfadvseg.errors import InputError
from tfadvseg.export.description import describe, specs, write_description
from tfadvseg.export.int8 import Calibration, Cost, judge, quantise
from tfadvseg.export.parity import ANY, EXACT, Parity, check_predictor
from tfadvseg.export.samples import load_for_export
from tfadvseg.export.servable import Servable
from tfadvseg.export.versions import new_version
from tfadvseg.inference.engines import MODEL_FILES
from tfadvseg.inference.exported import ExportedPredictor
from tfadvseg.inference.predictor import Predictor


def export_openvino(
    run: Path,
    out: Path,
    *,
    checkpoint: str = "best",
    confidence: bool = False,
    int8: bool = False,
    data: Path | None = None,
) -> tuple[Path, Parity, Cost | None]:
    """Writes the next version of a model as `<version>/model.xml` and `model.bin`.

    The whole chain is inside. Inputs and outputs are those of the ONNX model.

    Args:
        run: the run folder.
        out: the folder of the model's versions; its name is the model's.
        checkpoint: `best` or `last`.
        confidence: answer with D's confidence too.
        int8: let the segmenter's convolutions compute with 8 bits, see `int8.quantise`.
        data: a folder with images to check the export with, for `int8` with the run's own cases;
            None for the run's own.

    Returns:
        The folder of the version, how near OpenVINO is to the run's own predictor, and what 8
        bits cost, None without them.

    Raises:
        InputError: if a package, the run, its model, its discriminator or its data is missing.
        ExportError: if the export says something else than the run, or 8 bits cost too much
            Dice; nothing is left then.
    """
    openvino = require_openvino(nncf=int8)
    calibration = Calibration.of_run(run, data) if int8 else None
    predictor, samples = load_for_export(run, checkpoint, confidence=confidence, data=data)
    model = to_openvino(predictor, confidence=confidence)
    cost = None
    if calibration is not None:  # else what is written is compared, below
        check_predictor(predictor_of(model, predictor.config), predictor, samples)
        model, slices = quantise(model, predictor.config, calibration)
        cost = judge(predictor_of(model, predictor.config), predictor, calibration, slices)
    with new_version(out) as version:
        file = version.writing / MODEL_FILES["openvino"]
        openvino.save_model(model, file, compress_to_fp16=False)
        other = predictor_of(file, predictor.config)
        # Of 8 bits no pixel is promised: Dice has judged them.
        parity = check_predictor(other, predictor, samples, ANY if int8 else EXACT)
        told = {"serving_default": specs(other.signature.inputs, other.signature.outputs)}
        about = describe(run, checkpoint, predictor.config, told, parity)
        if cost is not None:
            about["int8"] = asdict(cost)
        write_description(version.writing, run, out.name, version.number, about)
    return version.path, parity, cost


def save_openvino(file: Path, predictor: Predictor, *, confidence: bool) -> None:
    """Writes the chain of a predictor as `.xml`, with `.bin` beside it.

    Raises:
        InputError: if OpenVINO is not installed.
    """
    model = to_openvino(predictor, confidence=confidence)
    require_openvino().save_model(model, file, compress_to_fp16=False)


def require_openvino(*, nncf: bool = False) -> Any:
    """The package `openvino`.

    Args:
        nncf: whether NNCF is needed too.

    Raises:
        InputError: if one of them is not installed.
    """
    telemetry.forbid()
    try:
        import openvino

        if nncf:
            import nncf as _  # noqa: F401
    except ImportError as error:
        raise InputError(
            f'OpenVINO needs {error.name}, which is not installed; pip install "tfadvseg[openvino]"'
        ) from error
    return openvino


def to_openvino(predictor: Predictor, *, confidence: bool) -> Any:
    """The chain of a predictor as an OpenVINO model with named inputs and outputs."""
    openvino = require_openvino()
    servable = Servable(predictor, confidence=confidence)
    wanted = servable.slice_specs()
    function = tf.function(servable.slices, input_signature=wanted).get_concrete_function()
    model = openvino.convert_model(function)
    for port, spec in zip(model.inputs, wanted, strict=True):
        port.get_tensor().set_names({spec.name})  # the converter adds names of its own
    return model


def predictor_of(source: Any, config: Config) -> ExportedPredictor:
    """The predictor of an OpenVINO model, or of its file, with 32 bits."""
    require_openvino()
    from tfadvseg.inference.engines.openvino import signature

    return ExportedPredictor(signature(source), config)
