"""From a resolved configuration to networks that are ready to train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import keras

from tfadvseg.config import Config
from tfadvseg.models import (
    AdversarialSegmenter,
    AttentionUNet,
    Discriminator,
    TeacherSegmenter,
    UNet,
)

Trainer = TypeVar("Trainer", bound=AdversarialSegmenter)

DECAY_POWER = 0.9  # of both learning rates, as in AdvSemiSeg
SEGMENTERS = {"unet": UNet, "attention_unet": AttentionUNet}


def build_model(config: Config) -> AdversarialSegmenter:
    """Builds and compiles what the recipe of a resolved configuration trains."""
    config = config.by_recipe()
    if config.recipe == "strong":
        return build_trainer(TeacherSegmenter, config, seed=config.seed)
    return build_trainer(
        AdversarialSegmenter,
        config,
        adversarial=config.recipe != "supervised",
        t_semi=config.t_semi,
        discriminator_fakes=config.discriminator_fakes,
    )


def build_trainer(
    trainer: type[Trainer], config: Config, *, adversarial: bool = True, **settings: Any
) -> Trainer:
    """Builds and compiles the networks of a resolved configuration for a trainer.

    The initial weights depend on the seed; those of S are the same for every trainer.

    Args:
        trainer: `AdversarialSegmenter` or a subclass.
        config: resolved.
        adversarial: whether there is a D.
        **settings: arguments of the trainer beyond those that all trainers take.
    """
    keras.utils.set_random_seed(config.seed)
    config, steps = config.by_recipe(), config.total_steps()
    settings |= {
        "lambda_adv": config.lambda_adv,
        "lambda_adv_unlabelled": config.lambda_adv_unlabelled,
        "lambda_semi": config.lambda_semi,
        "semi_start": round((config.warmup or 0) * steps),
        "ignore_label": config.ignored(),
        "averaging": config.averaging,
    }
    with arithmetic(config):  # the trainer makes a network too, that of averaged weights
        segmenter = _segmenter(config)
        discriminator: Any = _discriminator(config) if adversarial else None
        model = trainer(segmenter, discriminator, **settings)
    model.compile(
        keras.optimizers.AdamW(_decay(config.learning_rate, steps), config.weight_decay),
        model.discriminator
        and keras.optimizers.Adam(_decay(config.discriminator_learning_rate, steps), 0.9, 0.99),
    )
    return model


@contextmanager
def arithmetic(config: Config) -> Iterator[None]:
    """Networks built or loaded meanwhile compute as configured: their files do not say how."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if config.precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _segmenter(config: Config) -> keras.Model:
    return SEGMENTERS[config.model](
        len(config.classes or ()),
        channels=config.channels or 1,
        base_filters=config.base_filters,
        depth=config.depth,
        norm=config.norm,
        upsampling=config.upsampling,
        name="segmenter",
    )


def _discriminator(config: Config) -> Discriminator:
    return Discriminator(
        len(config.classes or ()),
        filters=config.discriminator_filters or (),
        strides=config.discriminator_strides,
        spectral_norm=config.discriminator_spectral_norm,
        name="discriminator",
    )


def _decay(rate: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    return keras.optimizers.schedules.PolynomialDecay(rate, steps, 0.0, power=DECAY_POWER)
