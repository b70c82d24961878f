"""The images that can be labelled next, and those that the run has learnt from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tfadvseg.config import Config
from tfadvseg.data.folders.cases import (
    Case,
    read_data_folder,
    read_images,
    read_unlabelled_folder,
)
from tfadvseg.data.folders.text import some
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
        excluded: number of cases that are left out as the run left their patients out, being unlike
            the labelled ones.
        unlike: patients of `cases` who are unlike the labelled ones too, but were used.
    """

    cases: tuple[Case, ...]
    labelled: tuple[Case, ...]
    with_mask: int
    held_out: int
    excluded: int
    unlike: tuple[str, ...]

    def notes(self) -> list[str]:
        """In words how many cases are left out and why, and who is unlike the labelled ones."""
        lines = []
        if self.with_mask:
            lines.append(f"Images left out as they are labelled: {self.with_mask}")
        if self.held_out:
            why = "their patients validate or test the run, and may not train"
            lines.append(f"Images left out as {why}: {self.held_out}")
        if self.excluded:
            why = "the run left out their patients, who are unlike the labelled ones"
            lines.append(f"Images left out as {why}: {self.excluded}")
        if self.unlike:
            lines.append(
                "Unlike the labelled patients, from another scanner or another part of the body: "
                f"{some(self.unlike)}; look at them before you label them."
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
    config = folder.read_config()
    of_data, of_pool = _cases_of_run(config)
    labelled = _labelled(config, of_data, folder.read_json("split.json")["labelled"])
    split, outliers = folder.read_json("split.json")["patients"], folder.read_outliers()
    held_out = {*split["val"], *split["test"]}
    excluded = {*outliers["names"]} if outliers["excluded"] else set()
    known = {case.image.path.resolve() for case in labelled}
    patients = {case.image.path.resolve(): case.patient for case in (*of_pool, *of_data)}
    found = [
        replace(case, patient=patients.get(case.image.path.resolve(), case.patient))
        for case in read_images(root, **config.reading())
    ]
    without = [case for case in found if not case.mask and case.image.path.resolve() not in known]
    free = [case for case in without if case.patient not in held_out]
    cases = tuple(case for case in free if case.patient not in excluded)
    if not cases:
        raise InputError(
            f"{root}: no image to label: of {len(found)}, {len(found) - len(without)} have a mask, "
            f"{len(without) - len(free)} are of validation or test patients and "
            f"{len(free)} of patients that the run left out; add images without a mask"
        )
    named = {case.patient for case in cases}
    return Pool(
        cases,
        labelled,
        with_mask=len(found) - len(without),
        held_out=len(without) - len(free),
        excluded=len(free) - len(cases),
        unlike=tuple(name for name in outliers["names"] if name in named),
    )


def _cases_of_run(config: Config) -> tuple[Sequence[Case], Sequence[Case]]:
    """The cases of the run's data, and of its folder of unlabelled images, where still there."""
    data, pool = Path(str(config.data)), Path(str(config.unlabelled))
    cases = read_data_folder(data, **config.reading()).cases if data.exists() else ()
    if config.unlabelled is None or not pool.exists():
        return cases, ()
    return cases, read_unlabelled_folder(pool, **config.reading())


def _labelled(config: Config, of_data: Sequence[Case], names: Sequence[str]) -> tuple[Case, ...]:
    cases = {case.name: case for case in of_data}
    lost = [name for name in names if name not in cases]
    if lost:
        warnings.warn(
            f"of the {len(names)} images that the run was trained on, {len(lost)} are not in "
            f"{config.data} (seen from {Path.cwd()}): that an image is like one of these is not "
            "noticed",
            DataWarning,
            stacklevel=3,
        )
    return tuple(cases[name] for name in names if name in cases)
