"""The page and what it asks for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.resources import files
from typing import TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler

from tfadvseg.serving.bodies import read_body, refusal
from tfadvseg.serving.manager import Reference
from tfadvseg.serving.page.answers import tell
from tfadvseg.serving.page.example import draw_example
from tfadvseg.serving.page.models import channels_of, find_signature, inputs_for, list_models
from tfadvseg.serving.page.slices import take_slice
from tfadvseg.serving.page.uploads import Upload, read_upload
from tfadvseg.serving.record import Record
from tfadvseg.serving.service import Query, Service, in_time
from tfadvseg.serving.status import ServingError, invalid

T = TypeVar("T")

_FILES = {
    "/": ("index.html", "text/html"),
    "/page/page.css": ("page.css", "text/css"),
    "/page/page.js": ("page.js", "text/javascript"),
    "/page/viewer.js": ("viewer.js", "text/javascript"),
    "/page/icon.svg": ("icon.svg", "image/svg+xml"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",  # what was uploaded stays in no cache, and the page is small
}


class Page:
    """The handlers of the page of one server.

    Args:
        service: that answers.
        timeout: seconds for a request.
        read_timeout: seconds in which a request's body has to arrive.
    """

    def __init__(self, service: Service, timeout: float, read_timeout: float):
        self._service, self._timeout, self._read_timeout = service, timeout, read_timeout
        # One thread: decoded volumes are large, and the readers are asked one at a time.
        self._thread = ThreadPoolExecutor(1, "page")

    def add_to(self, app: web.Application) -> None:
        """Adds the page and what it asks for to an application."""
        folder = files("tfadvseg.serving.page") / "files"
        for path, (name, kind) in _FILES.items():
            app.router.add_get(path, _file((folder / name).read_text(encoding="utf-8"), kind))
        app.router.add_get("/page/models", self._models)
        app.router.add_post("/page/segment", self._post)
        app.router.add_post("/page/example", self._post)

    async def _models(self, request: web.Request) -> web.Response:
        try:
            models = list_models(self._service.manager)
        except ServingError as error:
            return _refusal(error)
        found = {"models": models, "most_bytes": self._service.limits.most_bytes}
        return web.json_response(found, headers=_HEADERS)

    async def _post(self, request: web.Request) -> web.Response:
        record = self._service.record("PAGE", self._timeout)
        try:
            with self._service.recorded(record):
                text = await self._segment(request, record)
                return web.Response(text=text, content_type="application/json", headers=_HEADERS)
        except ServingError as error:
            return _refusal(error)

    async def _segment(self, request: web.Request, record: Record) -> str:
        limits, number = self._service.limits, _slice_number(request)
        reference = Reference(request.query.get("model", ""))
        body = await read_body(request, record, limits.most_bytes, self._read_timeout)
        servable = self._service.find(reference, record)
        with servable.in_use() as signatures:
            about, channels = servable.about, channels_of(find_signature(signatures))
            upload: Callable[[], Upload] = partial(draw_example, channels, about.window)
            if request.path == "/page/segment":
                upload = partial(read_upload, body, limits.most_pixels, channels)
            one = await self._in_thread(
                record, lambda: take_slice(upload(), about.slice_axis, number)
            )
            query = Query(reference, "", partial(inputs_for, one))
            prediction = await self._service.ask(servable, query, record)
            about_it = {"model": servable.name, "version": servable.version}
            return await self._in_thread(
                record, lambda: json.dumps(about_it | tell(one, prediction.outputs, about))
            )

    async def _in_thread(self, record: Record, work: Callable[[], T]) -> T:
        running = asyncio.get_running_loop().run_in_executor(self._thread, work)
        return await in_time(running, record)


def _file(text: str, kind: str) -> Handler:
    """Answers with a file of the page."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=text, content_type=kind, headers=_HEADERS)

    return answer


def _refusal(error: ServingError) -> web.Response:
    response = refusal(error)
    response.headers.update(_HEADERS)
    return response


def _slice_number(request: web.Request) -> int | None:
    text = request.query.get("slice")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise invalid("no such slice", "slice: expected a number from 0")
    return int(text)
