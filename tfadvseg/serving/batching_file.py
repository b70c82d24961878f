"""TensorFlow Serving's file of batching parameters."""

from __future__ import annotations

import re
from pathlib import Path

from tfadvseg.errors import InputError

_COMMENT = re.compile(r"#[^\n]*")
_VALUE = r'("[^"]*"|[^\s{}":]+)'
_FIELD = re.compile(rf"(\w+)\s*(?::?\s*\{{\s*value\s*:\s*{_VALUE}\s*\}}|:\s*{_VALUE})\s*")
_LEAST = {"batch_timeout_micros": 0}
_OURS = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")


def read_batching_parameters(file: Path) -> dict[str, int]:
    """Reads `max_batch_size { value: 32 }` and the like.

    Args:
        file: as for tensorflow_model_server's --batching_parameters_file.

    Returns:
        Those of max_batch_size, batch_timeout_micros, max_enqueued_batches and num_batch_threads
        that it sets. Its other fields mean nothing to this server.

    Raises:
        InputError: if it cannot be read, or is no such file.
    """
    try:
        text = _COMMENT.sub("", file.read_text(encoding="utf-8")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--batching-parameters-file {file}: cannot be read ({error})") from error
    fields: dict[str, str] = {}
    while text:
        found = _FIELD.match(text)
        if not found:
            raise InputError(
                f"--batching-parameters-file {file}: expected lines such as `max_batch_size "
                f"{{ value: 32 }}`, received {text.splitlines()[0]!r}"
            )
        fields[found[1]], text = found[2] or found[3], text[found.end() :]
    given = {name: fields[name] for name in _OURS if name in fields}
    for name, value in given.items():
        least = _LEAST.get(name, 1)
        if not value.isdecimal() or int(value) < least:
            raise InputError(
                f"--batching-parameters-file {file}: {name}: expected a whole number of at least "
                f"{least}, received {value}"
            )
    return {name: int(value) for name, value in given.items()}
