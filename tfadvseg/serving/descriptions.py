"""What clients can ask about models: states of versions, signatures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
import tensorflow as tf
from google.protobuf import any_pb2
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2
from tensorflow_serving.apis.model_pb2 import ModelSpec

from tfadvseg.inference.engines.signature import PREDICT
from tfadvseg.serving.manager import Manager, Reference

_FAILED = grpc.StatusCode.UNKNOWN


def model_spec(name: str, version: int, signature_name: str = "") -> ModelSpec:
    """Who answered."""
    spec = ModelSpec(name=name, signature_name=signature_name)
    spec.version.value = version
    return spec


def status(manager: Manager, reference: Reference) -> get_model_status_pb2.GetModelStatusResponse:
    """The states of a model's versions, for gRPC.

    Raises:
        ServingError: if the model or the version is unknown.
    """
    response = get_model_status_pb2.GetModelStatusResponse()
    for servable in manager.states(reference):
        one = response.model_version_status.add(version=servable.version, state=servable.state)
        one.status.error_code = _FAILED.value[0] if servable.error else 0
        one.status.error_message = servable.error
    return response


def status_json(manager: Manager, reference: Reference) -> dict[str, Any]:
    """The same for REST."""
    states = [
        {
            "version": str(servable.version),
            "state": servable.state.name,
            "status": {
                "error_code": _FAILED.name if servable.error else "OK",
                "error_message": servable.error,
            },
        }
        for servable in manager.states(reference)
    ]
    return {"model_version_status": states}


def metadata(
    manager: Manager, reference: Reference
) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """The signatures of a model, for gRPC.

    Raises:
        ServingError: if the model or the version is unknown.
    """
    servable = manager.find(reference)
    with servable.in_use() as signatures:
        definitions = {name: signature.definition() for name, signature in signatures.items()}
    packed = any_pb2.Any()
    packed.Pack(get_model_metadata_pb2.SignatureDefMap(signature_def=definitions))
    return get_model_metadata_pb2.GetModelMetadataResponse(
        model_spec=model_spec(servable.name, servable.version), metadata={"signature_def": packed}
    )


def metadata_json(manager: Manager, reference: Reference) -> dict[str, Any]:
    """The same for REST."""
    servable = manager.find(reference)
    with servable.in_use() as signatures:
        definitions = {
            name: {
                "inputs": _specs(signature.inputs),
                "outputs": _specs(signature.outputs),
                "method_name": PREDICT,
                "defaults": {},
            }
            for name, signature in sorted(signatures.items())
        }
    spec = {"name": servable.name, "signature_name": "", "version": str(servable.version)}
    metadata = {"signature_def": {"signature_def": definitions}}
    return {"model_spec": spec, "metadata": metadata}


def _specs(specs: Mapping[str, tf.TensorSpec]) -> dict[str, Any]:
    return {
        name: {
            "dtype": types_pb2.DataType.Name(spec.dtype.as_datatype_enum),
            "tensor_shape": _shape(spec.shape),
            "name": spec.name,
        }
        for name, spec in specs.items()
    }


def _shape(shape: tf.TensorShape) -> dict[str, Any]:
    sides = [] if shape.rank is None else [-1 if side is None else side for side in shape]
    dims = [{"size": str(side), "name": ""} for side in sides]
    return {"dim": dims, "unknown_rank": shape.rank is None}
