"""What happens to a predict request, whichever way it came."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf
from grpc import StatusCode

from tfadvseg.inference.engines.signature import Arrays, GraphRefusal, Signature
from tfadvseg.serving.batching import Job, Scheduler
from tfadvseg.serving.images import kinds
from tfadvseg.serving.manager import Manager, Reference
from tfadvseg.serving.metrics import Metrics
from tfadvseg.serving.record import Record, Room, recorded
from tfadvseg.serving.servable import Servable
from tfadvseg.serving.status import ServingError, invalid, refused
from tfadvseg.serving.tensors import check_shapes, select
from tfadvseg.serving.warmup import DEFAULT_SIGNATURE

BODIES = 16  # of the largest size, that requests may hold together
SMALL = 1 << 16  # bytes that are handled faster than handed to a thread
T = TypeVar("T")
Decode = Callable[[Mapping[str, tf.TensorSpec]], Arrays]


@dataclass(frozen=True)
class RequestLimits:
    """How large a request may be.

    Attributes:
        most_bytes: of its body.
        most_pixels: that the headers of its encoded images announce together.
    """

    most_bytes: int
    most_pixels: int


@dataclass(frozen=True)
class Query:
    """A predict request.

    Attributes:
        reference: to the model.
        signature_name: as the client gave it, or empty.
        decode: makes arrays of its inputs, once the signature is known.
        output_filter: names of the outputs that are wanted; all if empty.
    """

    reference: Reference
    signature_name: str
    decode: Decode
    output_filter: Collection[str] = ()


@dataclass(frozen=True)
class Prediction:
    """The answer, and who gave it."""

    outputs: Arrays
    version: int
    signature_name: str


class Service:
    """Answers predict requests of both entry points.

    Args:
        manager: of the models.
        scheduler: that computes.
        limits: of a request.
        metrics: where requests are counted.
    """

    def __init__(
        self, manager: Manager, scheduler: Scheduler, limits: RequestLimits, metrics: Metrics
    ):
        self.manager, self.limits, self.metrics = manager, limits, metrics
        self._scheduler, self._room = scheduler, Room(BODIES * limits.most_bytes)

    def record(self, entrypoint: str, seconds: float | None) -> Record:
        """Begins a request."""
        return Record(entrypoint, self._room, seconds)

    def recorded(self, record: Record) -> AbstractContextManager[None]:
        """Counts and logs what happens to a request."""
        return recorded(record, self.metrics)

    async def predict(self, query: Query, record: Record) -> Prediction:
        """Computes an answer before the deadline.

        Raises:
            ServingError: if the request is wrong, came too late, or fails.
        """
        return await self.ask(self.find(query.reference, record), query, record)

    def find(self, reference: Reference, record: Record) -> Servable:
        """The version that a request is for.

        Raises:
            ServingError: if it is not served.
        """
        servable = self.manager.find(reference)
        record.model, record.version = servable.name, str(servable.version)
        return servable

    async def ask(self, servable: Servable, query: Query, record: Record) -> Prediction:
        """The answer of a version that was found before, and is in use since."""
        with servable.in_use() as signatures:
            name = query.signature_name or DEFAULT_SIGNATURE
            if name not in signatures:
                raise _no_signature(name, record.entrypoint)
            record.signature, signature = name, signatures[name]
            inputs = await in_thread_if(record.size > SMALL, self._read, query, signature)
            record.hold(sum(array.nbytes for array in inputs.values()))
            job = self._job(servable, name, signature, inputs)
            outputs = await in_time(self._scheduler.run(job), record)
            return Prediction(select(outputs, query.output_filter), servable.version, name)

    def _read(self, query: Query, signature: Signature) -> Arrays:
        """The inputs, checked as far as the signature tells."""
        inputs = query.decode(signature.inputs)
        check_shapes(inputs, signature.inputs)
        select(dict.fromkeys(signature.outputs, np.empty(0)), query.output_filter)
        return inputs

    def _job(self, servable: Servable, name: str, signature: Signature, inputs: Arrays) -> Job:
        call = partial(_ask, signature)
        strings = [array for array in inputs.values() if array.dtype == object]
        contents = [content for array in strings for content in array.ravel()]
        found, pixels = kinds(contents, self.limits.most_pixels)
        rows = {array.shape[0] if array.ndim else 0 for array in inputs.values()}
        if signature.takes_batches and len(rows) > 1:  # a graph would spread the shorter ones
            raise invalid("wrong shape", f"inputs differ in their first axis: {sorted(rows)}")
        if not signature.takes_batches or len(rows) != 1 or rows == {0} or None in found:
            return Job(servable.name, call, inputs, pixels=pixels)
        group = (servable, name, *(inputs[key].shape[1:] for key in sorted(inputs)))
        same = frozenset(kind for kind in found if kind)
        return Job(servable.name, call, inputs, group, same, rows.pop(), pixels)


async def in_time(work: Awaitable[T], record: Record) -> T:
    """The result of work, if it comes before the deadline of a request.

    Raises:
        ServingError: if it does not.
    """
    try:
        return await asyncio.wait_for(work, record.left)
    except asyncio.TimeoutError as error:
        raise ServingError(
            StatusCode.DEADLINE_EXCEEDED,
            "deadline passed",
            "the deadline passed before there was an answer",
        ) from error


async def in_thread_if(large: bool, work: Callable[..., T], *arguments: Any) -> T:
    """The result of work, in a thread if it would hold up other requests."""
    return await asyncio.to_thread(work, *arguments) if large else work(*arguments)


def _ask(signature: Signature, inputs: Arrays) -> Arrays:
    try:
        return signature.call(inputs)
    except GraphRefusal as error:
        raise refused(error) from error


def _no_signature(name: str, entrypoint: str) -> ServingError:
    """TensorFlow Serving says it in two ways."""
    if entrypoint == "REST":
        return invalid(
            "unknown signature", f'Serving signature name: "{name}" not found in signature def'
        )
    return ServingError(
        StatusCode.FAILED_PRECONDITION,
        "unknown signature",
        f'Serving signature key "{name}" not found.',
    )
