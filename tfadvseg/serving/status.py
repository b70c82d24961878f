"""Why a request was not answered: gRPC's status codes, and what REST says instead."""

from __future__ import annotations

import traceback
from pathlib import Path

from grpc import StatusCode

from tfadvseg.inference.engines.signature import GraphRefusal

MOST_CHARACTERS = 1000  # of a message; gRPC sends it among the headers, which have little room
_CODES = {code.value[0]: code for code in StatusCode}
HTTP_STATUS = {
    StatusCode.CANCELLED: 499,
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.DEADLINE_EXCEEDED: 504,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.FAILED_PRECONDITION: 400,
    StatusCode.ABORTED: 409,
    StatusCode.OUT_OF_RANGE: 400,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.UNAUTHENTICATED: 401,
}


class ServingError(Exception):
    """A request that is not answered.

    Args:
        code: for the client.
        cause: a few fixed words for the log, which never shows what a client sent.
        message: for the client, as TensorFlow Serving words it where it does.
        http: status of REST, if it is not the one that TensorFlow Serving has for `code`.
    """

    def __init__(self, code: StatusCode, cause: str, message: str, http: int | None = None):
        super().__init__(message[:MOST_CHARACTERS])
        self.code, self.cause = code, cause
        self.http = http or HTTP_STATUS.get(code, 500)


def invalid(cause: str, message: str) -> ServingError:
    """A wrong request."""
    return ServingError(StatusCode.INVALID_ARGUMENT, cause, message)


def refused(error: GraphRefusal) -> ServingError:
    """A request that the model's graph does not take."""
    return ServingError(_CODES[error.code], "refused by the graph", str(error))


def internal(error: Exception) -> ServingError:
    """A fault of the server; the log gets its place and not its text, which may quote data."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
    return ServingError(StatusCode.INTERNAL, where, f"Internal error: {type(error).__name__}")
