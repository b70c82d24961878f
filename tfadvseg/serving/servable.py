"""A version of a model: its state, and the requests that use it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

from tfadvseg.inference.engines.signature import Signatures
from tfadvseg.serving.about import About
from tfadvseg.serving.versions import Fingerprint


class State(IntEnum):
    """As in TensorFlow Serving's ModelVersionStatus."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(eq=False)
class Servable:
    """A version of a model.

    Attributes:
        name: of the model.
        version: number.
        state: what it is doing.
        signatures: what it can be asked, while it is loaded.
        about: what its export says of it.
        error: why it could not be loaded.
        broken: what its files were like when it could not.
    """

    name: str
    version: int
    state: State = State.START
    signatures: Signatures | None = None
    about: About = About()
    error: str = ""
    broken: Fingerprint | None = None

    def __post_init__(self) -> None:
        self._users = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def in_use(self) -> Iterator[Signatures]:
        """Its signatures, which stay loaded meanwhile."""
        assert self.signatures is not None
        self._users += 1
        self._idle.clear()
        try:
            yield self.signatures
        finally:
            self._users -= 1
            if not self._users:
                self._idle.set()

    async def unload(self) -> None:
        """Takes no more requests, and ends when the last one is done."""
        self.state = State.UNLOADING
        await self._idle.wait()
        self.signatures, self.state = None, State.END
