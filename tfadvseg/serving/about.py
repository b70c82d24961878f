"""What an export of ours says of itself in `model.json`; models of others say nothing."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfadvseg.config import DEFAULT_WINDOW
from tfadvseg.data.geometry import SLICE_AXES
from tfadvseg.windows import Window, limits

log = logging.getLogger(__name__)

_PLACES = ("assets.extra/model.json", "model.json")  # of a SavedModel, of other formats


@dataclass(frozen=True)
class About:
    """How a model sees images, and what it finds.

    Attributes:
        classes: names by index, background first; empty if unknown.
        window: values that become 0 and 1, or the rule that finds them, see `windows.limits`.
        slice_axis: how volumes are cut, see `geometry.slicing`.
    """

    classes: tuple[str, ...] = ()
    window: Window = DEFAULT_WINDOW
    slice_axis: str = "acquisition"


def read_about(version: Path) -> About:
    """Reads what lies beside a model.

    Only the page for people needs it: a file that cannot be read, or is somebody else's, keeps no
    version from being served, and the log says so.

    Args:
        version: the folder of the version.
    """
    for place in _PLACES:
        if (version / place).is_file():
            try:
                return _parse(json.loads((version / place).read_text(encoding="utf-8")))
            except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
                log.warning("%s/%s tells no class names: %r", version.name, place, error)
    return About()


def _parse(content: Any) -> About:
    settings = content["settings"]
    window, slice_axis = settings["window"] or DEFAULT_WINDOW, settings["slice_axis"]
    if isinstance(window, list):
        low, high = map(float, window)
        window = low, high
    if slice_axis not in (*SLICE_AXES, "acquisition"):
        raise ValueError("unknown slice_axis")
    return About(tuple(map(str, content["classes"])), limits(window), slice_axis)
