"""What several commands share: options, arguments, and a quiet start of TensorFlow."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console

from tfadvseg.errors import InputError

BEGINNING = 4096  # bytes of a file by which it is known
RUN = click.argument("run", type=click.Path(path_type=Path))
CHECKPOINT = click.option(
    "--checkpoint",
    type=click.Choice(["best", "last"]),
    default="best",
    show_default=True,
    help="Which of the run's models to use.",
)


def terminal() -> Console:
    """Where commands print; what is not a terminal gets lines wide enough for its tables.

    Names of classes and patients are printed as they are, brackets and colons included.
    """
    width = None if sys.stdout.isatty() else 160
    return Console(highlight=False, markup=False, emoji=False, width=width)


def check_writable(file: Path | None, mark: str) -> None:
    """Refuses before anything is read what could not be written at the end, or would be lost.

    Args:
        file: to write, or None.
        mark: what stands near the beginning of every such file; one that has it is replaced.

    Raises:
        InputError: if it is a folder, lies in no folder or in one that cannot be written to, or is
            a file of another kind.
    """
    if file is None:
        return
    if file.is_dir() or not file.parent.is_dir():
        wrong = "is a folder" if file.is_dir() else f"there is no folder {file.parent}"
        raise InputError(f"{file} cannot be written: {wrong}; give a file in a folder")
    check_folder(file.parent)
    if file.is_file() and file.stat().st_size and mark.encode() not in _beginning(file):
        raise InputError(
            f"{file} exists and is not what this command writes: it would be lost; give another "
            "name, or remove it"
        )


def check_folder(folder: Path) -> None:
    """Refuses before anything is read a folder that could not be written to, or not be made.

    Raises:
        InputError: saying why.
    """
    there = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    if not there.is_dir():
        raise InputError(f"{there}: expected a folder to write to, received a file; name another")
    try:
        # Permissions do not tell all, such as a read-only disk; trying does.
        tempfile.TemporaryDirectory(prefix=".tfadvseg-", dir=there).cleanup()
    except OSError as error:
        raise InputError(
            f"{folder}: nothing can be written in {there} ({error.strerror}); name another folder"
        ) from error


def _beginning(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(BEGINNING)


@contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Imports TensorFlow without the notices that it prints past Python's streams.

    Some are printed before any log level is read, so the file descriptor is turned away while
    the import lasts. An error of the import comes through as an exception.
    """
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
