"""Builds TensorRT engines from ONNX, through the module `tensorrt` or NVIDIA's `trtexec`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfadvseg.errors import ExportError
from tfadvseg.inference.engines import trtexec
from tfadvseg.inference.engines.tensorrt import Machine

Shapes = Mapping[str, tuple[tuple[int, ...], ...]]


def build(machine: Machine, onnx: Path, plan: Path, shapes: Shapes) -> None:
    """Builds an engine.

    Args:
        machine: what builds it.
        onnx: the file to build it from.
        plan: the file to write.
        shapes: least, best and largest shape of inputs by name.

    Raises:
        ExportError: if TensorRT refuses the model, or cannot build it.
    """
    if machine.program is None:
        plan.write_bytes(_serialized(onnx, shapes))
        return
    trtexec.output(command(onnx, plan, shapes, machine.program))
    if not plan.is_file() or not plan.stat().st_size:
        raise ExportError(f"{machine.program} ended well, but wrote no engine")


def command(onnx: Path, plan: Path, shapes: Shapes, program: str = "trtexec") -> list[str]:
    """The command line that builds an engine, for TensorRT 10 and later.

    `--stronglyTyped` takes the precisions that are typed into the ONNX; TensorRT 11 does nothing
    else and ignores it. `--noTF32` because 32 bits are 32: the chain around networks of 16 or 8
    bits maps stored values, for which TF32's 10 bits of mantissa are too few.

    Args:
        onnx: the file.
        plan: the engine to write.
        shapes: least, best and largest shape of inputs by name.
        program: `trtexec`, or where it is.
    """
    profile = []
    for position, option in enumerate(("--minShapes", "--optShapes", "--maxShapes")):
        texts = (f"{name}:{trtexec.joined(sizes[position])}" for name, sizes in shapes.items())
        profile.append(f"{option}={','.join(texts)}")
    return [
        program,
        f"--onnx={onnx}",
        f"--saveEngine={plan}",
        *profile,
        "--stronglyTyped",
        "--noTF32",
        "--skipInference",
    ]


def _serialized(onnx: Path, shapes: Shapes) -> Any:
    import tensorrt

    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    strongly_typed = tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED
    network = builder.create_network(1 << int(strongly_typed))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx)):
        errors = (parser.get_error(index).desc() for index in range(parser.num_errors))
        raise ExportError(f"TensorRT {tensorrt.__version__} refuses the ONNX: {'; '.join(errors)}")
    config = builder.create_builder_config()
    config.clear_flag(tensorrt.BuilderFlag.TF32)  # see command
    profile = builder.create_optimization_profile()
    for name, (least, best, most) in shapes.items():
        profile.set_shape(name, least, best, most)
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise ExportError(
            f"TensorRT {tensorrt.__version__} could not build an engine; what it wrote above says "
            "why; smaller images need less memory"
        )
    return engine
