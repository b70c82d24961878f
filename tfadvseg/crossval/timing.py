"""How long a sweep will take: by the runs that are finished, else by a few steps of each kind."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from tfadvseg.building import build_model
from tfadvseg.config import Config
from tfadvseg.crossval.folder import SweepFolder
from tfadvseg.crossval.plan import Plan, Run
from tfadvseg.data.pipeline import Pool, training_stream
from tfadvseg.inference.predictor import Predictor
from tfadvseg.models import AdversarialSegmenter
from tfadvseg.models.discriminator import layers_for
from tfadvseg.training import rounds
from tfadvseg.training.rounds import uses_unlabelled

TIMED_STEPS = 3
LONG_STEP = 2.0  # seconds; of such a step one is enough
TIMED_SLICES = 8


@dataclass(frozen=True)
class Estimate:
    """How long the runs of a sweep that are not finished will take.

    Attributes:
        seconds: of all of them, one after another.
        finished: number of finished runs that this is known from; 0 where all was measured.
    """

    seconds: float
    finished: int


def estimate(plan: Plan, folder: SweepFolder) -> Estimate:
    """Estimates the time for the runs of a plan that are not finished.

    Runs of one recipe and model take equally long, as their steps are the same: what finished ones
    took counts, else a few steps and predictions on random images are timed. Start-up and reading
    of the data are not in the latter.

    Args:
        plan: all runs.
        folder: of the sweep, which may not exist yet.
    """
    durations = folder.read("durations.json")
    kinds: dict[tuple[str, str], list[Run]] = {}
    for run in plan.trainings.values():
        kinds.setdefault((run.trained_as, run.model), []).append(run)
    seconds, finished = 0.0, 0
    for runs in kinds.values():
        left = sum(1 - folder.share(run.name, plan.config.total_steps()) for run in runs)
        known = [durations[run.name] for run in runs if run.name in durations]
        if left:
            seconds += left * (fmean(known) if known else _measured(plan, runs[0]))
            finished += len(known)
    return Estimate(seconds, finished)


def _measured(plan: Plan, run: Run) -> float:
    """Seconds of training, validation and evaluation of a run, from a few steps of it."""
    config, fold = _with_discriminator(plan.config_of(run)), plan.folds[run.fold]
    model, parts = build_model(config), list(rounds(config))
    stages = dict.fromkeys(part.stage for part in parts)  # each once, in order: rounds are many
    steps = {stage: _seconds_a_step(model, config, stage) for stage in stages}
    slices = len(parts) * sum(plan.images[patient] for patient in fold.val)
    slices += sum(plan.images.get(patient, 0) for patient in fold.test)
    training = sum((part.stop - part.start) * steps[part.stage] for part in parts)
    return training + slices * _seconds_a_slice(Predictor(model, config))


def _with_discriminator(config: Config) -> Config:
    """Recipe strong's D depends on the masks of each run, which are not read here: the deepest."""
    if config.recipe != "strong" or config.discriminator_filters is not None:
        return config
    filters = layers_for(min(config.size()), config.base_filters)
    return config.replace(discriminator_filters=filters)


def _seconds_a_step(model: AdversarialSegmenter, config: Config, stage: str) -> float:
    rng = np.random.default_rng(0)
    shape = (TIMED_SLICES, *config.size())
    images = rng.random((*shape, config.channels or 1), np.float32)
    masks = rng.integers(0, len(config.classes or ()), shape, np.uint8)
    stream = training_stream(
        Pool(images, masks),
        Pool(images) if uses_unlabelled(config, stage) else None,
        batch_size=config.batch_size,
        unlabelled_batch_size=config.unlabelled_batch_size,
        augmentations=config.augment,
        views=model.takes_views,
        seed=config.seed,
    )(0)

    def timed(steps: int) -> float:
        began = time.perf_counter()
        model.fit(stream, steps_per_epoch=steps, verbose=0, shuffle=False)
        return (time.perf_counter() - began) / steps

    timed(1)  # traces the graph
    one = timed(1)
    return one if one > LONG_STEP else timed(TIMED_STEPS)


def _seconds_a_slice(predictor: Predictor) -> float:
    config = predictor.config
    slices = np.zeros((TIMED_SLICES, *config.size(), config.channels or 1), np.uint8)
    spacing = config.pixel_size()
    predictor(slices, spacing)  # traces the graph
    began = time.perf_counter()
    predictor(slices, spacing)
    return (time.perf_counter() - began) / TIMED_SLICES
