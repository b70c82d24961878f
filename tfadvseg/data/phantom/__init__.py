"""Synthetic CT angiography of the chest: a data folder that needs no download and no permission.

Slices are drawn in Hounsfield units (HU) at four times their size and averaged down, so that edges
show partial volume. The aorta and the pulmonary artery overlap in brightness with each other, the
veins and the heart: position and shape tell them apart, as in patients.
"""

import csv
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tfadvseg.data.formats.volumes import write_volume
from tfadvseg.data.geometry import Geometry
from tfadvseg.data.image import Image
from tfadvseg.data.phantom.anatomy import Anatomy, Floats, sample_anatomy
from tfadvseg.data.phantom.drawing import LABELS, draw_slice
from tfadvseg.errors import InputError

FORMATS = ("png", "nifti")
WIDTH_MM, HEIGHT_MM = 360.0, 240.0  # of the slices, and from the first slice to the last

Drawn = Iterator[tuple[Floats, NDArray[np.uint8]]]


def _scan(hu: Floats, anatomy: Anatomy, z: float, rng: np.random.Generator) -> Floats:
    """Adds what a scanner adds: blur, streaks, noise."""
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
    return image


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
    low, high = anatomy.window
    for hu, mask in _draw(anatomy, rng, slices, size):
        levels = np.clip((hu - low) / (high - low), 0, 1) * 255
        yield np.rint(levels).astype(np.uint8), mask


def draw_volume(
    patient: int, *, slices: int = 8, size: int = 128, seed: int = 0
) -> tuple[Image, Image]:
    """Draws one patient as a CT volume in HU, and its mask; see `draw_patient`.

    Returns:
        Voxels (slices, size, size) of int16 and uint8 from the feet up, on one grid in mm.
    """
    rng = np.random.default_rng((seed, patient))
    hu, masks = zip(*_draw(sample_anatomy(rng), rng, slices, size), strict=True)
    pixel = WIDTH_MM / size
    grid = Geometry(
        (size, size, slices),
        (pixel, pixel, HEIGHT_MM / slices),
        (-WIDTH_MM / 2, -WIDTH_MM / 2, 0.0),
        (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    )
    voxels = np.rint(np.clip(hu[::-1], -1024, 3071)).astype(np.int16)
    return Image(voxels, grid), Image(np.stack(masks[::-1]), grid)


def _draw(anatomy: Anatomy, rng: np.random.Generator, slices: int, size: int) -> Drawn:
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
    format: str = "png",
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
        format: `png`, a picture a slice, windowed as patients' are; or `nifti`, a volume a
            patient, in HU.
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
    if format not in FORMATS:
        raise InputError(f"format must be png or nifti, got {format!r}")
    folder = Path(folder).resolve()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(
            f"the phantom needs a new or empty folder, got {folder}, which exists and is not "
            "empty: name another one or remove it"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        staged = Path(scratch) / folder.name
        for name in ("images", "masks"):
            (staged / name).mkdir(parents=True)
        write = _write_pictures if format == "png" else _write_volumes
        rows = []
        for index in range(patients):
            files = write(staged, index, slices, size, seed)
            split = _split(index, patients)
            rows += [(file, f"phantom{index:03d}", split) for file in files]
            if progress is not None:
                progress(index + 1)
        _describe(staged, rows, seed, format)
        if folder.exists():
            folder.rmdir()
        staged.rename(folder)


def _split(index: int, patients: int) -> str:
    """The last fifth of the patients is for testing, the one before for validation."""
    left, held_out = patients - index, max(1, patients // 5)
    return "test" if left <= held_out else "val" if left <= 2 * held_out else "train"


def _write_pictures(folder: Path, index: int, slices: int, size: int, seed: int) -> list[str]:
    drawn = draw_patient(index, slices=slices, size=size, seed=seed)
    files = [f"phantom{index:03d}_slice{number:02d}.png" for number in range(slices)]
    for file, (image, mask) in zip(files, drawn, strict=True):
        _write_png(folder / "images" / file, image)
        _write_png(folder / "masks" / file, mask)
    return files


def _write_volumes(folder: Path, index: int, slices: int, size: int, seed: int) -> list[str]:
    file = f"phantom{index:03d}.nii.gz"
    image, mask = draw_volume(index, slices=slices, size=size, seed=seed)
    write_volume(folder / "images" / file, image)
    write_volume(folder / "masks" / file, mask)
    return [file]


def _describe(folder: Path, rows: Sequence[tuple[str, ...]], seed: int, format: str) -> None:
    with (folder / "cases.csv").open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([("file", "patient", "split"), *rows])
    description = {
        "name": "phantom",
        "labels": LABELS,
        "ignore_label": 255,
        "window": [0, 255] if format == "png" else "C200 W850",
        "description": f"Synthetic CT angiography of the chest, drawn by tfadvseg (seed {seed}).",
    }
    (folder / "dataset.json").write_text(json.dumps(description, indent=2) + "\n")


def _write_png(path: Path, image: NDArray[np.uint8]) -> None:
    # cv2.imwrite only returns False on a full disk; writing the bytes raises.
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
