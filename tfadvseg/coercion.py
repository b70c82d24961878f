"""Values from YAML and the command line to the types and ranges of the settings."""

from __future__ import annotations

import difflib
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from tfadvseg.errors import InputError


def coerce(name: str, value: Any, hint: Any, choices: Sequence[str] | None = None) -> Any:
    """The value as one of the types that the hint allows.

    Args:
        name: of the setting, for the message.
        value: from YAML or the command line.
        hint: a type, or a union of types.
        choices: that a list may hold, for the message; `check_range` checks them.

    Raises:
        InputError: if it fits none of them.
    """
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        matched, result = _match(value, option)
        if matched:
            return result
    expected = " or ".join(_type_name(option) for option in options)
    if choices and typing.get_origin(hint) is tuple:
        expected += f" among {', '.join(choices)}, written as [{','.join(choices[:2])}]"
    raise InputError(f"{name}: expected {expected}, received {value!r}")


def _match(value: Any, option: Any) -> tuple[bool, Any]:
    """Whether the value fits one type, and the value as that type."""
    if option is type(None):
        return value is None, None
    if typing.get_origin(option) is tuple:
        return _match_tuple(value, typing.get_args(option))
    if option is float:
        # YAML 1.1 takes 1e-3 for a string.
        try:
            return not isinstance(value, bool) and value is not None, float(value)
        except (TypeError, ValueError):
            return False, None
    if option is bool:
        return isinstance(value, bool), value
    if option is str:  # a series or a folder may be named by a number
        number = isinstance(value, int) and not isinstance(value, bool)
        return isinstance(value, str) or number, str(value) if number else value
    return isinstance(value, option) and not isinstance(value, bool), value


def _match_tuple(value: Any, arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    """Whether a list fits a tuple type, and the list as that tuple."""
    if not isinstance(value, list | tuple):
        return False, None
    if arguments[-1] is Ellipsis:
        arguments = (arguments[0],) * len(value)
    if len(value) != len(arguments):
        return False, None
    if arguments and arguments[0] is str:  # patients named 1001 in YAML are numbers
        value = [str(item) if isinstance(item, int) else item for item in value]
    pairs = [_match(item, option) for item, option in zip(value, arguments, strict=True)]
    return all(matched for matched, _ in pairs), tuple(result for _, result in pairs)


def _type_name(option: Any) -> str:
    if option is type(None):
        return "null"
    if typing.get_origin(option) is tuple:
        arguments = typing.get_args(option)
        inner = _type_name(arguments[0])
        return f"a list of {inner}s" if arguments[-1] is Ellipsis else f"[{inner}, {inner}]"
    return {int: "integer", float: "number", str: "name", bool: "true or false"}[option]


def check_range(name: str, value: Any, limits: Mapping[str, Any]) -> None:
    """Checks a value against the choices or the range of its setting.

    Raises:
        InputError: if it lies outside; the nearest choice is suggested.
    """
    choices, low, high = limits["choices"], limits["low"], limits["high"]
    if choices is not None and value not in choices:
        near = difflib.get_close_matches(str(value), choices, n=1)
        mend = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"{name}: expected {', '.join(choices)}, received {value!r}{mend}")
    if not isinstance(value, int | float) or isinstance(value, bool):
        return
    bound = f"a number above {low}" if limits["positive"] else f"a number at least {low}"
    if low is None:
        bound = "a finite number"
    too_low = low is not None and (value <= low if limits["positive"] else value < low)
    if too_low or (high is not None and value > high) or not math.isfinite(value):
        bound += f" and at most {high}" if high is not None else ""
        raise InputError(f"{name}: expected {bound}, received {value}")
