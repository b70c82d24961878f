"""TensorFlow Serving's services over gRPC."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio as health
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.apis.model_pb2 import ModelSpec

from tfadvseg.inference.engines.signature import Arrays
from tfadvseg.serving.descriptions import metadata, model_spec, status
from tfadvseg.serving.manager import Manager, Reference
from tfadvseg.serving.service import SMALL, Query, Service, in_thread_if
from tfadvseg.serving.status import ServingError, invalid
from tfadvseg.serving.tensors import check_names, from_proto, to_proto

Context = Any  # grpc.aio.ServicerContext, which has no types
PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
CALLS_BESIDE = 64  # of status, metadata and health, beside the waiting predictions


class PredictionServicer(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata; the other calls are refused."""

    def __init__(self, service: Service):
        self._service = service

    async def Predict(self, request: Any, context: Context) -> predict_pb2.PredictResponse:
        record = self._service.record("GRPC", context.time_remaining())
        try:
            with self._service.recorded(record):
                if request is None:
                    raise invalid("wrong message", "the message is no PredictRequest")
                record.receive(request.ByteSize())
                query = Query(
                    _reference(request.model_spec),
                    request.model_spec.signature_name,
                    lambda specs: _decode(request, specs, self._service.limits.most_bytes),
                    tuple(request.output_filter),
                )
                prediction = await self._service.predict(query, record)
                size = sum(array.nbytes for array in prediction.outputs.values())
                outputs = await in_thread_if(size > SMALL, _encode, prediction.outputs)
        except ServingError as error:
            await _abort(context, error)
        spec = model_spec(request.model_spec.name, prediction.version, prediction.signature_name)
        return predict_pb2.PredictResponse(model_spec=spec, outputs=outputs)

    async def GetModelMetadata(
        self, request: Any, context: Context
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        try:
            if list(request.metadata_field) != ["signature_def"]:
                message = "Metadata field: expected signature_def and no other"
                raise invalid("unknown metadata field", message)
            return metadata(self._service.manager, _reference(request.model_spec))
        except ServingError as error:
            await _abort(context, error)

    async def Classify(self, request: Any, context: Context) -> NoReturn:
        await _unimplemented(context, "Classify")

    async def Regress(self, request: Any, context: Context) -> NoReturn:
        await _unimplemented(context, "Regress")

    async def MultiInference(self, request: Any, context: Context) -> NoReturn:
        await _unimplemented(context, "MultiInference")


class ModelServicer(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus; the folder and the command line say what is served, and no client."""

    def __init__(self, manager: Manager):
        self._manager = manager

    async def GetModelStatus(
        self, request: Any, context: Context
    ) -> get_model_status_pb2.GetModelStatusResponse:
        try:
            return status(self._manager, _reference(request.model_spec))
        except ServingError as error:
            await _abort(context, error)

    async def HandleReloadConfigRequest(self, request: Any, context: Context) -> NoReturn:
        await _unimplemented(context, "HandleReloadConfigRequest")


def grpc_server(service: Service, most_waiting: int) -> tuple[grpc.aio.Server, Any]:
    """The server, without a port yet, and the servicer of its health."""
    server = grpc.aio.server(
        maximum_concurrent_rpcs=most_waiting + CALLS_BESIDE,
        options=[
            ("grpc.max_receive_message_length", service.limits.most_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # else two servers could share a port by mistake
        ],
    )
    predictions = PredictionServicer(service)
    predict = grpc.unary_unary_rpc_method_handler(
        predictions.Predict, _parse, predict_pb2.PredictResponse.SerializeToString
    )
    handler = grpc.method_handlers_generic_handler(PREDICTION_SERVICE, {"Predict": predict})
    server.add_generic_rpc_handlers((handler,))  # goes before the generated one
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(predictions, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(
        ModelServicer(service.manager), server
    )
    healthy = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    return server, healthy


def _reference(spec: ModelSpec) -> Reference:
    version = spec.version.value if spec.HasField("version") else None
    return Reference(spec.name, version, spec.version_label or None)


def _parse(message: bytes) -> predict_pb2.PredictRequest | None:
    """None for what is no request: gRPC itself would call that UNKNOWN, and log nothing."""
    try:
        return predict_pb2.PredictRequest.FromString(message)
    except DecodeError:
        return None


def _decode(request: Any, specs: Any, most_bytes: int) -> Arrays:
    check_names(request.inputs, specs)
    return {
        name: from_proto(name, request.inputs[name], spec, most_bytes)
        for name, spec in specs.items()
    }


def _encode(outputs: Arrays) -> dict[str, Any]:
    return {name: to_proto(array) for name, array in outputs.items()}


async def _abort(context: Context, error: ServingError) -> NoReturn:
    await context.abort(error.code, str(error))
    raise asyncio.CancelledError  # abort has raised already


async def _unimplemented(context: Context, call: str) -> NoReturn:
    message = f"{call} is not served; use Predict"
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, message)
    raise asyncio.CancelledError  # abort has raised already
