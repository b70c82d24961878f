"""The bodies of requests over HTTP, and the refusals that answer them."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web
from grpc import StatusCode

from tfadvseg.serving.record import Record
from tfadvseg.serving.status import ServingError, invalid


async def read_body(request: web.Request, record: Record, most_bytes: int, seconds: float) -> bytes:
    """The body of a request, if it is small enough and comes fast enough.

    Args:
        request: whose body it is.
        record: where its bytes are counted.
        most_bytes: that it may have.
        seconds: in which it has to arrive.

    Raises:
        ServingError: if it is too large, too slow, damaged or cut off, or if all requests hold too
            much.
    """
    if (request.content_length or 0) > most_bytes:
        raise _too_large(most_bytes)
    try:
        return await asyncio.wait_for(_collect(request, record, most_bytes), seconds)
    except asyncio.TimeoutError as error:
        raise ServingError(
            StatusCode.DEADLINE_EXCEEDED,
            "slow client",
            f"the request did not arrive within {seconds:g} s",
            http=408,
        ) from error
    except web.RequestPayloadError as error:  # compressed or chunked, and wrongly
        request.content.feed_eof()  # else aiohttp reads on, and logs the error with its traceback
        raise invalid("damaged body", "the body is not what its headers announce") from error
    except ConnectionError as error:
        raise ServingError(StatusCode.CANCELLED, "client gone", "the client hung up") from error


def refusal(error: ServingError) -> web.Response:
    """The status, and one line of JSON."""
    text = json.dumps({"error": str(error)})
    return web.Response(text=text, status=error.http, content_type="application/json")


async def _collect(request: web.Request, record: Record, most_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        record.receive(len(chunk))
        body += chunk
        if len(body) > most_bytes:
            raise _too_large(most_bytes)
    return bytes(body)


def _too_large(most_bytes: int) -> ServingError:
    return ServingError(
        StatusCode.RESOURCE_EXHAUSTED,
        "body too large",
        f"the request is larger than {most_bytes:,} bytes (--max-body-mb)",
        http=413,
    )
