"""Everything that can be wrong is found here, before a network is built."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfadvseg.config import DEFAULT_WINDOW, Config
from tfadvseg.data.checks.facts import CaseFacts, inspect_all
from tfadvseg.data.checks.faults import find_errors
from tfadvseg.data.checks.findings import Finding, by_part, class_names, lines, unusable
from tfadvseg.data.checks.oddities import find_warnings
from tfadvseg.data.folders.cases import (
    Case,
    DataFolder,
    check_pool,
    read_data_folder,
    read_unlabelled_folder,
)
from tfadvseg.data.folders.split import Split, patients_of, split_cases
from tfadvseg.data.folders.text import some
from tfadvseg.errors import DataWarning, InputError
from tfadvseg.progress import Progress, silent
from tfadvseg.recipes import USE_UNLABELLED
from tfadvseg.windows import BY_CHANNEL, Window, limits


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
    folder = read_data_folder(Path(str(config.data)), **config.reading())
    pool: Sequence[Case] = ()
    if config.unlabelled is not None:
        check_pool(folder.root, Path(config.unlabelled))
        pool = read_unlabelled_folder(Path(config.unlabelled), **config.reading())
        if config.recipe not in USE_UNLABELLED:
            warnings.warn(
                f"recipe {config.recipe} uses no unlabelled image: {config.unlabelled} is not read",
                DataWarning,
                stacklevel=2,
            )
    idle = {
        "exclude_outliers": config.exclude_outliers,
        "lambda_adv_unlabelled": config.lambda_adv_unlabelled,
        "discriminator_fakes": config.discriminator_fakes == "both",
    }
    for name in (name for name, given in idle.items() if given):
        if config.recipe not in USE_UNLABELLED:
            warnings.warn(
                f"recipe {config.recipe} uses no unlabelled image: {name} has no effect",
                DataWarning,
                stacklevel=2,
            )
    split = split_cases(folder, pool, config)
    if config.recipe in USE_UNLABELLED and not split.unlabelled:
        raise InputError(
            f"recipe {config.recipe}: there is no unlabelled image; use --recipe adversarial, or "
            "give --unlabelled DIR, or hide labels with --set labelled_fraction=0.5"
        )
    if config.recipe == "strong" and not split.val:
        several = len({case.patient for case in folder.cases if case.mask}) > 1
        mend = "set val_patients to 1 or more" if several else "label a second patient"
        raise InputError(
            "recipe strong: its thresholds are found on labelled patients that S does not train "
            f"on, and there is no validation patient; {mend}, or take --recipe paper"
        )
    config = config.by_recipe().replace(
        classes=config.classes or folder.classes,
        ignore_label=folder.ignore_label if config.ignore_label is None else config.ignore_label,
        window=config.window or folder.window or window_of(folder.cases),
    )
    config = config.replace(ignore_label=config.ignored())
    facts, labelled = _check(split, config, progress), set(split.labelled)
    config = config.replace(
        **_discriminator([fact for fact in facts if fact.case in labelled], config),
        classes=class_names(facts, config.classes, config.ignored()),
        channels=facts[0].channels,
        steps=config.total_steps(sum(f.size[0] for f in facts if f.case in labelled)),
        epochs=None,
    )
    _warn_of_unjudged(facts, split, config)
    return config, split


def window_of(cases: Sequence[Case]) -> Window | None:
    """The window of images of which nobody says one; None for the usual one."""
    return BY_CHANNEL if any(case.image.has_scales for case in cases) else None


def smallest_extent(facts: Sequence[CaseFacts], config: Config) -> float:
    """Diameter of the smallest class, in pixels of the networks.

    That of a circle with the class's average area in the slices of a case that show it; the median
    over the cases. Where nothing is shown, the side of the images.

    Args:
        facts: of cases with masks.
        config: how the networks see the images.
    """
    from tfadvseg.data.preprocess import Preprocessing  # TensorFlow, which checks do without

    preprocessing, extents = Preprocessing.from_config(config), defaultdict(list)
    for fact in facts:
        steps = preprocessing.steps(fact.size[1:], (fact.spacing_mm or (1, 1, 1))[1:]).numpy()
        for index, area in fact.areas.items():
            if index not in (0, config.ignored()):
                extents[index].append(math.sqrt(4 / math.pi * area / float(steps.prod())))
    medians = (float(np.median(values)) for values in extents.values())
    return min(medians, default=float(min(config.size())))


def check_cases(cases: Sequence[Case], config: Config, progress: Progress = silent) -> None:
    """Checks files against a resolved configuration: readable, of one grid, classes, channels.

    Args:
        cases: with or without masks.
        config: resolved, as that of a run is.
        progress: wraps the cases to show how far reading has come.

    Raises:
        InputError: naming the files that do not fit.
    """
    facts, broken = inspect_all(cases, progress, config.slice_axis)
    errors = find_errors(
        {"test": facts},
        classes=config.classes,
        ignore_label=config.ignored(),
        channels=config.channels,
    )
    _refuse((*unusable(broken), *errors, *_without_spacing(facts, config)))


def check_alike(data: DataFolder, config: Config) -> None:
    """Refuses masks in which an index means another class than in the run, where both have names.

    Warns of other names, which may mean the same, and of a window that is not the run's.

    Args:
        data: other data than the run's.
        config: the settings of the run.

    Raises:
        InputError: if a class of the run has another index there.
    """
    names, theirs = config.classes or (), data.classes or ()
    moved = [name for name in theirs if name in names and theirs.index(name) != names.index(name)]
    if moved:
        raise InputError(
            f"{data.root}: expected the classes in the order of the run, {some(names)}, received "
            f"{some(theirs)}; write the masks with the indices of the run"
        )
    if any(one != other for one, other in zip(theirs, names, strict=False)):
        text = f"{data.root}: the classes {some(theirs)} are taken for the run's, {some(names)}"
        warnings.warn(text, DataWarning, stacklevel=3)
    used = config.window or DEFAULT_WINDOW
    if data.window is not None and limits(data.window) != limits(used):
        text = (
            f"{data.root}: its window, {data.window}, is not used: the run was trained with {used}"
        )
        warnings.warn(text, DataWarning, stacklevel=3)


def _discriminator(facts: Sequence[CaseFacts], config: Config) -> dict[str, Any]:
    """The layers of recipe strong's D, where they are not given, from facts of labelled cases."""
    if config.discriminator_filters is not None:
        return {}
    from tfadvseg.models.discriminator import layers_for

    extent = smallest_extent(facts, config)
    return {"discriminator_filters": layers_for(extent, config.base_filters)}


