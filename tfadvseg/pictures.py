"""Pictures for people: overlays, confidence maps and panels, as RGB arrays."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence

import cv2
import numpy as np

# Okabe and Ito's palette: told apart by colour-blind readers too. Background is not drawn.
PALETTE = np.array(
    [
        (0, 0, 0),
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
        (213, 94, 0),
        (204, 121, 167),
        (0, 114, 178),
    ],
    np.uint8,
)
MARGIN = 4


def class_colours(mask: np.ndarray) -> np.ndarray:
    """A mask (H, W) as colours (H, W, 3); the palette repeats after its last class."""
    index = np.where(mask == 0, 0, (mask.astype(int) - 1) % (len(PALETTE) - 1) + 1)
    return PALETTE[index]


def grey(image: np.ndarray) -> np.ndarray:
    """An image (H, W, K) of any type as (H, W, 3) uint8 between its 0.5 and 99.5 percentiles.

    Three channels are colours; of any other number the first is shown.
    """
    shown = image if image.shape[-1] == 3 else image[..., :1]
    low, high = np.percentile(shown, (0.5, 99.5))
    scaled = np.clip((shown.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1) * 255
    return np.array(np.broadcast_to(scaled.astype(np.uint8), (*image.shape[:2], 3)), order="C")


def overlay(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image (H, W, K) with the contours of the mask (H, W) in the classes' colours."""
    picture = grey(image)
    for label in np.unique(mask[mask > 0]):
        region = (mask == label).astype(np.uint8)
        contours, _ = cv2.findContours(region, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        colour = class_colours(np.array([[label]], np.uint8))[0, 0].tolist()
        cv2.drawContours(picture, contours, -1, colour, max(1, round(min(mask.shape) / 256)))
    return picture


def heat(confidence: np.ndarray) -> np.ndarray:
    """A map (H, W) of values in [0, 1] in colours, dark for 0."""
    levels = np.clip(confidence * 255, 0, 255).astype(np.uint8)
    return cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[..., ::-1]


def scaled(
    plane: np.ndarray,
    side: int,
    pixel_mm: tuple[float, float] | None = None,
    *,
    nearest: bool = False,
) -> np.ndarray:
    """A plane (H, W, ...) in its true proportions, with square pixels.

    Args:
        plane: image, or mask with `nearest`.
        side: the longer side of the result, in pixels.
        pixel_mm: height and width of the pixels; None for square ones.
        nearest: keep the values as they are.
    """
    plane = np.ascontiguousarray(plane)
    height, width = (n * mm for n, mm in zip(plane.shape[:2], pixel_mm or (1, 1), strict=True))
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    shrinks = size[0] < plane.shape[1] or size[1] < plane.shape[0]
    smooth = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(plane, size, interpolation=cv2.INTER_NEAREST if nearest else smooth)


def panel(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one size side by side with a white margin between them."""
    height = pictures[0].shape[0]
    gap = np.full((height, MARGIN, 3), 255, np.uint8)
    return np.concatenate([part for p in pictures for part in (p, gap)][:-1], axis=1)


def mosaic(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one size in rows, about as many rows as columns; a single one as it is."""
    columns = math.ceil(math.sqrt(len(pictures)))
    blank = np.full_like(pictures[0], 255)
    rows = [list(pictures[start : start + columns]) for start in range(0, len(pictures), columns)]
    rows[-1] += [blank] * (columns - len(rows[-1]))
    bands = [panel(row) for row in rows]
    gap = np.full((MARGIN, bands[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([part for band in bands for part in (band, gap)][:-1], axis=0)


def data_uri(picture: np.ndarray) -> str:
    """A picture (H, W, 3) as a PNG that a page of HTML holds itself."""
    encoded = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
    return "data:image/png;base64," + base64.b64encode(encoded).decode("ascii")


def without(mask: np.ndarray, ignore_label: int) -> np.ndarray:
    """A mask whose ignored pixels are background: they are not drawn."""
    return np.where(mask == ignore_label, 0, mask).astype(np.uint8)


def fullest(masks: np.ndarray, ignore_label: int) -> int:
    """The slice of masks (D, H, W) with the most foreground; the middle one if there is none."""
    marked = [np.count_nonzero((plane > 0) & (plane != ignore_label)) for plane in masks]
    return int(np.argmax(marked)) if any(marked) else len(masks) // 2
