"""Everything that can be wrong is found here, before a network is built."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfadvseg.config import Config
from tfadvseg.data.cases import Case, read_data_folder, read_unlabelled_folder
from tfadvseg.data.io import read_image, read_mask
from tfadvseg.data.split import Split, split_cases
from tfadvseg.errors import DataWarning, InputError
from tfadvseg.progress import Progress, silent


@dataclass(frozen=True)
class Facts:
    """What one case's files are: channels, and the class indices of its mask."""

    case: Case
    channels: int
    labels: frozenset[int]


def prepare(config: Config, progress: Progress = silent) -> tuple[Config, Split]:
    """Reads every file once, splits the cases, and fills in what the data decides.

    Args:
        config: with `data` set.
        progress: wraps the cases to show how far reading has come.

    Returns:
        The configuration with classes, channels, ignore label, window and steps resolved, and
        the split.

    Raises:
        InputError: for whatever is wrong with the data, or with the data for this configuration.
    """
    folder = read_data_folder(Path(str(config.data)), config.patient_pattern)
    pool: Sequence[Case] = ()
    if config.unlabelled is not None:
        pool = read_unlabelled_folder(Path(config.unlabelled), config.patient_pattern)
        if config.recipe != "paper":
            warnings.warn(
                f"recipe {config.recipe} uses no unlabelled image: {config.unlabelled} is not read",
                DataWarning,
                stacklevel=2,
            )
    split = split_cases(folder, pool, config)
    if config.recipe == "paper" and not split.unlabelled:
        raise InputError(
            "recipe paper: there is no unlabelled image; use --recipe adversarial, or give "
            "--unlabelled DIR, or hide labels with --set labelled_fraction=0.5"
        )
    cases = (*split.labelled, *split.val, *split.test)
    if config.recipe == "paper":
        cases += split.unlabelled
    config = config.replace(
        classes=config.classes or folder.classes,
        ignore_label=folder.ignore_label if config.ignore_label is None else config.ignore_label,
        window=config.window or folder.window,
    )
    config = config.replace(ignore_label=config.ignored())
    facts = _read_all(cases, progress)
    config = config.replace(
        classes=_classes(config, facts),
        channels=_channels(config, facts),
        steps=config.total_steps(len(split.labelled)),
        epochs=None,
    )
    return config, split


def check_cases(cases: Sequence[Case], config: Config) -> None:
    """Checks files against a resolved configuration: readable, of one size, classes, channels.

    Raises:
        InputError: naming the first file that does not fit.
    """
    facts = _read_all(cases, silent)
    _classes(config, facts)
    _channels(config, facts)


def _read_all(cases: Sequence[Case], progress: Progress) -> list[Facts]:
    """Reads every file; all that cannot be used are named together."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        results = list(progress(threads.map(_read, cases), len(cases)))
    problems = [result for result in results if isinstance(result, InputError)]
    if problems:
        others = [str(problem).split(":")[0] for problem in problems[1:6]]
        more = f" (and {len(problems) - 1} more: {', '.join(others)})" if others else ""
        raise InputError(f"{problems[0]}{more}")
    return [result for result in results if isinstance(result, Facts)]


def _read(case: Case) -> Facts | InputError:
    try:
        image = read_image(case.image)
        if case.mask is None:
            return Facts(case, image.shape[2], frozenset())
        mask = read_mask(case.mask)
        if mask.shape != image.shape[:2]:
            raise InputError(
                f"{case.mask}: the mask is {mask.shape[1]}x{mask.shape[0]} pixels, its image "
                f"{image.shape[1]}x{image.shape[0]}; expected the same size"
            )
        return Facts(case, image.shape[2], frozenset(np.unique(mask).tolist()))
    except InputError as error:
        return error


def _classes(config: Config, facts: Sequence[Facts]) -> tuple[str, ...]:
    """The class names, checked against the masks; without names, as many as the masks show."""
    ignored = config.ignore_label
    highest = max((label for f in facts for label in f.labels if label != ignored), default=0)
    if config.classes is None:
        if highest < 1:
            raise InputError(f"{config.data}: every mask is empty; expected a class index above 0")
        return ("background", *(f"class {index}" for index in range(1, highest + 1)))
    for f in facts:
        beyond = [x for x in f.labels if x >= len(config.classes) and x != ignored]
        if beyond:
            raise InputError(
                f"{f.case.mask}: class index {max(beyond)} is beyond the {len(config.classes)} "
                f"classes ({', '.join(config.classes)}); mend the mask, or name all classes in "
                "dataset.json"
            )
    return config.classes


def _channels(config: Config, facts: Sequence[Facts]) -> int:
    expected = config.channels or facts[0].channels
    for f in facts:
        if f.channels != expected:
            raise InputError(
                f"{f.case.image}: {f.channels} channel(s), expected {expected} as in "
                f"{facts[0].case.image.name}; convert it"
            )
    return expected