def _check(split: Split, config: Config, progress: Progress) -> list[CaseFacts]:
    """Refuses cases that cannot be used, and warns of odd ones."""
    cases = (*split.labelled, *split.val, *split.test)
    if config.recipe in USE_UNLABELLED:
        cases += split.unlabelled
    facts, broken = inspect_all(cases, progress, config.slice_axis)
    parts = by_part(split, facts)
    what = {"classes": config.classes, "ignore_label": config.ignored()}
    errors = find_errors(parts, channels=config.channels, **what)  # type: ignore[arg-type]
    _refuse((*unusable(broken), *errors, *_without_spacing(facts, config)))
    odd = find_warnings(parts, **what)  # type: ignore[arg-type]
    for line in lines([*odd, *_larger_than_the_window(facts, config)]):
        warnings.warn(line, DataWarning, stacklevel=3)
    return facts


def _warn_of_unjudged(facts: Sequence[CaseFacts], split: Split, config: Config) -> None:
    """Says what is not known where validation patients show no class, or not all of them."""

    def shown(cases: Sequence[Case]) -> set[int]:
        wanted, others = set(cases), {0, config.ignored()}
        every = {index for fact in facts if fact.case in wanted for index in fact.labels or ()}
        return every - others

    judged = shown(split.val)
    if split.val and not judged:
        text = (
            f"no class in any mask of the validation patients ({some(patients_of(split.val))}): "
            "nothing tells which model is the best, so best.keras will be the last; take others "
            "by val_patients"
        )
        warnings.warn(text, DataWarning, stacklevel=3)
    unjudged = sorted(shown(split.labelled) - judged)
    if judged and unjudged:
        names = some([(config.classes or ())[index] for index in unjudged])
        text = f"{names}: in no mask of the validation patients, so it has no part in best.keras"
        if config.recipe == "strong":
            text += ", nor in what recipe strong trusts: unlabelled images will not teach it"
        text += "; take validation patients who show it"
        warnings.warn(text, DataWarning, stacklevel=3)


def _refuse(errors: Sequence[Finding]) -> None:
    if errors:
        raise InputError(" | ".join(lines(errors)))


def _without_spacing(facts: Sequence[CaseFacts], config: Config) -> list[Finding]:
    wrong = [fact for fact in facts if fact.spacing_mm is None]
    if config.spacing_mm is None or not wrong:
        return []
    text = (
        f"spacing_mm: {len(wrong)} images do not say their pixel size in mm, such as "
        f"{wrong[0].case.image.path}; drop the setting, or save them as NIfTI, MHA or NRRD"
    )
    return [Finding("spacing", text)]


def _larger_than_the_window(facts: Sequence[CaseFacts], config: Config) -> list[Finding]:
    """With a pixel size wished for, the networks see a part of the image only."""
    pixel, size = config.pixel_size(), config.size()
    if pixel is None:
        return []
    seen = [pixel[i] * size[i] for i in (0, 1)]
    cut = [
        fact
        for fact in facts
        if fact.spacing_mm
        and any(fact.size[1 + i] * fact.spacing_mm[1 + i] > seen[i] + pixel[i] for i in (0, 1))
    ]
    text = (
        f"{len(cut)} of {len(facts)} images are larger than the {seen[0]:g}x{seen[1]:g} mm that "
        "the networks see; what lies outside becomes background: raise image_size or spacing_mm"
    )
    return [Finding("window", text)] if cut else []
