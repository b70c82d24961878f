"""The server: two ports, a folder that is watched, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from grpc_health.v1 import health_pb2

from tfadvseg.errors import InputError
from tfadvseg.inference.engines import MODEL_FILES, loader
from tfadvseg.serving.batching import BatchLimits, Scheduler
from tfadvseg.serving.grpc_api import PREDICTION_SERVICE, grpc_server
from tfadvseg.serving.manager import Manager
from tfadvseg.serving.metrics import Metrics
from tfadvseg.serving.page.handlers import Page
from tfadvseg.serving.rest_api import RestApi
from tfadvseg.serving.service import RequestLimits, Service
from tfadvseg.serving.silence import Silence
from tfadvseg.serving.tls import Tls
from tfadvseg.serving.versions import Policy

log = logging.getLogger(__name__)
SERVICES = ("", PREDICTION_SERVICE, "tensorflow.serving.ModelService")
IDLE = 75.0  # seconds between two requests over one connection
STOPS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class ServerOptions:
    """What to serve, and how.

    Attributes:
        folder: of the models.
        host: address to listen at.
        port: of gRPC; 0 for any.
        rest_port: likewise.
        engine: a key of MODEL_FILES.
        policy: which versions.
        poll: seconds between two looks at the folder.
        batches: how requests are joined.
        requests: how large one may be.
        timeout: seconds for a request over REST.
        read_timeout: seconds for its body to arrive.
        drain: seconds for what is at work when the server has to end.
        tls: encryption, if wanted.
    """

    folder: Path
    host: str
    port: int
    rest_port: int
    engine: str
    policy: Policy
    poll: float
    batches: BatchLimits
    requests: RequestLimits
    timeout: float
    read_timeout: float
    drain: float
    tls: Tls | None


class Server:
    """Serves the models of a folder until it is told to end."""

    def __init__(self, options: ServerOptions):
        metrics, engine = Metrics(), options.engine
        load = loader(engine)
        self._options, self._stopping = options, asyncio.Event()
        self._host = f"[{options.host}]" if ":" in options.host else options.host  # IPv6
        self._ssl = None if options.tls is None else options.tls.context()
        self._manager = Manager(options.folder, MODEL_FILES[engine], load, options.policy, metrics)
        self._scheduler = Scheduler(options.batches, metrics)
        self._service = Service(self._manager, self._scheduler, options.requests, metrics)
        self._grpc, self._health = grpc_server(self._service, options.batches.most_waiting)
        self._silence = Silence(options.read_timeout)
        api = RestApi(
            self._service,
            lambda: self._manager.ready and not self._stopping.is_set(),
            options.timeout,
            options.read_timeout,
            self._silence,
        )
        app = api.app()
        Page(self._service, options.timeout, options.read_timeout).add_to(app)
        self._runner = web.AppRunner(
            app,
            handler_cancellation=True,  # who has gone needs no answer
            shutdown_timeout=options.drain,
            keepalive_timeout=IDLE,
            access_log=None,
        )

    async def run(self, tell: Callable[[str], None]) -> None:
        """Serves until SIGTERM or SIGINT, and then ends what is at work.

        Args:
            tell: gets the line that says what is served where.

        Raises:
            InputError: if a port is taken, or a file for TLS cannot be used.
        """
        for number in STOPS:
            asyncio.get_running_loop().add_signal_handler(number, self._stop)
        try:
            port = self._listen_grpc()
            await self._set_health(False)  # the library's own says that all is well
            await self._grpc.start()
            rest_port = await self._listen_rest()
            watching = asyncio.create_task(self._watch(tell, port, rest_port))
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
            watching.cancel()
        finally:
            await self._end()

    def _stop(self) -> None:
        if self._stopping.is_set():
            log.warning("ended at once by a second signal")
            sys.stderr.flush()
            os._exit(1)
        self._stopping.set()

    async def _watch(self, tell: Callable[[str], None], port: int, rest_port: int) -> None:
        await self._manager.look(at_once=True)
        names, host = ", ".join(self._manager.names()), self._host
        scheme = "https" if self._options.tls else "http"
        address = f"{scheme}://{host}:{rest_port}"
        tell(f"Serving {names} at {host}:{port} (gRPC) and {address} (REST), {address}/ (page)")
        server = self._runner.server
        assert server is not None  # it listens
        await asyncio.gather(
            self._manager.watch(self._options.poll),
            self._tell_health(),
            self._silence.watch(server),
        )

    async def _tell_health(self) -> None:
        """Keeps the health of gRPC in step with that of REST."""
        while True:
            await self._set_health(self._manager.ready)
            await asyncio.sleep(self._options.poll)

    async def _set_health(self, ready: bool) -> None:
        states = health_pb2.HealthCheckResponse
        for name in SERVICES:
            await self._health.set(name, states.SERVING if ready else states.NOT_SERVING)

    def _listen_grpc(self) -> int:
        tls, address = self._options.tls, f"{self._host}:{self._options.port}"
        try:
            if tls is not None:
                return self._grpc.add_secure_port(address, tls.credentials())
            return self._grpc.add_insecure_port(address)
        except RuntimeError as error:
            raise _taken("--port", address) from error

    async def _listen_rest(self) -> int:
        host, port = self._options.host, self._options.rest_port
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=self._ssl)
        try:
            await site.start()
        except OSError as error:
            raise _taken("--rest-port", f"{self._host}:{port}") from error
        return self._runner.addresses[0][1]

    async def _end(self) -> None:
        """Takes no new requests, finishes those at work, and stops."""
        await self._set_health(False)
        log.info("ending: no new requests, at most %g s for those at work", self._options.drain)
        await asyncio.gather(self._grpc.stop(self._options.drain), self._runner.cleanup())
        self._scheduler.close()


def serve(options: ServerOptions, tell: Callable[[str], None]) -> None:
    """Serves the models of a folder until SIGTERM or SIGINT.

    Args:
        options: what and how.
        tell: gets the line that says what is served where, once it is.

    Raises:
        InputError: if a port, an engine or a file cannot be used.
    """

    async def run() -> None:
        await Server(options).run(tell)

    with suppress(asyncio.CancelledError):
        asyncio.run(run())


def _taken(option: str, address: str) -> InputError:
    return InputError(f"{option}: cannot listen at {address}; is it taken? choose another")
