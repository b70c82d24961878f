"""The images of a data set by name, before anything is known of their patients."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfadvseg.data.folders.text import shown, some
from tfadvseg.data.image import Source
from tfadvseg.data.io import stem_of
from tfadvseg.errors import InputError

SPLITS = ("train", "val", "test")

# Names become those of the files that prediction writes; and they must survive any encoding.
_NO_NAME = re.compile(r"\.{0,2}|.*[/\\\x00-\x1f\x7f\ud800-\udfff].*", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """One image as its layout lists it."""

    name: str
    image: Source
    mask: Path | None = None
    patient: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Listing:
    """The images of a data set as its layout lists them.

    Attributes:
        named_by: the folder or the file that names the images.
        entries: the images.
        own_test: the images of the split `test` are test images by the layout, so never train.
        left_out: number of test images that are not among `entries`, for want of a mask.
    """

    named_by: Path
    entries: tuple[Entry, ...]
    own_test: bool = False
    left_out: int = 0

    def check(self) -> None:
        """Refuses names that are used twice or are none, files used twice, and missing files.

        Raises:
            InputError: naming the first ones.
        """
        if not self.entries:
            raise InputError(f"{self.named_by}: it names no image; expected one or more")
        _check_names(self.entries, self.named_by)
        _check_used_once(self.entries, self.named_by)
        _check_files(self.entries, self.named_by)


def by_stem(paths: Sequence[Path]) -> dict[str, Path]:
    """Files by their name without ending.

    Raises:
        InputError: if two have one name.
    """
    stems: dict[str, Path] = {}
    for path in paths:
        stem = stem_of(path)
        if stem in stems:
            raise InputError(
                f"{path}: the same name as {stems[stem].name}; a mask could belong to "
                "either, rename one"
            )
        stems[stem] = path
    return stems


def paired(
    images: Mapping[str, Source], masks: Mapping[str, Path], folders: tuple[Path, Path]
) -> tuple[Entry, ...]:
    """Images with the masks of their names.

    Args:
        images: by name.
        masks: by name.
        folders: of the images and of the masks.

    Raises:
        InputError: if a mask has no image.
    """
    orphans = sorted(set(masks) - set(images))
    if orphans:
        raise InputError(
            f"{folders[1]}: {some(orphans)} without an image of that name in {folders[0].name}/; "
            "add the image or remove the mask"
        )
    return tuple(Entry(name, image, masks.get(name)) for name, image in images.items())


def _check_names(entries: Sequence[Entry], named_by: Path) -> None:
    first: dict[str, Entry] = {}
    for entry in entries:
        if _NO_NAME.fullmatch(entry.name):
            raise InputError(
                f"{named_by}: {entry.name!r} cannot be the name of a case, which becomes that of "
                "a file; rename it"
            )
        other = first.setdefault(entry.name, entry)
        if other is not entry:
            raise InputError(
                f"{named_by}: two images have the name {entry.name}, {_text(other, named_by)} and "
                f"{_text(entry, named_by)}; rename one, or use a CSV table with a column name"
            )


def _check_used_once(entries: Sequence[Entry], named_by: Path) -> None:
    first: dict[Path, Entry] = {}
    for entry in entries:
        for file in entry.image.files:
            other = first.setdefault(file, entry)
            if other is not entry:
                raise InputError(
                    f"{named_by}: {other.name} and {entry.name} are the same file, "
                    f"{relative(file, named_by)}; remove one"
                )


def _check_files(entries: Sequence[Entry], named_by: Path) -> None:
    files = [file for e in entries for file in (*e.image.files, e.mask) if file is not None]
    missing = [relative(file, named_by) for file in files if not os.path.exists(file)]
    if missing:
        count = f"{len(missing)} files are" if missing[1:] else "1 file is"
        raise InputError(
            f"{named_by}: {count} missing: {some(missing)}; add them, or remove their cases"
        )


def relative(file: Path, named_by: Path) -> str:
    """A file as the layout that names it would write it."""
    return str(file.relative_to(named_by.parent) if named_by.parent in file.parents else file)


def _text(entry: Entry, named_by: Path) -> str:
    return shown(relative(entry.image.path, named_by))
