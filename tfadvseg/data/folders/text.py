"""The text files beside the images, and how messages quote what they say."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from tfadvseg.errors import InputError


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        InputError: if the file is no text, or anything else than an object.
    """
    try:
        content = json.loads(_read(path), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: expected a JSON object, received what is none: {shown(str(error))}"
        ) from error
    if not isinstance(content, dict):
        raise InputError(
            f"{path}: expected a JSON object, {{...}}, received {shown(json.dumps(content))}"
        )
    return content


def read_table(
    path: Path, needed: Sequence[str], optional: Sequence[str] = ()
) -> list[tuple[int, dict[str, str]]]:
    """Reads a CSV file with a header; blanks around the values do not count.

    Args:
        path: the file.
        needed: columns that must be there.
        optional: columns that may be; named in the message. Others are read as well.

    Returns:
        The number of the line, and the values by column, of each row.

    Raises:
        InputError: if the file is no text, a needed column is missing, two columns have one name,
            or a row has more or fewer values than there are columns.
    """
    lines = _lines(path)
    header = lines[0][1] if lines else []
    named = [column for column in header if column]
    if not set(needed) <= set(named):
        expected = ",".join(needed) + "".join(f"[,{column}]" for column in optional)
        raise InputError(
            f"{path}: expected the columns {expected}, received {shown(','.join(named)) or 'none'}"
        )
    twice = sorted({column for column in named if named.count(column) > 1})
    if twice:
        raise InputError(f"{path}: two columns are named {some(twice)}; rename one")
    for number, values in lines[1:]:
        if len(values) != len(header):
            raise InputError(
                f"{path}, line {number}: expected {len(header)} values as in the first line, "
                f"received {len(values)}"
            )
    return [(number, dict(zip(header, values, strict=True))) for number, values in lines[1:]]


def some(names: Sequence[str], most: int = 5) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(shown(name) for name in names[:most]) + more


def shown(text: str, most: int = 160) -> str:
    """A text from a file as a message may quote it: on one line, printable, not long."""
    printable = text if text.isprintable() else repr(text)[1:-1]
    return printable if len(printable) <= most else f"{printable[:most]}..."


def _read(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: expected text in UTF-8, received the byte {error.object[error.start]:#04x} "
            f"at {error.start}; save it as UTF-8"
        ) from error
    if "\0" in text:
        raise InputError(f"{path}: expected text, received a zero byte; save it as UTF-8")
    return text


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """The lines of a CSV file that are not empty, with their numbers."""
    reader = csv.reader(io.StringIO(_read(path), newline=""), strict=True)
    try:
        return [(reader.line_num, [value.strip() for value in row]) for row in reader if row]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}; mend the line") from error


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")
