"""The example of the page: a synthetic patient, drawn in memory."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tfadvseg.data.image import Image
from tfadvseg.data.phantom import draw_volume
from tfadvseg.serving.page.uploads import Upload
from tfadvseg.windows import Window, limits

_PATIENT, _SLICES, _SIZE = 4, 12, 256
_PICTURES = limits("C200 W850")  # HU that become 0 and 255 where a model was trained on pictures


def draw_example(channels: int, window: Window) -> Upload:
    """A chest CT angiography that nobody was scanned for.

    Args:
        channels: that the model takes; all are alike.
        window: of the model; one within 0 to 255 tells that it knows pictures of 8 bits, not HU.
    """
    image = _phantom()
    voxels = image.voxels[..., np.newaxis]
    if not isinstance(window, str) and 0 <= window[0] < window[1] <= 255:
        low, high = map(float, _PICTURES)
        levels = np.clip((voxels - low) / (high - low), 0, 1) * 255
        voxels = np.rint(levels).astype(np.uint8)
    return Upload(Image(np.repeat(voxels, channels, axis=-1), image.geometry), True)


@lru_cache(1)
def _phantom() -> Image:
    return draw_volume(_PATIENT, slices=_SLICES, size=_SIZE)[0]
