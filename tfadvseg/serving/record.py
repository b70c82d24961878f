"""What is counted, limited and logged of every request."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from grpc import StatusCode

from tfadvseg.serving.metrics import Metrics
from tfadvseg.serving.status import ServingError, internal

log = logging.getLogger(__name__)

CLOCK_LAG = 0.1  # seconds that a client's clock may be ahead: it began when the request was sent


class Room:
    """The bytes that requests may hold together, so that no crowd of them takes all memory."""

    def __init__(self, most_bytes: int):
        self._left = most_bytes

    def take(self, size: int) -> None:
        """Takes bytes, until they are given back.

        Raises:
            ServingError: if there is no room for them.
        """
        if size > self._left:
            raise ServingError(
                StatusCode.RESOURCE_EXHAUSTED,
                "requests hold too much memory",
                "too many large requests at a time; try again later",
            )
        self._left -= size

    def give_back(self, size: int) -> None:
        """Ends what `take` began."""
        self._left += size


class Record:
    """A request at work.

    Args:
        entrypoint: REST or GRPC.
        room: where it takes its bytes.
        seconds: until its deadline; None for no deadline.

    Attributes:
        model: name, once it is known to be one of ours; clients may send anything.
        version: likewise.
        signature: likewise.
        size: bytes that were received.
    """

    def __init__(self, entrypoint: str, room: Room, seconds: float | None):
        self.entrypoint, self._room, self._seconds = entrypoint, room, seconds
        self.model = self.version = self.signature = ""
        self.size, self._held, self.began = 0, 0, time.monotonic()

    @property
    def left(self) -> float | None:
        """Seconds until the deadline."""
        return None if self._seconds is None else self.began + self._seconds - time.monotonic()

    def receive(self, size: int) -> None:
        """Counts bytes that came.

        Raises:
            ServingError: if all requests together hold too much.
        """
        self.size += size
        self.hold(self.size)

    def hold(self, size: int) -> None:
        """Counts what it has become: a few bytes can be a tensor of a single value, repeated.

        Raises:
            ServingError: if all requests together hold too much.
        """
        more = max(0, size - self._held)
        self._room.take(more)
        self._held += more

    def close(self) -> None:
        """Gives its bytes back."""
        self._room.give_back(self._held)


@contextmanager
def recorded(record: Record, metrics: Metrics) -> Iterator[None]:
    """Counts a request, and logs one line if it fails.

    Raises:
        ServingError: instead of every error that is not one.
    """
    code, cause = StatusCode.OK, ""
    try:
        yield
    except ServingError as error:
        code, cause = error.code, error.cause
        raise
    except asyncio.CancelledError:
        late = record.left is not None and record.left <= CLOCK_LAG
        code = StatusCode.DEADLINE_EXCEEDED if late else StatusCode.CANCELLED
        cause = "deadline passed" if late else "client gone"
        raise
    except Exception as error:
        fault = internal(error)
        code, cause = fault.code, fault.cause
        raise fault from error
    finally:
        record.close()
        seconds = time.monotonic() - record.began
        labels = (record.model, record.version, record.signature, code.name)
        metrics.requests.labels(*labels).inc()
        latency = metrics.request_latency.labels(record.model, "predict", record.entrypoint)
        latency.observe(seconds * 1e6)
        if cause:
            log.warning(
                'request failed: status=%s cause="%s" entrypoint=%s model=%s version=%s '
                "signature=%s bytes=%d seconds=%.3f",
                *(code.name, cause, record.entrypoint, record.model or "-"),
                *(record.version or "-", record.signature or "-", record.size, seconds),
            )
