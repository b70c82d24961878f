"""Rounds: the steps of a run between two validations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tfadvseg.config import Config
from tfadvseg.recipes import USE_UNLABELLED


@dataclass(frozen=True)
class Round:
    """Steps from `start` to `stop` in one stage, then validation and a checkpoint."""

    start: int
    stop: int
    stage: str


def rounds(config: Config, start: int = 0) -> Iterator[Round]:
    """The rounds from a step to the end; they meet where the semi-supervised stage begins."""
    total, warmup = config.total_steps(0), config.by_recipe().warmup or 0
    every = config.validate_every or max(50, math.ceil(total / 20))
    switch = round(warmup * total) if config.recipe in USE_UNLABELLED else total
    ends = sorted({*range(every, total, every), switch, total} - {0})
    for stop in ends:
        if stop > start:
            adversarial = "supervised" if config.recipe == "supervised" else "adversarial"
            yield Round(start, stop, "semi-supervised" if start >= switch else adversarial)
            start = stop
