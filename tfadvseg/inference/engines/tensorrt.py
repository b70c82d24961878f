"""TensorRT engines on an NVIDIA GPU, through the module `tensorrt` or NVIDIA's `trtexec`."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfadvseg.errors import InputError
from tfadvseg.inference.engines import MODEL_FILES, trtexec
from tfadvseg.inference.engines.cuda import CudaError, Gpu
from tfadvseg.inference.engines.signature import Arrays, Signature, Signatures, Sizes
from tfadvseg.inference.export_folder import ExportFolder

OLDEST = 10  # the first release whose operators and flags this was written against


@dataclass(frozen=True)
class Machine:
    """What builds and runs engines here; an engine is bound to GPU and version.

    Attributes:
        gpu: the model of the GPU.
        version: of TensorRT.
        program: `trtexec`; None for the module `tensorrt`, which comes first.
    """

    gpu: str
    version: str
    program: str | None


def find_machine() -> Machine:
    """Looks for a GPU and for TensorRT.

    Raises:
        InputError: if one is missing or too old; it says which.
    """
    module, program = find_spec("tensorrt") is not None, shutil.which("trtexec")
    missing = [] if module or program else ["TensorRT (no module tensorrt, no trtexec on the PATH)"]
    try:
        gpu = Gpu().name
    except CudaError as error:
        missing.insert(0, f"an NVIDIA GPU ({error})")
    if missing:
        raise InputError(
            f"a TensorRT engine needs {' and '.join(missing)}; on a machine with the GPU: pip "
            'install "tfadvseg[tensorrt]" and this command again'
        )
    version = import_module("tensorrt").__version__ if module else trtexec.version(str(program))
    major = version.partition(".")[0]
    if not major.isdecimal() or int(major) < OLDEST:
        raise InputError(
            f"{'the module tensorrt' if module else program} is of TensorRT "
            f"{version or 'of no version that it tells'}; expected {OLDEST} or later, whose "
            "networks can be strongly typed; pip install --upgrade tensorrt"
        )
    # Else TensorFlow takes all of the GPU's memory where it loads the run to compare with.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    return Machine(gpu, version, None if module else program)


def release() -> str:
    """Which release computes, on which GPU."""
    machine = find_machine()
    return f"{machine.version}-{re.sub(r'[^A-Za-z0-9]+', '-', machine.gpu)}"


def load(folder: Path) -> Signatures:
    """Loads `model.plan` as the signature `serving_default`.

    Raises:
        InputError: if GPU or TensorRT is missing, the engine was built for others, or this
            program did not export it.
    """
    about = ExportFolder(folder).read_description()
    told, profile = about["signatures"]["serving_default"], about["tensorrt"]["profile"]
    inputs, outputs = (_specs(told[kind]) for kind in ("inputs", "outputs"))
    sizes = Sizes(tuple(profile["min"]), tuple(profile["max"]))
    plan = folder / MODEL_FILES["tensorrt"]
    return {"serving_default": signature(plan, inputs, outputs, sizes)}


def signature(
    plan: Path,
    inputs: Mapping[str, tf.TensorSpec],
    outputs: Mapping[str, tf.TensorSpec],
    sizes: Sizes,
) -> Signature:
    """How to call an engine.

    Args:
        plan: its file.
        inputs: specs by name; `images` is the one with a batch.
        outputs: likewise; all have a batch.
        sizes: that it was built for. Larger batches are computed in parts.

    Raises:
        InputError: see `load`.
    """
    machine = find_machine()
    if machine.program is None:
        from tfadvseg.inference.engines import tensorrt_module

        run = tensorrt_module.runner(plan)
    else:
        run = partial(trtexec.ask, machine.program, plan)

    def call(arrays: Arrays) -> Arrays:
        images, most = arrays["images"], sizes.most[0]
        sizes.check(*images.shape[1:3])
        parts = (images[start : start + most] for start in range(0, len(images), most))
        answers = [run({**arrays, "images": part}) for part in parts]
        return {
            name: np.concatenate([answer[name] for answer in answers]).astype(
                spec.dtype.as_numpy_dtype, copy=False
            )
            for name, spec in outputs.items()
        }

    return Signature(inputs, outputs, call, sizes)


def _specs(told: Mapping[str, Mapping[str, Any]]) -> dict[str, tf.TensorSpec]:
    """From the description of a model."""
    return {name: tf.TensorSpec(one["shape"], one["dtype"], name) for name, one in told.items()}
