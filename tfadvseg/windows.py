"""Intensity windows: which stored values become 0 and 1."""

from __future__ import annotations

import re
from typing import TypeAlias

Window: TypeAlias = str | tuple[float, float]

# Centre and width in HU, as radiologists set them.
PRESETS = {
    "angiography": (300.0, 600.0),
    "soft-tissue": (40.0, 400.0),
    "lung": (-600.0, 1500.0),
    "bone": (400.0, 1800.0),
    "brain": (40.0, 80.0),
}
BY_CHANNEL = "percentile-by-channel"
PER_IMAGE = ("percentile", BY_CHANNEL, "minmax")

_CENTRE_WIDTH = re.compile(r"c(-?\d+(?:\.\d+)?) *w(\d+(?:\.\d+)?)", re.IGNORECASE)


def limits(window: Window) -> Window:
    """The values that become 0 and 1, or the name of the rule that finds them in each image.

    Args:
        window: one of PER_IMAGE, a preset for CT, centre and width as in `C300 W600`, or the two
            values.

    Raises:
        ValueError: if it is none of these, saying what was expected.
    """
    if isinstance(window, tuple):
        if not window[0] < window[1]:
            raise ValueError(f"expected low < high, received {list(window)}")
        return window
    if window in PER_IMAGE:
        return window
    centre, width = PRESETS.get(window, (0.0, 0.0))
    if found := _CENTRE_WIDTH.fullmatch(window.strip()):
        centre, width = (float(number) for number in found.groups())
    if not width:
        raise ValueError(
            f"expected {', '.join((*PER_IMAGE, *PRESETS))}, centre and width as in C300 W600, or "
            f"[low, high], received {window!r}"
        )
    return centre - width / 2, centre + width / 2
