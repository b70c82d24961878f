"""`dataset.json`: the classes, the value that is ignored, and the intensity window."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfadvseg import windows
from tfadvseg.data.folders.text import read_json, shown
from tfadvseg.errors import InputError


@dataclass(frozen=True)
class Description:
    """What `dataset.json` says; nothing where there is none.

    Attributes:
        path: the file.
        content: all of it, as it is written.
        classes: names in the order of their indices, background first.
        ignore_label: mask value that no loss and no metric counts.
        window: intensities that become 0 and 1.
    """

    path: Path
    content: dict[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None
    ignore_label: int | None = None
    window: windows.Window | None = None


def read_description(path: Path) -> Description:
    """Reads a `dataset.json` of this package, of nnU-Net or of the Medical Segmentation Decathlon.

    Args:
        path: the file, which may be missing. Keys that are not known are kept, unchecked.

    Raises:
        InputError: if it is no JSON object, or `labels`, `ignore_label` or `window` are wrong.
    """
    if not path.is_file():
        return Description(path)
    content = read_json(path)
    labels = content.get("labels")
    indices = {} if labels is None else _indices(path, labels)
    ignored = _ignore_label(path, content.get("ignore_label"), indices.pop("ignore", None))
    if sorted(indices.values()) != list(range(len(indices))) or len(indices) == 1:
        raise InputError(_expected_labels(path, labels))
    classes = tuple(sorted(indices, key=lambda name: indices[name]))
    odd = [name for name in classes if not name.strip() or not name.isprintable()]
    if odd:
        raise InputError(f"{path}: {odd[0]!r} is no class name; expected one that can be printed")
    if ignored is not None and ignored < len(classes):
        raise InputError(
            f"{path}: the value {ignored} is ignored and is the class {shown(classes[ignored])}; "
            "give one of them another value"
        )
    return Description(path, content, classes or None, ignored, _window(path, content))


def _indices(path: Path, labels: Any) -> dict[str, int]:
    """Index by name, from {name: index} or, as in the Decathlon, {index: name}."""
    if not isinstance(labels, dict):
        raise InputError(_expected_labels(path, labels))
    regions = [name for name, index in labels.items() if isinstance(index, list)]
    if regions:
        raise InputError(
            f"{path}: the label {shown(regions[0])} is a region of several indices, "
            f"{shown(json.dumps(labels[regions[0]]))}; regions are not read, give each index a "
            "name of its own"
        )
    if all(type(index) is int for index in labels.values()):
        return dict(labels)
    numbers = [int(key) for key in labels if key.isdecimal() and len(key) <= 3]
    names = {name for name in labels.values() if isinstance(name, str)}
    if not len(numbers) == len(names) == len(labels):
        raise InputError(_expected_labels(path, labels))
    return dict(zip(labels.values(), numbers, strict=True))


def _expected_labels(path: Path, labels: Any) -> str:
    return (
        f'{path}: expected {{"labels": {{"background": 0, "name": 1, ...}}}} with the indices '
        f"0, 1, 2, ..., received {shown(json.dumps(labels))}"
    )


def _ignore_label(path: Path, given: Any, among_labels: int | None) -> int | None:
    """The ignored value, from the key of its own or from the label `ignore`."""
    values = [value for value in (given, among_labels) if value is not None]
    if any(type(value) is not int or not 1 <= value <= 255 for value in values):
        raise InputError(
            f"{path}: expected as ignore_label, or as the label ignore, an index from 1 to 255, "
            f"received {shown(json.dumps(values))}"
        )
    if len(set(values)) > 1:
        raise InputError(
            f"{path}: ignore_label is {given}, the label ignore {among_labels}; drop one"
        )
    return values[0] if values else None


def _window(path: Path, content: dict[str, Any]) -> windows.Window | None:
    window = content.get("window")
    if window is None:
        return None
    if isinstance(window, list) and len(window) == 2 and all(map(_is_finite, window)):
        window = (window[0], window[1])
    if not isinstance(window, str | tuple):
        raise InputError(
            f"{path}: expected as window a name or [low, high], received "
            f"{shown(json.dumps(window))}"
        )
    try:
        windows.limits(window)
    except ValueError as error:
        raise InputError(f"{path}: window: {shown(str(error), 400)}") from error
    return window


def _is_finite(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= sys.float_info.max
