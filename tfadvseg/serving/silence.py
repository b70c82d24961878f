"""Connections that are opened, and on which nothing is asked."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web


class Silence:
    """Closes connections whose first request does not come in time.

    Between two requests aiohttp has a limit of its own; for the first one it may wait for ever.

    Args:
        seconds: in which the headers of a request have to arrive.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._since: dict[web.RequestHandler, float] = {}
        self._broken: set[web.RequestHandler] = set()

    def end(self, request: web.BaseRequest) -> None:
        """Notes that a request has come."""
        self._broken.add(request.protocol)

    async def watch(self, server: web.Server) -> None:
        """Looks at the connections of a server again and again."""
        while True:
            await asyncio.sleep(self._seconds / 2)
            now, connections = time.monotonic(), server.connections
            self._since = {one: self._since.get(one, now) for one in connections}
            self._broken &= set(connections)
            for one, since in self._since.items():
                if one not in self._broken and now - since > self._seconds:
                    one.force_close()
