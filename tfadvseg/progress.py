"""How long work shows how far it has come."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from rich.console import Console
from rich.progress import track

Progress: TypeAlias = Callable[[Iterable[Any], int], Iterable[Any]]


def silent(items: Iterable[Any], total: int) -> Iterable[Any]:
    """Shows nothing."""
    return items


def bar(console: Console, text: str) -> Progress:
    """A bar that vanishes when the work is done; nothing where there is no terminal."""

    def show(items: Iterable[Any], total: int) -> Iterable[Any]:
        if not console.is_terminal:
            return items
        return track(items, text, total=total, console=console, transient=True)

    return show
