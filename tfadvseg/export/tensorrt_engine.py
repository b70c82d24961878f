"""A run as a TensorRT engine, by way of ONNX."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tfadvseg.errors import InputError
from tfadvseg.export.description import describe, write_description
from tfadvseg.export.int8 import Asked, Calibration, Cost, judge
from tfadvseg.export.onnx_model import asking, require_onnx, specs_of
from tfadvseg.export.parity import ANY, EXACT, HALF_PRECISION, Parity, check_function
from tfadvseg.export.samples import Sample, load_for_export
from tfadvseg.export.tensorrt_builder import Builder, Run, Shapes, require_builder, trtexec_command
from tfadvseg.export.tensorrt_onnx import quantise, to_tensorrt_onnx
from tfadvseg.export.tensorrt_operators import check_operators
from tfadvseg.export.tensorrt_profiles import Size, check_order, choose
from tfadvseg.export.versions import new_version
from tfadvseg.inference import Predictor

ONNX, PLAN, SCRIPT = "model.onnx", "model.plan", "build_engine.sh"


def export_tensorrt(
    run: Path,
    out: Path,
    *,
    checkpoint: str = "best",
    confidence: bool = False,
    fp16: bool = False,
    int8: bool = False,
    least: Size | None = None,
    best: Size | None = None,
    most: Size | None = None,
    onnx_only: bool = False,
    data: Path | None = None,
) -> tuple[Path, Parity, Cost | None, str]:
    """Writes the next version of a model as `<version>/model.plan`, with the whole chain inside.

    Beside it lie the `model.onnx` that it was built from and `build_engine.sh`, which builds it
    on another GPU. Inputs and outputs are those of the ONNX model.

    Args:
        run: the run folder.
        out: the folder of the model's versions; its name is the model's.
        checkpoint: `best` or `last`.
        confidence: answer with D's confidence too.
        fp16: let the networks compute with 16 bits.
        int8: let the segmenter's convolutions compute with 8 bits, fitted to training images.
        least: smallest batch, height and width that the engine takes, see `choose`.
        best: those that it is made for.
        most: the largest.
        onnx_only: build no engine; needs neither GPU nor TensorRT.
        data: a folder with images to check the export with, for `int8` with the run's own cases;
            None for the run's own.

    Returns:
        The folder of the version, how near the engine, or else its ONNX, is to the run's own
        predictor, what 8 bits cost, and where the engine comes from.

    Raises:
        InputError: if GPU, TensorRT, a package, the run, its model, its discriminator or its data
            is missing, or an option is wrong.
        ExportError: if TensorRT refuses the model, or the engine says something else than the
            run; nothing is left then.
    """
    if fp16 and int8:
        raise InputError("--fp16 and --int8 exclude each other; give one, or none for 32 bits")
    check_order(least, best, most)
    onnx, runtime = require_onnx()
    builder = None if onnx_only else require_builder()
    calibration = Calibration.of_run(run, data) if int8 else None
    predictor, samples = load_for_export(run, checkpoint, confidence=confidence, data=data)
    profile = choose(samples, least, best, most)
    shapes = profile.shapes(int(predictor.config.channels or 1))
    model, slices = to_tensorrt_onnx(predictor, confidence=confidence, fp16=fp16), 0
    if calibration is not None:
        model, slices = _quantised(model, predictor, calibration)
    check_operators(model)

    tolerance = ANY if int8 else HALF_PRECISION if fp16 else EXACT
    fitting = [sample for sample in samples if profile.holds(sample)]
    with new_version(out) as version:
        file, plan = version.writing / ONNX, version.writing / PLAN
        onnx.save(model, file)
        onnx.checker.check_model(file, full_check=True)
        write_script(version.writing / SCRIPT, shapes)
        ask = asking(runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"]))
        parity = check_function(ask, predictor, fitting, tolerance)
        if builder is not None:
            builder.build(file, plan, shapes)
            ask = _asking_engine(builder.load(plan), predictor)
            parity = check_function(ask, predictor, fitting, tolerance)
        specs = {"serving_default": specs_of(model)}
        about = describe(run, checkpoint, predictor.config, specs, parity)
        about["tensorrt"] = {
            "version": builder and builder.version,
            "gpu": builder and builder.gpu,
            "precision": "fp16" if fp16 else "int8" if int8 else "fp32",
            "profile": profile.to_json(),
        }
        cost = None
        if calibration is not None:
            other = Asked(predictor, lambda function: function, ask)
            cost = judge(predictor, other, calibration, slices)
            about["int8"] = asdict(cost)
        write_description(version.writing, run, out.name, version.number, about)
    return version.path, parity, cost, _origin(builder)


def write_script(file: Path, shapes: Shapes) -> None:
    """Writes a shell script that builds the engine beside it, where `trtexec` is installed."""
    command = shlex.join(trtexec_command(Path(ONNX), Path(PLAN), shapes))
    file.write_text(
        f"#!/bin/sh\n# Builds {PLAN} from {ONNX} on the machine whose GPU will run it.\n"
        f'cd "$(dirname "$0")" || exit 1\nexec {command}\n',
        encoding="utf-8",
    )
    file.chmod(0o755)


def _quantised(model: Any, predictor: Predictor, calibration: Calibration) -> tuple[Any, int]:
    """The model with 8 bits, and on how many slices its scales were measured."""
    takes_spacing = predictor.config.spacing_mm is not None
    training = calibration.slices(predictor.config.slice_axis)
    inputs = [sample.inputs(takes_spacing) for sample in training]
    return quantise(model, inputs), len(inputs)


def _asking_engine(run: Run, predictor: Predictor) -> Callable[[Sample], Mapping[str, np.ndarray]]:
    takes_spacing = predictor.config.spacing_mm is not None
    return lambda sample: run(sample.inputs(takes_spacing))


def _origin(builder: Builder | None) -> str:
    if builder is None:
        return f"No engine yet: {SCRIPT} builds it, on the GPU that will run it"
    return f"The engine is for {builder.gpu} and TensorRT {builder.version} alone"
