"""Pictures for people: overlays, confidence maps and panels, as RGB arrays."""

from __future__ import annotations

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
    """An image (H, W, K) of any type as (H, W, 3) uint8 between its 0.5 and 99.5 percentiles."""
    low, high = np.percentile(image, (0.5, 99.5))
    scaled = np.clip((image.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1) * 255
    planes = scaled if image.shape[-1] == 3 else np.repeat(scaled[..., :1], 3, axis=-1)
    return np.ascontiguousarray(planes.astype(np.uint8))


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
