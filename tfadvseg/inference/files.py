"""Image files in, mask files out, on the grid and in the format of the images."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfadvseg.data.formats import dicom, raster, volumes
from tfadvseg.data.formats.dicom_seg import check_source, write_segmentation
from tfadvseg.data.geometry import slicing
from tfadvseg.data.image import Image, Source
from tfadvseg.data.io import (
    SUFFIXES,
    is_dicom,
    list_images,
    read_image,
    stem_of,
    suffix_of,
    write_mask,
)
from tfadvseg.errors import InputError
from tfadvseg.inference.predictor import SlicePredictor
from tfadvseg.inference.quality import Calibration, CaseQuality
from tfadvseg.inference.summary import QUALITY, Row, write_quality
from tfadvseg.pictures import mosaic
from tfadvseg.pictures import overlay as draw_overlay
from tfadvseg.progress import Progress, silent

LABELS = ("masks", "labelsTr", "labelsTs")  # folders beside that of the images
FORMATS = ("same", "nifti", "dicom-seg")
OVERLAYS = 12  # slices of a volume that its overlay shows

_CHANNEL = re.compile(r"(.+)_(\d{4})")  # nnU-Net's names: one file a channel


@dataclass(frozen=True)
class Outputs:
    """What `predict_files` writes.

    Attributes:
        folder: of the masks; `overlay/`, `confidence/` and `probabilities/CLASS/` lie in it.
        format: `same` as the image (DICOM: NIfTI), `nifti`, or `dicom-seg`.
        overlay: also draw the contours on the image; on some slices of a volume.
        calibration: also write, by this calibration, the chance that each pixel is right; in
            pictures 0 to 255 stand for 0 to 1. And `quality.csv`, see `write_quality`.
        probabilities: also write the probability of every class, likewise.
    """

    folder: Path
    format: str = "same"
    overlay: bool = False
    calibration: Calibration | None = None
    probabilities: bool = False


def find_inputs(
    inputs: Sequence[Path], outputs: Outputs, *, channels: int = 1, series: str | None = None
) -> list[Source]:
    """The images among files and folders; a folder of DICOM files is one image.

    Args:
        inputs: files, folders of images, folders of DICOM series.
        outputs: what will be written.
        channels: that the model takes; if several, files NAME_0000, NAME_0001, ... are gathered,
            and the fourth axis of a file holds channels.
        series: which series of DICOM folders, see `Source`.

    Raises:
        InputError: if one is missing or is no image, if two would give a mask of one name, or if
            the masks would lie among the images.
    """
    paths = [image for path in inputs for image in _expand(path)]
    sources = _gathered(paths, channels) if channels > 1 else [(path,) for path in paths]
    masks: dict[str, Path] = {}
    for files in sources:
        name, image = _name(files), files[0]
        if name in masks:
            raise InputError(
                f"{image} and {masks[name]} would both give the mask {name}; predict them into "
                "two folders"
            )
        if outputs.folder.resolve() in (image.parent.resolve(), image.resolve()):  # of a series
            raise InputError(
                f"{outputs.folder}: the masks would lie among the images and could replace them; "
                "choose another --out"
            )
        _check_labels(outputs.folder, name, image)
        masks[name] = image
    return [Source(files, series, frames_are_channels=channels > 1) for files in sources]


def _check_labels(out: Path, name: str, image: Path) -> None:
    """Refuses to replace the label of an image in the data folder that both are of."""
    out = out.resolve()
    folders = image.parent.resolve(), image.resolve().parent  # the image may be a link
    if out.name in LABELS and out.parent in [folder.parent for folder in folders]:
        label = next(out.glob(f"{glob.escape(name)}.*"), None)
        if label is not None:
            raise InputError(
                f"{label}: the label of {image} lies there and would be replaced; choose another "
                "--out"
            )


def predict_files(
    predictor: SlicePredictor,
    sources: Sequence[Source],
    outputs: Outputs,
    progress: Progress = silent,
) -> list[Row]:
    """Writes the mask of every image, and what else is asked for.

    Args:
        predictor: the model.
        sources: the images.
        outputs: what to write, where.
        progress: wraps the images to show how far it has come.

    Raises:
        InputError: if an image cannot be read, does not fit the model, or has no such format.
    """
    _maps(outputs, predictor.config.classes or ())
    for source in sources:  # all of them, before the first mask is written
        _check(predictor, source, outputs.format)
    rows = [_predict(predictor, source, outputs) for source in progress(sources, len(sources))]
    if outputs.calibration is not None:
        write_quality(outputs.folder / QUALITY, rows)
    return rows


def _check(predictor: SlicePredictor, source: Source, format: str) -> None:
    path, image = source.path, read_image(source)
    try:
        predictor.check(image)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if format == "nifti" and image.geometry is None:
        raise InputError(
            f"{path}: --format nifti needs an image that says its spacing in mm, received a "
            "picture; drop the option"
        )
    if format == "dicom-seg":
        if not is_dicom(path):
            raise InputError(f"{path}: --format dicom-seg needs DICOM images; drop the option")
        files = dicom.series_files(path, source.series)
        check_source(files, predictor.config.classes or ())


def _predict(predictor: SlicePredictor, source: Source, outputs: Outputs) -> Row:
    """Predicts one image slice by slice and writes its files."""
    image = read_image(source)
    name, grid = _name(source.files), image.geometry
    cut = slicing(grid, predictor.config.slice_axis)
    shape, classes = image.voxels.shape[:3], predictor.config.classes or ()
    mask = np.empty(shape, np.uint8)
    maps = {folder: np.empty(shape, np.float32) for folder in _maps(outputs, classes)}
    quality = CaseQuality(outputs.calibration) if outputs.calibration else None
    for part, seen in predictor.stream(image):
        cut.cut(mask)[part] = seen.masks
        chances = quality.add(seen) if quality else None
        for folder, index in _maps(outputs, classes).items():
            found = chances if index is None else seen.probabilities[..., index]
            cut.cut(maps[folder])[part] = found
    if outputs.overlay:
        pictures = _overlays(cut.cut(image.voxels), cut.cut(mask))
        raster.write_png(outputs.folder / "overlay" / f"{name}.png", pictures)
    del image  # a large volume and the writer's copy of its mask need not be there together
    _write(outputs, source, name, Image(mask, grid), classes)
    for folder, values in maps.items():
        _write_map(outputs.format, outputs.folder / folder / name, source, Image(values, grid))
    # Slice by slice: counting makes eight bytes of every voxel.
    counts = [np.bincount(plane.ravel(), minlength=len(classes)) for plane in mask]
    shares = tuple((np.sum(counts, axis=0) / mask.size).tolist())
    told = (quality.confidence(), quality.dice(classes)) if quality else ()
    size = cut.cut(mask).shape
    if grid is None and size[0] == 1:
        size = size[1:]
    return Row(name, source.path.name, size, shares, *told)


def _maps(outputs: Outputs, classes: Sequence[str]) -> dict[str, int | None]:
    """The folders of the maps that are asked for, and the class of each; None for confidence."""
    maps: dict[str, int | None] = {"confidence": None} if outputs.calibration else {}
    for index, name in enumerate(classes if outputs.probabilities else ()):
        folder = "probabilities/" + re.sub(r"[^\w.-]+", "_", name)
        if folder in maps:
            raise InputError(
                f"--probabilities: the classes {classes[maps[folder] or 0]!r} and {name!r} would "
                f"share the folder {folder}; drop the option, or train with other names"
            )
        maps[folder] = index
    return maps


def _write(
    outputs: Outputs, source: Source, name: str, mask: Image, classes: Sequence[str]
) -> None:
    if outputs.format == "dicom-seg":
        files = dicom.series_files(source.path, source.series)
        write_segmentation(outputs.folder / f"{name}.dcm", mask.voxels, files, classes)
    else:
        suffix = _suffix(outputs.format, source.path, mask)
        write_mask(outputs.folder / f"{name}{suffix}", mask)


def _write_map(format: str, path: Path, source: Source, values: Image) -> None:
    """Writes values in [0, 1]: as they are in volumes, as 0 to 255 in pictures."""
    suffix = _suffix(format, source.path, values)
    if values.geometry is None:
        values = Image(np.rint(values.voxels * 255).astype(np.uint8))
    write_mask(path.with_name(path.name + suffix), values)


def _suffix(format: str, image: Path, values: Image) -> str:
    """The ending of a file: the image's own if it is a volume, PNG for pictures, NIfTI else."""
    if format == "same" and suffix_of(image) in volumes.SUFFIXES:
        return suffix_of(image)
    if values.geometry is not None:
        return ".nii.gz"
    return ".png" if len(values.voxels) == 1 else ".tif"


