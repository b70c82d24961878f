"""Synthetic CT angiography of the chest: a data folder that needs no download and no permission.

Slices are drawn in Hounsfield units (HU) at four times their size and averaged down, so that edges
show partial volume. The aorta and the pulmonary artery overlap in brightness with each other, the
veins and the heart: position and shape tell them apart, as in patients.
"""

import csv
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tfadvseg.data.phantom_anatomy import Anatomy, Floats, sample_anatomy
from tfadvseg.data.phantom_drawing import LABELS, draw_slice
from tfadvseg.errors import InputError


def _scan(hu: Floats, anatomy: Anatomy, z: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Adds what a scanner adds (blur, streaks, noise) and windows HU to 8 bits."""
    size = len(hu)
    grid = (np.arange(size, dtype=np.float32) + 0.5) / size
    y, x = grid[:, None], grid[None, :]
    image = cv2.GaussianBlur(hu, (0, 0), anatomy.blur * size / 128)
    # Dense contrast in the superior vena cava casts streaks.
    source = anatomy.place(np.array(anatomy.at("cava", z)))
    dx, dy = x - source[0], y - source[1]
    fan = np.sin(14 * np.arctan2(dy, dx) + 20 * z)
    image = image + anatomy.streaks * np.exp(-np.hypot(dx, dy) / 0.1) * fan * (z < 0.6)
    a, b, c = anatomy.bias
    image += 2 * a * (x - 0.5) + 2 * b * (y - 0.5) + 4 * c * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    smooth = cv2.GaussianBlur(rng.standard_normal((size, size)), (0, 0), 1.1)
    image += anatomy.noise[0] * smooth / smooth.std()
    image += anatomy.noise[1] * rng.standard_normal((size, size))
    low, high = anatomy.window
    return np.rint(np.clip((image - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def draw_patient(
    patient: int, *, slices: int = 8, size: int = 128, seed: int = 0
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Draws the slices of one patient, from the top down.

    Args:
        patient: Index of the patient; the same index and seed give the same patient.
        slices: Number of slices over the height of the chest.
        size: Width and height in pixels.
        seed: Seed of the whole data set.

    Yields:
        An 8-bit image and its mask of class indices, both (size, size).
    """
    rng = np.random.default_rng((seed, patient))
    anatomy = sample_anatomy(rng)
    for index in range(slices):
        z = float(np.interp((index + 0.5) / slices, (0, 1), anatomy.levels))
        hu, mask = draw_slice(anatomy, z, size)
        yield _scan(hu, anatomy, z, rng), mask


def write_phantom(
    folder: Path,
    *,
    patients: int = 20,
    slices: int = 8,
    size: int = 128,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Writes a data folder of synthetic patients: images, masks, `cases.csv`, `dataset.json`.

    A fifth of the patients (at least one) is for testing, a fifth for validation, the rest for
    training. The folder appears only when it is complete.

    Args:
        folder: Where to write; must not exist, or be empty.
        patients: Number of patients, at least 3.
        slices: Slices per patient, at least 1.
        size: Width and height in pixels, 32 to 1024.
        seed: At least 0. Patient k of a seed is the same whatever the number of patients.
        progress: Called with the number of finished patients after each one.

    Raises:
        InputError: An argument is out of range, or the folder is not empty.
    """
    for name, value, low, high in (
        ("patients", patients, 3, None),
        ("slices", slices, 1, None),
        ("size", size, 32, 1024),
        ("seed", seed, 0, None),
    ):
        if value < low or (high is not None and value > high):
            span = f"at least {low}" if high is None else f"{low} to {high}"
            raise InputError(f"{name} must be {span}, got {value}: choose a value in this range")
    folder = Path(folder).resolve()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(
            f"the phantom needs a new or empty folder, got {folder}, which exists and is not "
            "empty: name another one or remove it"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        staged = Path(scratch) / folder.name
        _write(staged, patients, slices, size, seed, progress)
        if folder.exists():
            folder.rmdir()
        staged.rename(folder)


def _write(
    folder: Path,
    patients: int,
    slices: int,
    size: int,
    seed: int,
    progress: Callable[[int], None] | None,
) -> None:
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    held_out = max(1, patients // 5)
    rows = []
    for index in range(patients):
        patient = f"phantom{index:03d}"
        left = patients - index
        split = "test" if left <= held_out else "val" if left <= 2 * held_out else "train"
        drawn = draw_patient(index, slices=slices, size=size, seed=seed)
        for number, (image, mask) in enumerate(drawn):
            file = f"{patient}_slice{number:02d}.png"
            _write_png(folder / "images" / file, image)
            _write_png(folder / "masks" / file, mask)
            rows.append((file, patient, split))
        if progress is not None:
            progress(index + 1)
    with (folder / "cases.csv").open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([("file", "patient", "split"), *rows])
    description = {
        "name": "phantom",
        "labels": LABELS,
        "ignore_label": 255,
        "window": [0, 255],
        "description": f"Synthetic CT angiography of the chest, drawn by tfadvseg (seed {seed}).",
    }
    (folder / "dataset.json").write_text(json.dumps(description, indent=2) + "\n")


def _write_png(path: Path, image: NDArray[np.uint8]) -> None:
    # cv2.imwrite only returns False on a full disk; writing the bytes raises.
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
