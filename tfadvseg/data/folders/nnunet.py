"""nnU-Net's raw data sets, version 2."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfadvseg.data.folders.description import Description
from tfadvseg.data.folders.listing import Entry, Listing, paired
from tfadvseg.data.folders.text import shown, some
from tfadvseg.data.formats import raster
from tfadvseg.data.image import Source
from tfadvseg.data.io import SUFFIXES, suffix_of
from tfadvseg.errors import InputError


def list_nnunet(root: Path, description: Description) -> Listing:
    """Lists the cases of a raw data set.

    Training images are `imagesTr/CASE_0000.nii.gz`, `CASE_0001.nii.gz`, ..., one file a channel,
    their masks `labelsTr/CASE.nii.gz`; or what the object `dataset` of `dataset.json` lists.
    Test images, `imagesTs`, are listed where `labelsTs` has their masks, and else left out.

    Args:
        root: folder of the data set.
        description: its `dataset.json`.

    Raises:
        InputError: if a channel is missing, a mask has no image, or `dataset.json` is wrong.
    """
    channels, ending = _channel_names(description), _file_ending(description)
    if isinstance(description.content.get("dataset"), dict):
        training = _mapped(root, description, channels)
    else:
        training = _numbered(root, "Tr", ending, channels)
    if _files(root / "labelsTs", ending):
        test = _numbered(root, "Ts", ending, channels)
        scored = tuple(replace(entry, split="test") for entry in test if entry.mask)
        left_out = len(test) - len(scored)
    else:
        scored = ()
        left_out = len(
            {f.name[: -len("_0000" + ending)] for f in _files(root / "imagesTs", ending)}
        )
    return Listing(description.path, training + scored, bool(scored), left_out)


def _channel_names(description: Description) -> list[str]:
    """The names of `channel_names` in the order of the channels' numbers."""
    names = description.content.get("channel_names")
    if not isinstance(names, dict) or not names or set(names) != set(map(str, range(len(names)))):
        raise InputError(
            f'{description.path}: expected {{"channel_names": {{"0": NAME, "1": NAME, ...}}}}, '
            f"received {shown(json.dumps(names))}"
        )
    return [str(names[str(number)]) for number in range(len(names))]


def _file_ending(description: Description) -> str:
    ending = description.content.get("file_ending")
    if not isinstance(ending, str) or ending.lower() not in SUFFIXES:
        raise InputError(
            f"{description.path}: expected as file_ending one of {', '.join(SUFFIXES)}, received "
            f"{shown(json.dumps(ending))}"
        )
    return ending


def _numbered(root: Path, part: str, ending: str, channels: list[str]) -> tuple[Entry, ...]:
    """The images of `imagesTr` or `imagesTs` with the masks of `labelsTr` or `labelsTs`."""
    folder, labels = root / f"images{part}", root / f"labels{part}"
    groups = _groups(folder, ending)
    if not all(_is_colour(tuple(files.values()), channels) for files in groups.values()):
        _check_channels(folder, groups, channels, ending)
    images = {
        name: Source(tuple(files[n] for n in sorted(files))) for name, files in groups.items()
    }
    masks = {file.name[: -len(ending)]: file for file in _files(labels, ending)}
    return paired(images, masks, (folder, labels))


def _is_colour(files: tuple[Path, ...], channels: list[str]) -> bool:
    """Whether all channels lie in one file: nnU-Net allows that for pictures in colour alone."""
    return len(channels) == 3 and len(files) == 1 and suffix_of(files[0]) in raster.SUFFIXES


def _groups(folder: Path, ending: str) -> dict[str, dict[int, Path]]:
    """The files of each case by the number of their channel."""
    files = _files(folder, ending)
    if not files:
        raise InputError(
            f"{folder}: no file that ends in {ending}, the file_ending of dataset.json"
        )
    groups: dict[str, dict[int, Path]] = {}
    unnumbered = []
    for file in files:
        found = re.fullmatch(r"(.+)_([0-9]{4})", file.name[: -len(ending)], re.DOTALL)
        if found:
            groups.setdefault(found.group(1), {})[int(found.group(2))] = file
        else:
            unnumbered.append(file.name)
    if unnumbered:
        raise InputError(
            f"{folder}: {some(unnumbered)} without the number of a channel; expected names as "
            f"CASE_0000{ending}"
        )
    return groups


def _files(folder: Path, ending: str) -> list[Path]:
    if not folder.is_dir():
        return []
    files = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in files if path.name.endswith(ending) and path.is_file())


def _check_channels(
    folder: Path, groups: dict[str, dict[int, Path]], channels: list[str], ending: str
) -> None:
    missing = [
        f"{name}_{number:04d}{ending} ({channel})"
        for name, files in groups.items()
        for number, channel in enumerate(channels)
        if number not in files
    ]
    if missing:
        raise InputError(f"{folder}: missing channels: {some(missing)}; add the files")
    surplus = [
        file.name
        for files in groups.values()
        for number, file in files.items()
        if number >= len(channels)
    ]
    if surplus:
        raise InputError(
            f"{folder}: {some(surplus)} beyond the {len(channels)} channels of dataset.json "
            f"({some(channels)}); name the channel in channel_names, or remove the files"
        )


def _mapped(root: Path, description: Description, channels: list[str]) -> tuple[Entry, ...]:
    """The cases of the object `dataset`, whose paths count from the folder."""
    cases = description.content["dataset"]
    return tuple(_mapped_case(root, description, channels, *case) for case in cases.items())


def _mapped_case(
    root: Path, description: Description, channels: list[str], name: str, case: Any
) -> Entry:
    images = case.get("images") if isinstance(case, dict) else None
    label = case.get("label") if isinstance(case, dict) else None
    texts = images if isinstance(images, list) else []
    if not texts or any(not isinstance(text, str) or not text for text in texts + [label or "-"]):
        raise InputError(
            f'{description.path}: expected as case {shown(name)} of dataset {{"images": [PATH, '
            f'...], "label": PATH}}, received {shown(json.dumps(case))}'
        )
    files = tuple(root / text for text in texts)
    if len(files) != len(channels) and not _is_colour(files, channels):
        raise InputError(
            f"{description.path}: case {shown(name)} of dataset has {len(files)} images, expected "
            f"one for each of the channels {some(channels)}"
        )
    return Entry(name, Source(files), root / label if label else None)
