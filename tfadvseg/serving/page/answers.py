"""What the page shows of a slice: picture, maps, classes and their areas, as JSON."""

from __future__ import annotations

import base64
import zlib
from math import prod
from typing import Any

import cv2
import numpy as np

from tfadvseg.inference.engines.signature import Arrays
from tfadvseg.serving.about import About
from tfadvseg.serving.page.models import class_names, colour_of
from tfadvseg.serving.page.slices import Slice, to_nifti
from tfadvseg.serving.status import invalid
from tfadvseg.windows import Window

PERCENTILES = (0.5, 99.5)


def tell(one: Slice, outputs: Arrays, about: About) -> dict[str, Any]:
    """The answer to an upload.

    Args:
        one: the slice (H, W, K).
        outputs: of the model for it: `mask` (1, H, W), and `probabilities` (1, H, W, C) and
            `confidence` (1, H, W) in [0, 1] where it has them.
        about: the model.

    Returns:
        What JSON can hold. `image` and `mask` are PNG files, `nifti` is the mask as .nii.gz or
        null, `maps` are H x W bytes each, packed by zlib; all of these as base64. Areas are in
        mm2, null without a pixel size. Shares are in [0, 1].

    Raises:
        ServingError: if the mask is not one.
    """
    mask = _mask(outputs["mask"], one.voxels.shape[:2])
    levels, shown = displayed(one.voxels, about.window)
    maps = {"probability": _probability(outputs), "confidence": outputs.get("confidence")}
    shares = {
        name: array[0]
        for name, array in maps.items()
        if array is not None and array.shape == (1, *mask.shape)
    }
    packed = {"mask": mask, **{name: _bytes(share) for name, share in shares.items()}}
    count = max(int(mask.max()) + 1, len(about.classes))
    names = class_names(about, count)
    nifti = to_nifti(mask, one)
    return {
        "slices": one.count,
        "slice": one.number,
        "height": mask.shape[0],
        "width": mask.shape[1],
        "pixel_mm": one.pixel_mm,
        "shown": shown,
        "notes": one.notes,
        "classes": [_class(index, names[index], mask, shares, one) for index in range(1, count)],
        "image": _png(levels),
        "mask": _png(mask),
        "nifti": None if nifti is None else _text(nifti),
        "maps": {name: _text(zlib.compress(array.tobytes(), 1)) for name, array in packed.items()},
    }


def displayed(voxels: np.ndarray, window: Window) -> tuple[np.ndarray, tuple[float, float]]:
    """A slice as people see it: (H, W) or RGB of 8 bits, and the values that are black and white.

    Args:
        voxels: (H, W, K); of other than three channels the first is shown.
        window: of the model.
    """
    planes = voxels if voxels.shape[-1] == 3 else voxels[..., 0]
    if window == "minmax":
        low, high = float(planes.min()), float(planes.max())
    elif isinstance(window, str):
        low, high = map(float, np.percentile(planes, PERCENTILES))
    else:
        low, high = window
    levels = (planes.astype(np.float32) - low) / max(high - low, 1e-6)
    return np.rint(np.clip(levels, 0, 1) * 255).astype(np.uint8), (low, high)


def _mask(found: np.ndarray, sides: tuple[int, ...]) -> np.ndarray:
    """The mask (H, W) uint8 of a model, which somebody else may have made."""
    sound = found.shape == (1, *sides) and found.dtype.kind in "iu"
    if not sound or found.min() < 0 or found.max() > 255:
        raise invalid(
            "foreign model", "the model's mask is no class index of 0 to 255 for each pixel"
        )
    return found[0].astype(np.uint8)


def _probability(outputs: Arrays) -> np.ndarray | None:
    """Of the class that was chosen, for each pixel (1, H, W)."""
    found = outputs.get("probabilities")
    return None if found is None else found.max(axis=-1)


def _class(
    index: int, name: str, mask: np.ndarray, shares: dict[str, np.ndarray], one: Slice
) -> dict[str, Any]:
    inside = mask == index
    pixels = int(np.count_nonzero(inside))
    return {
        "index": index,
        "name": name,
        "colour": colour_of(index),
        "pixels": pixels,
        "area_mm2": None if one.pixel_mm is None else pixels * prod(one.pixel_mm),
        **{key: float(share[inside].mean()) if pixels else None for key, share in shares.items()},
    }


def _bytes(share: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)


def _png(pixels: np.ndarray) -> str:
    encoded = cv2.imencode(".png", pixels if pixels.ndim == 2 else pixels[..., ::-1])[1]
    return _text(encoded.tobytes())


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
