"""The images that can be labelled next, and those that the run has learnt from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfadvseg.data.folders.cases import Case, read_data_folder, read_images
from tfadvseg.errors import DataWarning, InputError
from tfadvseg.run_folder import RunFolder


@dataclass(frozen=True)
class Pool:
    """Cases to choose from.

    Attributes:
        cases: without a mask, at least one.
        labelled: what the run was trained on; empty where its data is no longer there.
        with_mask: number of cases that are left out as they have a mask.
        held_out: number of cases that are left out as their patients validate or test the run:
            their labels would not train.
    """

    cases: tuple[Case, ...]
    labelled: tuple[Case, ...]
    with_mask: int
    held_out: int

    def left_out(self) -> list[str]:
        """In words how many cases are left out, and why."""
        lines = []
        if self.with_mask:
            lines.append(f"{self.with_mask} images are left out: they are labelled.")
        if self.held_out:
            lines.append(
                f"{self.held_out} images are left out: they are of validation or test patients, "
                "on whom no model may train."
            )
        return lines


def find_pool(run: Path, root: Path) -> Pool:
    """Finds the images of a data folder, or of a folder of images, that have no label.

    Args:
        run: the run folder, whose settings tell how files are read and whose split who is held out.
        root: see `read_images`.

    Raises:
        InputError: if there is no such run or folder, or if every image has a mask.
    """
    folder = RunFolder(run)
    reading = folder.read_config().reading()
    labelled = _labelled(folder)
    known = {case.image.path.resolve() for case in labelled}
    patients = folder.read_json("split.json")["patients"]
    held_out = {*patients["val"], *patients["test"]}
    found = read_images(root, **reading)
    without = [case for case in found if not case.mask and case.image.path.resolve() not in known]
    cases = tuple(case for case in without if case.patient not in held_out)
    if not cases:
        raise InputError(
            f"{root}: no image to label: of {len(found)}, {len(found) - len(without)} have a mask "
            f"and {len(without)} are of validation or test patients; add images without a mask"
        )
    return Pool(cases, labelled, len(found) - len(without), len(without) - len(cases))


def _labelled(folder: RunFolder) -> tuple[Case, ...]:
    config = folder.read_config()
    root, names = Path(str(config.data)), folder.read_json("split.json")["labelled"]
    found: Sequence[Case] = ()
    if root.exists():
        found = read_data_folder(root, **config.reading()).cases
    cases = {case.name: case for case in found}
    lost = [name for name in names if name not in cases]
    if lost:
        warnings.warn(
            f"{len(lost)} of the {len(names)} images that the run was trained on are not in "
            f"{root} (seen from {Path.cwd()}): that an image is like one of them is not seen",
            DataWarning,
            stacklevel=3,
        )
    return tuple(cases[name] for name in names if name in cases)
