"""A run as an OpenVINO model, for CPUs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfadvseg import telemetry
from tfadvseg.errors import InputError
from tfadvseg.export.description import describe, write_description
from tfadvseg.export.int8 import Calibration, Cost, quantise
from tfadvseg.export.parity import ANY, EXACT, Parity, check_function
from tfadvseg.export.samples import Sample, load_for_export
from tfadvseg.export.servable import Servable
from tfadvseg.export.versions import new_version
from tfadvseg.inference import Predictor

Asking = Callable[[Sample], Mapping[str, np.ndarray]]


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
    check_function(asking(model), predictor, samples, EXACT)
    cost = None
    if calibration is not None:
        model, cost = quantise(model, predictor, calibration, asking)
    with new_version(out) as version:
        file = version.writing / "model.xml"
        openvino.save_model(model, file, compress_to_fp16=False)
        saved = openvino.Core().read_model(file)
        # Of 8 bits no pixel is promised: Dice has judged them.
        parity = check_function(asking(saved), predictor, samples, ANY if int8 else EXACT)
        specs = {"serving_default": _specs(saved)}
        about = describe(run, checkpoint, predictor.config, specs, parity)
        if cost is not None:
            about["int8"] = asdict(cost)
        write_description(version.writing, run, out.name, version.number, about)
    return version.path, parity, cost


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
    specs = servable.slice_specs()
    function = tf.function(servable.slices, input_signature=specs).get_concrete_function()
    model = openvino.convert_model(function)
    for port, spec in zip(model.inputs, specs, strict=True):
        port.get_tensor().set_names({spec.name})  # the converter adds names of its own
    return model


def asking(model: Any) -> Asking:
    """A function that computes slices with 32 bits; OpenVINO's own choice may be 16."""
    openvino = require_openvino()
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    takes_spacing = any(port.any_name == "spacing_mm" for port in compiled.inputs)

    def ask(sample: Sample) -> Mapping[str, np.ndarray]:
        results = compiled(sample.inputs(takes_spacing))
        return {port.any_name: results[port] for port in compiled.outputs}

    return ask


def _specs(model: Any) -> dict[str, Any]:
    """Inputs and outputs of an OpenVINO model, as `model.json` has them."""

    def told(ports: Any) -> dict[str, Any]:
        return {
            port.any_name: {
                "dtype": port.element_type.to_dtype().name,
                "shape": [s.get_length() if s.is_static else None for s in port.partial_shape],
            }
            for port in ports
        }

    return {"inputs": told(model.inputs), "outputs": told(model.outputs)}
