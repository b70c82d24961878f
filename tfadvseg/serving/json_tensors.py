"""Requests and answers of REST, in TensorFlow Serving's two formats.

Rows: `instances`, a list with an item for each, answered by `predictions`. Columns: `inputs`, whole
tensors, answered by `outputs`. Bytes are `{"b64": "..."}`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfadvseg.inference.engines.signature import Arrays
from tfadvseg.serving.status import invalid
from tfadvseg.serving.tensors import check_names

_JSON = "wrong JSON"


@dataclass(frozen=True)
class JsonRequest:
    """A request as it was parsed.

    Attributes:
        signature_name: as given, or empty.
        rows: whether `content` is the list of `instances`, else it is `inputs`.
        content: not looked at yet.
    """

    signature_name: str
    rows: bool
    content: Any


def parse(body: bytes) -> JsonRequest:
    """Reads the body of a request.

    Raises:
        ServingError: if it is not JSON, or lacks what a request has.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid(_JSON, f"JSON Parse error: {_place(error)}") from error
    if not isinstance(document, dict):
        raise invalid(_JSON, f"JSON Value: {type(document).__name__} Is not object")
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(_JSON, "'signature_name' key must be a string value.")
    if "instances" in document and "inputs" in document:
        raise invalid(_JSON, "expecting only one of 'inputs' or 'instances' keys to exist")
    if "inputs" in document:
        return JsonRequest(name, False, document["inputs"])
    if "instances" not in document:
        raise invalid(_JSON, "Missing 'inputs' or 'instances' key")
    instances = document["instances"]
    if not isinstance(instances, list):
        raise invalid(_JSON, "Excepting 'instances' to be an list/array")
    if not instances:
        raise invalid(_JSON, "No values in 'instances' array")
    return JsonRequest(name, True, instances)


def to_arrays(request: JsonRequest, specs: Mapping[str, tf.TensorSpec]) -> Arrays:
    """The inputs of a request.

    Raises:
        ServingError: if names, nesting or types are not those of the signature.
    """
    values = _rows(request.content, specs) if request.rows else _columns(request.content, specs)
    return {name: _array(name, value, specs[name].dtype) for name, value in values.items()}


def dump(outputs: Arrays, rows: bool) -> str:
    """The answer.

    Args:
        outputs: by name.
        rows: whether the request had rows.

    Raises:
        ServingError: if rows are wanted, and outputs have different first axes.
    """
    values = {name: _plain(name, array) for name, array in outputs.items()}
    if not rows:
        return json.dumps({"outputs": _only(values)})
    sizes = {name: len(array) if array.ndim else None for name, array in outputs.items()}
    if None in sizes.values() or len(set(sizes.values())) > 1:
        raise invalid("outputs are no rows", f"tensors have inconsistent batch size: {sizes}")
    if len(values) == 1:
        return json.dumps({"predictions": _only(values)})
    items = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return json.dumps({"predictions": items})


def _only(values: dict[str, Any]) -> Any:
    """A single tensor goes without its name."""
    return next(iter(values.values())) if len(values) == 1 else values


def _place(error: ValueError | RecursionError) -> str:
    """Where parsing stopped, without what stood there."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at offset: {error.pos}"
    return "nested too deeply" if isinstance(error, RecursionError) else "not UTF-8"


def _rows(instances: list[Any], specs: Mapping[str, tf.TensorSpec]) -> dict[str, list[Any]]:
    named = _is_named(instances[0])
    if any(_is_named(item) != named for item in instances):
        raise invalid(_JSON, "'instances' mixes objects with plain values")
    if not named:
        if len(specs) > 1:
            raise invalid(
                _JSON,
                "instances is a plain list, but expecting list of objects as multiple input "
                "tensors required as per tensorinfo_map",
            )
        return dict.fromkeys(specs, instances)
    for item in instances:
        check_names(item, specs)
    return {name: [item[name] for item in instances] for name in specs}


def _columns(inputs: Any, specs: Mapping[str, tf.TensorSpec]) -> dict[str, Any]:
    if _is_named(inputs):
        check_names(inputs, specs)
        return {name: inputs[name] for name in specs}
    if len(specs) > 1:
        raise invalid(
            _JSON,
            "inputs is a plain value/list, but expecting an object as multiple input tensors "
            "required as per tensorinfo_map",
        )
    return dict.fromkeys(specs, inputs)


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not _is_bytes(value)


def _is_bytes(value: Any) -> bool:
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def _array(name: str, value: Any, dtype: tf.DType) -> np.ndarray:
    """The array of nested lists.

    It is made of Python's objects first: NumPy would take numbers out of strings, cut decimals
    off, and give every string the room of the longest.
    """
    objects = np.empty((), object)
    if isinstance(value, list):
        objects = np.array(value, dtype=object)
    else:
        objects[()] = value
    items = objects.ravel().tolist()
    if any(isinstance(item, list) for item in items):
        raise invalid("wrong shape", f"input {name}: its lists differ in length")
    if dtype == tf.string:
        flat = np.empty(len(items), object)
        flat[:] = [_bytes(name, item) for item in items]
        return flat.reshape(objects.shape)
    allowed = {bool} if dtype == tf.bool else {int} if dtype.is_integer else {int, float}
    if wrong := set(map(type, items)) - allowed:
        received = ", ".join(sorted(kind.__name__ for kind in wrong))
        raise invalid("wrong dtype", f"input {name}: expected {dtype.name}, received {received}")
    if dtype.is_integer and items and not dtype.min <= min(items) <= max(items) <= dtype.max:
        raise invalid("wrong dtype", f"input {name}: a value does not fit {dtype.name}")
    try:
        return objects.astype(dtype.as_numpy_dtype)
    except OverflowError as error:
        raise invalid("wrong dtype", f"input {name}: a value does not fit {dtype.name}") from error


def _bytes(name: str, item: Any) -> bytes:
    if isinstance(item, str):
        return item.encode("utf-8", "surrogatepass")
    if not _is_bytes(item):
        raise invalid("wrong dtype", f"input {name}: expected string, or base64 as {{'b64': ...}}")
    try:
        return base64.b64decode(item["b64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("wrong base64", f"input {name}: Unable to base64 decode") from error


def _plain(name: str, array: np.ndarray) -> Any:
    """What JSON can hold of an output."""
    if array.dtype != object:
        return array.tolist()
    binary = name.endswith("_bytes")
    texts = np.empty(array.size, object)
    texts[:] = list(_texts(array, binary))
    return texts.reshape(array.shape).tolist()


def _texts(array: np.ndarray, binary: bool) -> Iterator[Any]:
    for item in array.ravel():
        yield (
            {"b64": base64.b64encode(item).decode()} if binary else item.decode("utf-8", "replace")
        )
