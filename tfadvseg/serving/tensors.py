"""Tensors of requests and answers: checked against a signature, from and to protos."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from tfadvseg.inference.engines.signature import Arrays
from tfadvseg.serving.status import invalid

_TYPES = {number: name for name, number in types_pb2.DataType.items()}


def check_names(given: Collection[str], specs: Mapping[str, tf.TensorSpec]) -> None:
    """Refuses inputs that are not those of the signature.

    Raises:
        ServingError: if one is missing or unknown.
    """
    extra, missing = sorted(set(given) - set(specs)), sorted(set(specs) - set(given))
    if extra or missing:
        raise invalid(
            "wrong inputs",
            f"input size does not match signature: {len(given)}!={len(specs)} "
            f"len({_set(given)}) != len({_set(specs)}). Sent extra: {_set(extra)}. "
            f"Missing but required: {_set(missing)}.",
        )


def check_shapes(arrays: Arrays, specs: Mapping[str, tf.TensorSpec]) -> None:
    """Refuses arrays whose rank or sides the signature does not allow.

    Raises:
        ServingError: if one has another.
    """
    for name, array in arrays.items():
        if not specs[name].shape.is_compatible_with(array.shape):
            raise invalid(
                "wrong shape",
                f"input {name}: expected shape {_shape(specs[name].shape)}, received "
                f"{_shape(array.shape)}",
            )


def select(outputs: Arrays, names: Collection[str]) -> Arrays:
    """The outputs that a client asks for: all of them if it names none.

    Raises:
        ServingError: if a name is unknown or comes twice.
    """
    for name in names:
        if name not in outputs:
            raise invalid(
                "wrong output filter",
                f"output tensor alias not found in signature: {name} Outputs expected to be in "
                f"the set {_set(outputs)}.",
            )
    if len(set(names)) < len(names):
        raise invalid("wrong output filter", "duplicate output tensor alias")
    return {name: outputs[name] for name in names} if names else outputs


def from_proto(
    name: str, proto: tensor_pb2.TensorProto, spec: tf.TensorSpec, most_bytes: int
) -> np.ndarray:
    """The array of an input.

    Args:
        name: of the input.
        proto: as received.
        spec: what the signature expects.
        most_bytes: of the array. A proto may announce any shape and hold a single value for it.

    Raises:
        ServingError: if the type is another, or the values do not fit the announced shape.
    """
    if proto.dtype != spec.dtype.as_datatype_enum:
        received = _TYPES.get(proto.dtype, "a type that does not exist")
        raise invalid(
            "wrong dtype", f"input {name}: expected {spec.dtype.name}, received {received}"
        )
    sides = [dim.size for dim in proto.tensor_shape.dim]
    sound = not proto.tensor_shape.unknown_rank and min(sides, default=0) >= 0
    if spec.dtype == tf.string:
        sound = sound and len(proto.string_val) == math.prod(sides)
    if not sound or math.prod(sides) * spec.dtype.size > most_bytes:
        raise invalid(
            "wrong shape", f"input {name}: its shape is unknown, negative, too large or not filled"
        )
    try:
        return tf.make_ndarray(proto)
    except (TypeError, ValueError, IndexError) as error:
        raise invalid(
            "wrong shape", f"input {name}: its values do not fit its shape {_shape(sides)}"
        ) from error


def to_proto(array: np.ndarray) -> tensor_pb2.TensorProto:
    """An output as TensorFlow Serving sends it: in the field of its type.

    Clients in languages without TensorFlow read that field, and not `tensor_content`.
    """
    dtype = tf.as_dtype(array.dtype)
    proto = tensor_pb2.TensorProto(
        dtype=dtype.as_datatype_enum, tensor_shape=tf.TensorShape(array.shape).as_proto()
    )
    field = _FIELDS.get(dtype)
    if field is None:
        return tf.make_tensor_proto(array)
    getattr(proto, field).extend(array.ravel().tolist())
    return proto


_FIELDS = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.int32: "int_val",
    tf.int16: "int_val",
    tf.int8: "int_val",
    tf.uint8: "int_val",
    tf.uint16: "int_val",
    tf.int64: "int64_val",
    tf.uint32: "uint32_val",
    tf.uint64: "uint64_val",
    tf.bool: "bool_val",
    tf.string: "string_val",
}


def _set(names: Collection[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"


def _shape(shape: Collection[int | None]) -> str:
    return "[" + ",".join("?" if side is None else str(side) for side in shape) + "]"
