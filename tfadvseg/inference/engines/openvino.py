"""OpenVINO models on the CPU."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfadvseg import telemetry
from tfadvseg.inference.engines.signature import Arrays, Signature, Signatures

telemetry.forbid()

import openvino  # noqa: E402

# Its own choice is bfloat16 where the CPU has it. The graph computes where pixels are sampled, too,
# and in 8 bits of mantissa masks would move.
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


def release() -> str:
    """Which release computes."""
    return str(openvino.__version__).replace("/", "-")  # it has its branch in it, a path


def load(folder: Path) -> Signatures:
    """Loads `model.xml` with its `.bin` from a folder as the signature `serving_default`."""
    return {"serving_default": signature(folder / "model.xml")}


def signature(source: Path | openvino.Model) -> Signature:
    """How to call a model: its file, or the model itself."""
    model = openvino.Core().compile_model(source, "CPU", EXACT)
    outputs = _specs(model.outputs)
    local = threading.local()  # an infer request serves one thread at a time

    def call(arrays: Arrays) -> Arrays:
        if not hasattr(local, "request"):
            local.request = model.create_infer_request()
        results = local.request.infer(arrays)
        return {name: results[index] for index, name in enumerate(outputs)}

    return Signature(_specs(model.inputs), outputs, call)


def _specs(ports: list[Any]) -> dict[str, tf.TensorSpec]:
    return {port.any_name: _spec(port) for port in ports}


def _spec(port: Any) -> tf.TensorSpec:
    sides = [side.get_length() if side.is_static else None for side in port.partial_shape]
    return tf.TensorSpec(sides, tf.as_dtype(port.element_type.to_dtype()), port.any_name)
