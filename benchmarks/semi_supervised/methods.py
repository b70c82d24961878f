"""The methods that are compared: what each sets, and how its model is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from benchmarks.semi_supervised.ablations import (
    FixedThreshold,
    HarderIntensities,
    MovedTeacher,
    NoisyMaps,
    OwnTeacher,
    SegmenterAlone,
    WithoutBoxes,
    WithoutDice,
    WithoutIntensities,
    WithoutQuotas,
    WithoutWaiting,
)
from benchmarks.semi_supervised.fixmatch import FixMatch
from benchmarks.semi_supervised.mean_teacher import MeanTeacher
from tfadvseg.building import build_model, build_trainer
from tfadvseg.config import Config, parse_assignment
from tfadvseg.errors import InputError
from tfadvseg.models import AdversarialSegmenter, TeacherSegmenter
from tfadvseg.training.pseudo_labels import Examiner

# The D that recipe `strong` finds for itself, whatever the configuration has for recipe `paper`.
STRONG = {"recipe": "strong", "discriminator_filters": None}
# Unlabelled images from the first step on; recipe `paper` stands for nothing more than these.
BASELINE = {"recipe": "paper", "warmup": 0.0}


@dataclass(frozen=True)
class Method:
    """One way to learn from the same data.

    Attributes:
        settings: of the configuration; all others are the same for every method.
        build: makes and compiles the model.
        examiner: judges the pseudo-labels of a teacher.
    """

    settings: Mapping[str, Any]
    build: Callable[[Config], AdversarialSegmenter] = build_model
    examiner: type[Examiner] = Examiner


def mean_teacher(config: Config) -> MeanTeacher:
    """S alone; the weight of consistency grows over the whole run, as in UA-MT."""
    settings = {"rampup_steps": config.total_steps(), "seed": config.seed}
    return build_trainer(MeanTeacher, config, adversarial=False, **settings)


def fixmatch(config: Config, **settings: bool) -> FixMatch:
    """S alone."""
    own = {"t_semi": config.t_semi, "seed": config.seed}
    return build_trainer(FixMatch, config, adversarial=False, **own, **settings)


def teacher(config: Config, *, trainer: type[TeacherSegmenter]) -> TeacherSegmenter:
    """Recipe strong with another trainer."""
    return build_trainer(trainer, config, seed=config.seed)


def _with(trainer: type[TeacherSegmenter]) -> Method:
    return Method(STRONG, partial(teacher, trainer=trainer))


def _fixmatch(**settings: bool) -> Method:
    decided = {**BASELINE, "lambda_semi": 1.0, "t_semi": 0.95}
    return Method(decided, partial(fixmatch, **settings))


METHODS = {
    "supervised_batch": Method({"recipe": "supervised", "norm": "batch"}),
    "supervised_instance": Method({"recipe": "supervised", "norm": "instance"}),
    "adversarial": Method({"recipe": "adversarial"}),
    "paper": Method({"recipe": "paper"}),
    "strong": Method(STRONG),
    "mean_teacher": Method({**BASELINE, "lambda_semi": 0.1}, mean_teacher),
    "fixmatch": _fixmatch(),
    "fixmatch_own_intensities": _fixmatch(own_intensities=True),
    "unimatch": _fixmatch(features=True),
    "unimatch_own_intensities": _fixmatch(features=True, own_intensities=True),
    # Recipe strong without a part of it
    "strong_without_d": Method({**STRONG, "lambda_adv": 0.0}, examiner=SegmenterAlone),
    "strong_without_d_in_trust": Method(STRONG, examiner=SegmenterAlone),
    "strong_without_boxes": _with(WithoutBoxes),
    "strong_without_intensities": _with(WithoutIntensities),
    "strong_without_dice": _with(WithoutDice),
    "strong_without_quotas": _with(WithoutQuotas),
    "strong_without_waiting": _with(WithoutWaiting),
    "strong_fixed_threshold": Method(STRONG, examiner=FixedThreshold),
    "strong_own_teacher": _with(OwnTeacher),
    "strong_moved_teacher": _with(MovedTeacher),
    # and with a part more
    "strong_harder_intensities": _with(HarderIntensities),
    "strong_noisy_maps": _with(NoisyMaps),
    "strong_spectral_norm": Method({**STRONG, "discriminator_spectral_norm": True}),
}


def find_method(name: str) -> Method:
    """A method by its name, or a variant: `mean_teacher+lambda_semi=1`.

    Raises:
        InputError: if there is none.
    """
    base, *changes = name.split("+")
    if base not in METHODS:
        raise InputError(f"--methods: expected some of {', '.join(METHODS)}, received {base!r}")
    method = METHODS[base]
    return replace(method, settings=dict(method.settings) | dict(map(parse_assignment, changes)))
