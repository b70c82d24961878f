"""What builds TensorRT engines on a machine: the module `tensorrt`, or NVIDIA's `trtexec`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from tfadvseg.errors import ExportError, InputError
from tfadvseg.inference.engines.cuda import CudaError, Gpu

Shapes = Mapping[str, tuple[tuple[int, ...], ...]]
Run = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]

OLDEST = 10  # the first release whose operators and flags this was written against


@dataclass(frozen=True)
class Builder:
    """How engines are built and tried here.

    Attributes:
        gpu: the model of the GPU, which engines are bound to.
        version: of TensorRT, which they are bound to as well.
        build: writes the engine of an ONNX file that takes shapes from least over best to most.
        load: makes a function of an engine.
    """

    gpu: str
    version: str
    build: Callable[[Path, Path, Shapes], None]
    load: Callable[[Path], Run]


def require_builder() -> Builder:
    """Finds what builds engines here; the module comes before the program.

    Raises:
        InputError: if there is no GPU or no TensorRT, or it is too old; it says which.
    """
    module, program = find_spec("tensorrt") is not None, shutil.which("trtexec")
    missing = [] if module or program else ["TensorRT (no module tensorrt, no trtexec on the PATH)"]
    try:
        gpu = Gpu().name
    except CudaError as error:
        missing.insert(0, f"an NVIDIA GPU ({error})")
    if missing:
        raise InputError(
            f"a TensorRT engine needs {' and '.join(missing)}; on the machine with the GPU: pip "
            'install "tfadvseg[tensorrt]" and this command again, or export here with --onnx-only '
            "and run the build_engine.sh that it writes there"
        )
    return _of_module(gpu) if module else _of_program(gpu, str(program))


def trtexec_command(onnx: Path, plan: Path, shapes: Shapes, program: str = "trtexec") -> list[str]:
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
        texts = (f"{name}:{_joined(sizes[position])}" for name, sizes in shapes.items())
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


def _of_module(gpu: str) -> Builder:
    import tensorrt

    from tfadvseg.inference.engines.tensorrt import load

    _check_version("the module tensorrt", tensorrt.__version__)

    def build(onnx: Path, plan: Path, shapes: Shapes) -> None:
        plan.write_bytes(_serialized(tensorrt, onnx, shapes))

    return Builder(gpu, tensorrt.__version__, build, load)


def _serialized(tensorrt: Any, onnx: Path, shapes: Shapes) -> Any:
    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    strongly_typed = tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED
    network = builder.create_network(1 << int(strongly_typed))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx)):
        errors = (parser.get_error(index).desc() for index in range(parser.num_errors))
        raise ExportError(f"TensorRT {tensorrt.__version__} refuses the ONNX: {'; '.join(errors)}")
    config = builder.create_builder_config()
    config.clear_flag(tensorrt.BuilderFlag.TF32)  # see trtexec_command
    profile = builder.create_optimization_profile()
    for name, (least, best, most) in shapes.items():
        profile.set_shape(name, least, best, most)
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise ExportError(
            f"TensorRT {tensorrt.__version__} could not build an engine; what it wrote above says "
            "why; a smaller --max needs less memory"
        )
    return engine


def _of_program(gpu: str, program: str) -> Builder:
    banner = _output([program, "--help"])
    found = re.search(r"TensorRT v(\d+)", banner)
    version = _dotted(found.group(1)) if found else ""
    _check_version(program, version)

    def build(onnx: Path, plan: Path, shapes: Shapes) -> None:
        _output(trtexec_command(onnx, plan, shapes, program))
        if not plan.is_file() or not plan.stat().st_size:
            raise ExportError(f"{program} ended well, but wrote no engine; nothing was exported")

    return Builder(gpu, version, build, lambda plan: lambda inputs: _ask(program, plan, inputs))


def _ask(program: str, plan: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Runs an engine once, in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        files = {name: Path(scratch) / f"{name}.bin" for name in inputs}
        for name, file in files.items():
            file.write_bytes(np.ascontiguousarray(inputs[name]).tobytes())
        answer = Path(scratch) / "answer.json"
        _output(
            [
                program,
                f"--loadEngine={plan}",
                f"--shapes={','.join(f'{n}:{_joined(a.shape)}' for n, a in inputs.items())}",
                f"--loadInputs={','.join(f'{name}:{file}' for name, file in files.items())}",
                f"--exportOutput={answer}",
                "--iterations=1",
                "--warmUp=0",
                "--duration=0",
            ]
        )
        outputs = json.loads(answer.read_text(encoding="utf-8"))
    return {
        one["name"]: np.array(one["values"]).reshape([int(s) for s in one["dimensions"].split("x")])
        for one in outputs
    }


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    told = done.stdout + done.stderr
    if done.returncode:
        errors = [line for line in told.splitlines() if "[E]" in line] or told.splitlines() or [""]
        raise ExportError(f"{Path(command[0]).name} failed ({done.returncode}): {errors[0]}")
    return told


def _check_version(what: str, version: str) -> None:
    major = version.partition(".")[0]
    if not major.isdecimal() or int(major) < OLDEST:
        raise InputError(
            f"{what} is of TensorRT {version or 'of no version that it tells'}; expected "
            f"{OLDEST} or later, whose networks can be strongly typed; pip install --upgrade "
            "tensorrt"
        )


def _dotted(number: str) -> str:
    """`trtexec` tells 101601 for 10.16.1."""
    value = int(number)
    return f"{value // 10000}.{value // 100 % 100}.{value % 100}"


def _joined(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))
