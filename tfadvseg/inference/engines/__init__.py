"""What computes: TensorFlow, TensorRT, ONNX Runtime or OpenVINO.

An engine is a module of two functions: `load`, from a version's folder to signatures by name, and
`release`, which of its releases computes here.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tfadvseg.errors import InputError

if TYPE_CHECKING:
    from tfadvseg.inference.engines.signature import Signatures

MODEL_FILES = {
    "tensorflow": "saved_model.pb",
    "tensorrt": "model.plan",  # before ONNX Runtime: the ONNX that it was built from lies beside it
    "onnxruntime": "model.onnx",
    "openvino": "model.xml",
}


def loader(engine: str) -> Callable[[Path], Signatures]:
    """Imports an engine.

    Args:
        engine: a key of MODEL_FILES.

    Returns:
        What loads the folder of a version.

    Raises:
        InputError: if it cannot compute here, see `release`.
    """
    release(engine)
    load: Callable[[Path], Signatures] = _module(engine).load
    return load


def release(engine: str) -> str:
    """Which engine computes here, in a word: its name and release, for TensorRT the GPU too.

    Args:
        engine: a key of MODEL_FILES.

    Raises:
        InputError: if its package is not installed, or what it computes on is not there.
    """
    return f"{engine}-{_module(engine).release()}"


def _module(engine: str) -> ModuleType:
    try:
        return import_module(f"tfadvseg.inference.engines.{engine}")
    except ModuleNotFoundError as error:
        raise InputError(
            f"--engine {engine} needs {error.name}, which is not installed; pip install "
            f"{error.name}"
        ) from error
