"""OpenVINO models on the CPU."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfadvseg import telemetry
from tfadvseg.errors import InputError
from tfadvseg.inference.engines.signature import Arrays, Signature, Signatures

telemetry.forbid()

import openvino  # noqa: E402


def release() -> str:
    """Which release computes."""
    return str(openvino.__version__).replace("/", "-")  # it has its branch in it, a path


def load(folder: Path, precision: str = "f32") -> Signatures:
    """Loads `model.xml` as the signature `serving_default`.

    Args:
        folder: with the model's `.xml` and `.bin`.
        precision: in which to compute, see `signature`.
    """
    return {"serving_default": signature(folder / "model.xml", precision)}


def signature(source: Path | openvino.Model, precision: str = "f32") -> Signature:
    """How to call a model.

    Args:
        source: its file, or the model itself.
        precision: in which to compute. OpenVINO's own choice is bfloat16 where the CPU has it.

    Raises:
        InputError: if the CPU would compute in another one.
    """
    hint = "INFERENCE_PRECISION_HINT"
    model = openvino.Core().compile_model(source, "CPU", {hint: precision})
    taken = model.get_property(hint).get_type_name()
    if taken != precision:
        raise InputError(
            f"--precision {precision}: this CPU computes it as {taken}; take --precision {taken}"
        )
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
