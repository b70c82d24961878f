"""What an export of ours says of itself in `model.json`; models of others say nothing."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from tfadvseg.config import DEFAULT_WINDOW
from tfadvseg.inference.export_folder import ExportFolder
from tfadvseg.windows import Window, limits

log = logging.getLogger(__name__)


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
    folder = ExportFolder(version)
    if not folder.is_described:
        return About()
    try:
        config = folder.read_config()
    except (OSError, KeyError, TypeError, ValueError) as error:
        log.warning("version %s tells no class names: %r", version.name, error)
        return About()
    window = limits(config.window or DEFAULT_WINDOW)
    return About(tuple(config.classes or ()), window, config.slice_axis)
