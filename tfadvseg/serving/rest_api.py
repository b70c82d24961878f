"""TensorFlow Serving's REST API, health and metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from aiohttp.typedefs import Handler
from grpc import StatusCode

from tfadvseg.serving.bodies import read_body, refusal
from tfadvseg.serving.descriptions import metadata_json, status_json
from tfadvseg.serving.json_tensors import dump, parse, to_arrays
from tfadvseg.serving.manager import Reference
from tfadvseg.serving.record import Record
from tfadvseg.serving.service import SMALL, Query, Service, in_thread_if
from tfadvseg.serving.silence import Silence
from tfadvseg.serving.status import ServingError, invalid

# As in TensorFlow Serving.
_WHICH = r"(?i)/v1/models/([^/:]+)(?:/versions/(\d{1,18})|/labels/([^/:]+))?"
_PREDICT = re.compile(_WHICH + r":(classify|regress|predict)")
_STATUS = re.compile(_WHICH + r"(/metadata)?")


class RestApi:
    """The handlers of one server.

    Args:
        service: that answers.
        is_ready: whether the server takes requests.
        timeout: seconds for a request.
        read_timeout: seconds in which a request's body has to arrive.
        silence: that a request ends.
    """

    def __init__(
        self,
        service: Service,
        is_ready: Callable[[], bool],
        timeout: float,
        read_timeout: float,
        silence: Silence,
    ):
        self._service, self._is_ready, self._silence = service, is_ready, silence
        self._timeout, self._read_timeout = timeout, read_timeout

    def app(self) -> web.Application:
        """The application, to which further pages can be added."""
        app = web.Application(middlewares=[self._hear])
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/monitoring/prometheus/metrics", self._metrics)
        app.router.add_get("/v1/{path:.*}", self._get)
        app.router.add_post("/v1/{path:.*}", self._post)
        return app

    @web.middleware
    async def _hear(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._silence.end(request)
        return await handler(request)

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        ready = self._is_ready()
        return web.Response(
            text="ready\n" if ready else "not ready\n", status=200 if ready else 503
        )

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._service.metrics.page(), content_type="text/plain")

    async def _get(self, request: web.Request) -> web.Response:
        try:
            return self._describe(request)
        except ServingError as error:
            return refusal(error)

    def _describe(self, request: web.Request) -> web.Response:
        """Status and metadata."""
        found = _STATUS.fullmatch(request.rel_url.raw_path)
        if not found:
            raise _malformed(request)
        name, version, label, about = found.groups()
        describe = metadata_json if about else status_json
        return _answer(describe(self._service.manager, _reference(name, version, label)))

    async def _post(self, request: web.Request) -> web.Response:
        record = self._service.record("REST", self._timeout)
        try:
            with self._service.recorded(record):
                return await self._predict(request, record)
        except ServingError as error:
            return refusal(error)

    async def _predict(self, request: web.Request, record: Record) -> web.Response:
        found = _PREDICT.fullmatch(request.rel_url.raw_path)
        if not found:
            raise _malformed(request)
        *which, method = found.groups()
        if method.lower() != "predict":
            message = f"{method} is not served; use predict"
            raise ServingError(StatusCode.UNIMPLEMENTED, "unknown method", message)
        most_bytes = self._service.limits.most_bytes
        body = await read_body(request, record, most_bytes, self._read_timeout)
        asked = await in_thread_if(record.size > SMALL, parse, body)
        query = Query(
            _reference(*which), asked.signature_name, lambda specs: to_arrays(asked, specs)
        )
        outputs = (await self._service.predict(query, record)).outputs
        size = sum(array.nbytes for array in outputs.values())
        text = await in_thread_if(size > SMALL, dump, outputs, asked.rows)
        return web.Response(text=text, content_type="application/json")


def _reference(name: str, version: str | None, label: str | None) -> Reference:
    number = None if version is None else int(version)
    return Reference(unquote(name), number, None if label is None else unquote(label))


def _answer(content: Any) -> web.Response:
    text = json.dumps(content, indent=1) + "\n"
    return web.Response(text=text, content_type="application/json")


def _malformed(request: web.Request) -> ServingError:
    message = f"Malformed request: {request.method} {request.rel_url.raw_path}"
    return invalid("unknown path", message)
