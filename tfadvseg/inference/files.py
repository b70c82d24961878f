"""Image files in, mask files out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfadvseg.data.io import IMAGE_SUFFIXES, list_images, read_image, write_png
from tfadvseg.errors import InputError
from tfadvseg.inference.predictor import Predictor
from tfadvseg.pictures import overlay as draw_overlay
from tfadvseg.progress import Progress, silent


@dataclass(frozen=True)
class Row:
    """The summary of one file: size in pixels, share of each class, mean confidence."""

    name: str
    size: tuple[int, int]
    shares: tuple[float, ...]
    confidence: float | None


def find_inputs(inputs: Sequence[Path], out: Path) -> list[Path]:
    """The image files among files and folders.

    Raises:
        InputError: if one is missing or is no image, if two would give a mask of one name, or if
            the masks would lie among the images.
    """
    images = [image for path in inputs for image in _expand(path)]
    masks: dict[Path, Path] = {}
    for image in images:
        mask = out / f"{image.stem}.png"
        if mask in masks:
            raise InputError(
                f"{image} and {masks[mask]} would both give {mask}; predict them into two folders"
            )
        if image.parent.resolve() == out.resolve():
            raise InputError(
                f"{out}: the masks would lie among the images and could replace them; choose "
                "another --out"
            )
        masks[mask] = image
    return images


def predict_files(
    predictor: Predictor,
    images: Sequence[Path],
    out: Path,
    *,
    overlay: bool = False,
    confidence: bool = False,
    progress: Progress = silent,
) -> list[Row]:
    """Writes the mask of every image, and on request its overlay and confidence map.

    Args:
        predictor: the model.
        images: files.
        out: folder of the masks; `overlay/` and `confidence/` lie in it.
        overlay: draw the contours on the image.
        confidence: write D's map, 0 to 255 for 0 to 1.
        progress: wraps the images to show how far it has come.

    Raises:
        InputError: if an image cannot be read or has other channels than in training.
    """
    for path in images:  # all of them, before the first mask is written
        _check(path, predictor.config.channels)
    rows = []
    for path in progress(images, len(images)):
        image = read_image(path)
        result = predictor(image)
        name = f"{path.stem}.png"
        write_png(out / name, result.mask)
        if overlay:
            write_png(out / "overlay" / name, draw_overlay(image, result.mask))
        trust = None
        if result.confidence is not None:
            trust = float(result.confidence.mean())
            if confidence:
                levels = np.rint(result.confidence * 255).astype(np.uint8)
                write_png(out / "confidence" / name, levels)
        counts = np.bincount(result.mask.ravel(), minlength=result.probabilities.shape[-1])
        shares = tuple((counts / result.mask.size).tolist())
        rows.append(Row(path.name, image.shape[:2], shares, trust))
    return rows


def _check(path: Path, channels: int | None) -> None:
    found = read_image(path).shape[-1]
    if found != channels:
        raise InputError(
            f"{path}: expected {channels} channel(s) as in training, received {found}; convert it"
        )


def _expand(path: Path) -> list[Path]:
    if path.is_dir():
        images = list_images(path)
        if not images:
            raise InputError(
                f"{path}: no image in this folder; expected {', '.join(IMAGE_SUFFIXES)}"
            )
        return images
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder; expected an image or a folder of images")
    return [path]
