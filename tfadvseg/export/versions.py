"""Numbered versions of a model, which appear whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tfadvseg.errors import InputError


@dataclass
class Version:
    """A version that is being written.

    Attributes:
        writing: where it is written; servers see no version in its name.
        path: where it will lie; its name is the number.
    """

    writing: Path
    path: Path

    @property
    def number(self) -> int:
        """The next free integer when the writing began."""
        return int(self.path.name)


@contextmanager
def new_version(model: Path) -> Iterator[Version]:
    """A folder for the next version of a model, renamed to its number when the block ends well.

    Args:
        model: the folder of the versions, made where it is missing.

    Raises:
        InputError: if it is a file, or cannot be written.
    """
    if model.exists() and not model.is_dir():
        raise InputError(f"{model} is a file; expected the folder of a model, such as models/heart")
    new = not model.exists()
    try:
        model.mkdir(parents=True, exist_ok=True)
        writing = Path(tempfile.mkdtemp(prefix=".writing-", dir=model))
    except OSError as error:
        raise InputError(
            f"{model}: cannot be written ({error.strerror}); choose another"
        ) from error
    writing.chmod(0o755)  # a server may be another user
    try:
        version = Version(writing, model / str(_next(model)))
        yield version
        while True:  # another export may have been faster
            try:
                writing.rename(version.path)
                return
            except OSError:
                if not version.path.exists():
                    raise
                version.path = model / str(_next(model))
    finally:
        shutil.rmtree(writing, ignore_errors=True)
        if new:  # a refused export leaves nothing
            with suppress(OSError):  # it holds a version
                model.rmdir()


def _next(model: Path) -> int:
    return max((int(path.name) for path in model.iterdir() if path.name.isdecimal()), default=0) + 1
