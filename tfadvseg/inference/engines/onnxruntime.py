"""ONNX models in ONNX Runtime, on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from tfadvseg import telemetry
from tfadvseg.inference.engines.signature import (
    INVALID_ARGUMENT,
    Arrays,
    GraphRefusal,
    Signature,
    Signatures,
)

telemetry.forbid()

import onnxruntime  # noqa: E402
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument  # noqa: E402

_DTYPES = {"float": tf.float32, "double": tf.float64, "float16": tf.float16}


def release() -> str:
    """Which release computes."""
    return str(onnxruntime.__version__)


def load(folder: Path) -> Signatures:
    """Loads `model.onnx` as the signature `serving_default`."""
    return {"serving_default": signature(folder / "model.onnx")}


def signature(file: Path) -> Signature:
    """How to call a model."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    outputs = _specs(session.get_outputs())

    def call(arrays: Arrays) -> Arrays:
        try:
            return dict(zip(outputs, session.run(list(outputs), arrays), strict=True))
        except InvalidArgument as error:
            raise GraphRefusal(INVALID_ARGUMENT, str(error).partition("\n")[0]) from error

    return Signature(_specs(session.get_inputs()), outputs, call)


def _specs(nodes: list[Any]) -> dict[str, tf.TensorSpec]:
    return {node.name: tf.TensorSpec(_shape(node), _dtype(node), node.name) for node in nodes}


def _shape(node: Any) -> list[int | None]:
    return [side if isinstance(side, int) else None for side in node.shape]


def _dtype(node: Any) -> tf.DType:
    """From ONNX Runtime's `tensor(float)`."""
    name = node.type.removeprefix("tensor(").removesuffix(")")
    return _DTYPES.get(name) or tf.as_dtype(name)
