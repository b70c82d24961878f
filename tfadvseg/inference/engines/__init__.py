"""What computes: TensorFlow, ONNX Runtime or OpenVINO.

An engine is one function, from a version's folder to signatures by name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from tfadvseg.errors import InputError

if TYPE_CHECKING:
    from tfadvseg.inference.engines.signature import Signatures

MODEL_FILES = {
    "tensorflow": "saved_model.pb",
    "onnxruntime": "model.onnx",
    "openvino": "model.xml",
}
PRECISIONS = ("f32", "bf16", "f16")  # of OpenVINO


def loader(engine: str, precision: str | None = None) -> Callable[[Path], Signatures]:
    """Imports an engine.

    Args:
        engine: a key of MODEL_FILES.
        precision: one of PRECISIONS, for OpenVINO; f32 unless given.

    Returns:
        What loads the folder of a version.

    Raises:
        InputError: if its package is not installed, or the engine has one precision only.
    """
    if precision and engine != "openvino":
        raise InputError(
            f"--precision {precision}: engine {engine} computes as the model was exported; drop "
            "it, or use --engine openvino"
        )
    try:
        load = import_module(f"tfadvseg.inference.engines.{engine}").load
    except ModuleNotFoundError as error:
        raise InputError(
            f"--engine {engine} needs {error.name}, which is not installed; pip install "
            f"{error.name}"
        ) from error
    return partial(load, precision=precision) if precision else load
