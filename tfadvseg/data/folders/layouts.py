"""Where the images and masks of a data set lie: a data folder, nnU-Net, the Decathlon, or CSV."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tfadvseg.data.folders import nnunet
from tfadvseg.data.folders.description import Description
from tfadvseg.data.folders.listing import SPLITS, Entry, Listing, by_stem, paired
from tfadvseg.data.folders.text import read_table, shown, some
from tfadvseg.data.image import Source
from tfadvseg.data.io import SUFFIXES, list_images, stem_of
from tfadvseg.errors import InputError


def is_table(root: Path) -> bool:
    """Whether a data set is given by a CSV table instead of a folder."""
    return root.suffix.lower() == ".csv" and root.is_file()


def list_data(root: Path, description: Description) -> Listing:
    """Lists a data set, whatever its layout.

    Args:
        root: a folder, or a CSV table.
        description: the data set's `dataset.json`. With an object `dataset`, or with
            `channel_names` and without `images/`, it makes the folder nnU-Net's; with a list
            `training` and without `images/`, the Medical Segmentation Decathlon's.

    Raises:
        InputError: if there is none, or its parts do not fit together.
    """
    if is_table(root):
        return _list_table(root, needed=("image", "mask"))
    _check_folder(root)
    content = description.content
    raw = (root / "imagesTr").is_dir() or not (root / "images").is_dir()
    if isinstance(content.get("dataset"), dict) or (raw and "channel_names" in content):
        return nnunet.list_nnunet(root, description)
    if raw and isinstance(content.get("training"), list):
        return _list_decathlon(root, description)
    if (root / "imagesTr").is_dir() and not (root / "images").is_dir():
        raise InputError(
            f"{description.path}: expected channel_names, labels and file_ending (nnU-Net) or a "
            "list training (Medical Segmentation Decathlon), which say how imagesTr/ is read"
        )
    return _list_folder(root)


def list_pool(root: Path) -> Listing:
    """Lists images without masks: in `root/images`, directly in `root`, or in a CSV table.

    Raises:
        InputError: if there is no such folder, or no image in it.
    """
    if is_table(root):
        return _list_table(root, needed=("image",))
    _check_folder(root, "a folder of images")
    folder = root / "images" if (root / "images").is_dir() else root
    return Listing(folder, paired(_images_of(folder), {}, (folder, folder)))


def _list_folder(root: Path) -> Listing:
    folder, masks = root / "images", root / "masks"
    if not folder.is_dir():
        mend = f"did you mean {root.parent}?" if root.name == "images" else "put the images there"
        raise InputError(f"{folder}: no such folder; {mend}")
    found = by_stem(list_images(masks)) if masks.is_dir() else {}
    return Listing(folder, paired(_images_of(folder), found, (folder, masks)))


def _check_folder(root: Path, expected: str = "a folder with images/ in it") -> None:
    expected = f"expected {expected}, or a CSV table"
    if root.is_file():
        raise InputError(f"{root}: a file; {expected}")
    if not root.is_dir():
        kind = "table" if root.suffix.lower() == ".csv" else "folder"
        raise InputError(f"{root}: no such {kind}; {expected}")


def _images_of(folder: Path) -> dict[str, Source]:
    images = list_images(folder)
    if not images:
        found = sorted({path.suffix for path in folder.iterdir() if path.suffix})
        inner = [name for name in ("imagesTr", "imagesTs") if (folder / name).is_dir()]
        mend = f"; did you mean {folder / inner[0]}?" if inner else ""
        raise InputError(
            f"{folder}: no image found ({'only ' + some(found) if found else 'it is empty'}); "
            f"expected files that end in {', '.join(SUFFIXES)}{mend}"
        )
    return {stem: Source((path,)) for stem, path in by_stem(images).items()}


def _list_table(path: Path, needed: tuple[str, ...]) -> Listing:
    """Reads `image,mask[,patient][,split][,name]`; paths count from the table's folder."""
    optional = [name for name in ("mask", "patient", "split", "name") if name not in needed]
    entries = []
    for line, row in read_table(path, needed, optional):
        if not row["image"]:
            raise InputError(f"{path}, line {line}: no image; fill the column, or remove the line")
        split = row.get("split") or None
        if split not in (None, *SPLITS):
            raise InputError(
                f"{path}, line {line}: the split is {shown(split)}; expected train, val or test"
            )
        image, mask = path.parent / row["image"], row.get("mask")
        entries.append(
            Entry(
                row.get("name") or stem_of(image),
                Source((image,)),
                path.parent / mask if mask else None,
                row.get("patient") or None,
                split,
            )
        )
    return Listing(path, tuple(entries))


def _list_decathlon(root: Path, description: Description) -> Listing:
    """Reads the lists `training` and `test`; with several modalities, a file has four axes."""
    path, content = description.path, description.content
    modality, test = content.get("modality", {}), content.get("test", [])
    if not isinstance(modality, dict) or not isinstance(test, list):
        raise InputError(
            f'{path}: expected {{"modality": {{"0": NAME, ...}}, "test": [...]}}, received '
            f"{shown(json.dumps([modality, test]))}"
        )
    entries = []
    for number, item in enumerate(content["training"]):
        image, label = _training_item(path, number, item)
        if not Path(image).name.startswith("._"):  # macOS keeps its own notes under such names
            source = Source((root / image,), frames_are_channels=len(modality) > 1)
            mask = root / label if label else None
            entries.append(Entry(stem_of(root / image), source, mask))
    return Listing(path, tuple(entries), left_out=len(test))


def _training_item(path: Path, number: int, item: Any) -> tuple[str, str | None]:
    image = item.get("image") if isinstance(item, dict) else None
    label = item.get("label") if isinstance(item, dict) else None
    if not isinstance(image, str) or not image or not isinstance(label, str | None):
        raise InputError(
            f'{path}: expected in training {{"image": PATH, "label": PATH}}, received as item '
            f"{number} {shown(json.dumps(item))}"
        )
    return image, label
