"""Rounds: the steps of a run between two validations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tfadvseg.config import Config
from tfadvseg.health import SEMI
from tfadvseg.recipes import USE_UNLABELLED


@dataclass(frozen=True)
class Round:
    """Steps from `start` to `stop` in one stage, then validation and a checkpoint."""

    start: int
    stop: int
    stage: str


def rounds(config: Config, start: int = 0) -> Iterator[Round]:
    """The rounds from a step to the end; they meet where the semi-supervised stage begins."""
    total, warmup = config.total_steps(), config.by_recipe().warmup or 0
    every = config.validate_every or max(50, math.ceil(total / 20))
    switch = round(warmup * total) if config.recipe in USE_UNLABELLED else total
    ends = sorted({*range(every, total, every), switch, total} - {0})
    for stop in ends:
        if stop > start:
            adversarial = "supervised" if config.recipe == "supervised" else "adversarial"
            yield Round(start, stop, SEMI if start >= switch else adversarial)
            start = stop


def uses_unlabelled(config: Config, stage: str) -> bool:
    """Whether unlabelled images take part; before their stage only if D or L_adv takes them."""
    early = config.lambda_adv_unlabelled > 0 or config.discriminator_fakes == "both"
    return config.recipe in USE_UNLABELLED and (stage == SEMI or early)
