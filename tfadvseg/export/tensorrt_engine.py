"""A run as a TensorRT engine, by way of ONNX."""

from __future__ import annotations

import shlex
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfadvseg.errors import InputError
from tfadvseg.export.description import describe, specs, write_description
from tfadvseg.export.int8 import Calibration, Cost, judge
from tfadvseg.export.onnx_model import require_onnx
from tfadvseg.export.parity import ANY, EXACT, HALF_PRECISION, Parity, check_predictor
from tfadvseg.export.samples import load_for_export
from tfadvseg.export.tensorrt_builder import Shapes, build, command
from tfadvseg.export.tensorrt_onnx import quantise, to_tensorrt_onnx
from tfadvseg.export.tensorrt_operators import check_operators
from tfadvseg.export.tensorrt_profiles import Profile, Size, check_order, choose
from tfadvseg.export.versions import new_version
from tfadvseg.inference.engines import MODEL_FILES
from tfadvseg.inference.engines.tensorrt import Machine, find_machine, signature
from tfadvseg.inference.exported import ExportedPredictor
from tfadvseg.inference.predictor import Predictor

SCRIPT = "build_engine.sh"


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
    require_onnx()
    machine = None if onnx_only else _require_machine()
    calibration = Calibration.of_run(run, data) if int8 else None
    predictor, samples = load_for_export(run, checkpoint, confidence=confidence, data=data)
    profile = choose(samples, least, best, most)
    model, slices = to_tensorrt_onnx(predictor, confidence=confidence, fp16=fp16), 0
    if calibration is not None:
        model, slices = _quantised(model, predictor, calibration)

    tolerance = ANY if int8 else HALF_PRECISION if fp16 else EXACT
    fitting = [sample for sample in samples if profile.holds(sample)]
    with new_version(out) as version:
        file = version.writing / MODEL_FILES["onnxruntime"]
        other = _save(model, file, predictor)
        write_script(version.writing / SCRIPT, profile.shapes(predictor))
        parity = check_predictor(other, predictor, fitting, tolerance)
        if machine is not None:
            other = _build(machine, file, profile, other, predictor)
            parity = check_predictor(other, predictor, fitting, tolerance)
        told = {"serving_default": specs(other.signature.inputs, other.signature.outputs)}
        about = describe(run, checkpoint, predictor.config, told, parity)
        about["tensorrt"] = {
            "version": machine and machine.version,
            "gpu": machine and machine.gpu,
            "precision": "fp16" if fp16 else "int8" if int8 else "fp32",
            "profile": profile.to_json(),
        }
        cost = None
        if calibration is not None:
            cost = judge(other, predictor, calibration, slices)
            about["int8"] = asdict(cost)
        write_description(version.writing, run, out.name, version.number, about)
    return version.path, parity, cost, _origin(machine)


def save_tensorrt(file: Path, predictor: Predictor, *, confidence: bool, profile: Profile) -> None:
    """Writes the chain of a predictor as an engine for the GPU of this machine, with 32 bits.

    Raises:
        InputError: if GPU, TensorRT or a package is missing.
        ExportError: if TensorRT refuses the model.
    """
    require_onnx()
    machine = find_machine()
    model = to_tensorrt_onnx(predictor, confidence=confidence)
    with tempfile.TemporaryDirectory() as scratch:
        onnx = Path(scratch) / MODEL_FILES["onnxruntime"]
        _save(model, onnx, predictor)
        build(machine, onnx, file, profile.shapes(predictor))


def write_script(file: Path, shapes: Shapes) -> None:
    """Writes a shell script that builds the engine beside it, where `trtexec` is installed."""
    onnx, plan = MODEL_FILES["onnxruntime"], MODEL_FILES["tensorrt"]
    building = shlex.join(command(Path(onnx), Path(f"{plan}.part"), shapes))
    file.write_text(
        f"#!/bin/sh\n# Builds {plan} from {onnx} on the machine whose GPU will run it.\n"
        f'cd "$(dirname "$0")" || exit 1\n{building} && mv {plan}.part {plan}\n',
        encoding="utf-8",
    )
    file.chmod(0o755)


def _quantised(model: Any, predictor: Predictor, calibration: Calibration) -> tuple[Any, int]:
    """The model with 8 bits, and on how many slices its scales were measured."""
    takes_spacing = predictor.config.spacing_mm is not None
    training = calibration.slices(predictor.config.slice_axis)
    inputs = [sample.inputs(takes_spacing) for sample in training]
    return quantise(model, inputs), len(inputs)


def _save(model: Any, file: Path, predictor: Predictor) -> ExportedPredictor:
    """Writes an ONNX model that TensorRT takes; returns its predictor in ONNX Runtime."""
    import onnx

    from tfadvseg.inference.engines.onnxruntime import signature

    check_operators(model)
    onnx.save(model, file)
    onnx.checker.check_model(file, full_check=True)
    return ExportedPredictor(signature(file), predictor.config)


def _build(
    machine: Machine, file: Path, profile: Profile, other: ExportedPredictor, predictor: Predictor
) -> ExportedPredictor:
    """Builds the engine beside an ONNX file; returns its predictor."""
    plan, like = file.with_name(MODEL_FILES["tensorrt"]), other.signature
    build(machine, file, plan, profile.shapes(predictor))
    return ExportedPredictor(
        signature(plan, like.inputs, like.outputs, profile.sizes), predictor.config
    )


def _require_machine() -> Machine:
    try:
        return find_machine()
    except InputError as error:
        raise InputError(
            f"{error}, or export here with --onnx-only and run the {SCRIPT} that it writes there"
        ) from error


def _origin(machine: Machine | None) -> str:
    if machine is None:
        return f"No engine yet: {SCRIPT} builds it, on the GPU that will run it"
    return f"The engine is for {machine.gpu} and TensorRT {machine.version} alone"