def _overlays(slices: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """The contours on a picture, or on slices of a volume from its first to its last class."""
    marked = np.flatnonzero(masks.any(axis=(1, 2)))
    first, last = (marked[0], marked[-1]) if len(marked) else (0, len(slices) - 1)
    chosen = np.unique(np.linspace(first, last, OVERLAYS).round().astype(int))
    return mosaic([draw_overlay(slices[i], masks[i]) for i in chosen])


def _expand(path: Path) -> list[Path]:
    if path.is_dir():
        images = [path] if dicom.is_series_folder(path) else list_images(path)
        if not images:
            inner = path / "images"
            mend = f"; did you mean {inner}?" if inner.is_dir() else ""
            raise InputError(
                f"{path}: no image in this folder; expected a DICOM series, or files that end in "
                f"{', '.join(SUFFIXES)}{mend}"
            )
        return images
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder; expected an image or a folder of images")
    return [path]


def _gathered(paths: Sequence[Path], channels: int) -> list[tuple[Path, ...]]:
    """Files of one image together: those named as channels, if they hold one channel each."""
    groups: dict[Path, list[Path]] = {}
    for path in paths:
        found = _CHANNEL.fullmatch(stem_of(path))
        groups.setdefault(path.with_name(found.group(1)) if found else path, []).append(path)
    gathered: list[tuple[Path, ...]] = []
    for name, files in groups.items():
        if len(files) == 1 or read_image(files[0]).voxels.shape[-1] > 1:  # slices of a sequence
            gathered += [(file,) for file in files]
        elif [stem_of(file)[-4:] for file in files] == [f"{k:04d}" for k in range(channels)]:
            gathered.append(tuple(files))
        else:
            raise InputError(
                f"{name}: expected the channels _0000 to _{channels - 1:04d}, received "
                f"{', '.join(file.name for file in files)}"
            )
    return gathered


def _name(files: tuple[Path, ...]) -> str:
    stem = stem_of(files[0])
    found = _CHANNEL.fullmatch(stem)
    return found.group(1) if found and len(files) > 1 else stem
