"""What each recipe decides: what it fills in, and which settings it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfadvseg.errors import InputError

if TYPE_CHECKING:  # it imports this module
    from tfadvseg.config import Config

RECIPES = ("supervised", "adversarial", "paper", "strong")
USE_UNLABELLED = ("paper", "strong")
# What a setting that is not given becomes.
_STRONG: dict[str, Any] = {"lambda_semi": 1.0, "t_semi": "auto", "warmup": 0.1}
_PAPER: dict[str, Any] = {
    "lambda_semi": 0.1,
    "t_semi": 0.2,
    "warmup": 0.3,
    "discriminator_filters": (64, 128, 256, 512, 512),
}


def defaults(recipe: str) -> dict[str, Any]:
    """The settings that a recipe fills in where they are not given."""
    return _STRONG if recipe == "strong" else _PAPER


def check(config: Config) -> None:
    """Refuses settings that do not go with the recipe, or with each other under it.

    Raises:
        InputError: naming the setting.
    """
    _check_discriminator(config)
    if isinstance(config.t_semi, str) and config.t_semi != "auto":
        raise InputError(f"t_semi: expected a number or auto, received {config.t_semi!r}")
    if config.recipe == "strong":
        _check_strong(config)
    elif config.t_semi == "auto":
        raise InputError(
            f"t_semi: auto is of recipe strong, received recipe {config.recipe}; give a number "
            "from 0 to 1, or take --recipe strong"
        )


def _check_discriminator(config: Config) -> None:
    """Refuses strides that do not belong to the filters."""
    strides, filters = config.discriminator_strides, config.discriminator_filters
    if filters is None and config.recipe == "strong":
        if strides != 2:
            raise InputError(
                f"discriminator_strides: recipe strong chooses layers of stride 2, received "
                f"{strides} without discriminator_filters; give these too, or drop it"
            )
        return
    layers = len(filters or _PAPER["discriminator_filters"]) + 1
    if isinstance(strides, tuple) and len(strides) != layers:
        raise InputError(
            f"discriminator_strides: expected one number or {layers} (a layer each, the last "
            f"included), received {len(strides)}"
        )


def _check_strong(config: Config) -> None:
    """Refuses what recipe strong decides itself."""
    if config.t_semi not in (None, "auto"):
        raise InputError(
            f"t_semi: recipe strong finds its thresholds, received {config.t_semi}; drop it, or "
            "take --recipe paper"
        )
    if config.averaging == 0:
        raise InputError(
            "averaging: recipe strong is taught by averaged weights, received 0; drop it"
        )
    if config.unlabelled_batch_size < 2:
        raise InputError(
            "unlabelled_batch_size: recipe strong pastes pieces of one unlabelled image into "
            f"another, expected 2 or more, received {config.unlabelled_batch_size}"
        )
    if config.lambda_adv_unlabelled > 0:
        raise InputError(
            "lambda_adv_unlabelled: recipe strong has no such loss, received "
            f"{config.lambda_adv_unlabelled}; drop it, or take --recipe paper"
        )
    if config.discriminator_fakes != "labelled":
        raise InputError(
            "discriminator_fakes: recipe strong's D learns from both kinds of images anyway, "
            f"received {config.discriminator_fakes!r}; drop it, or take --recipe paper"
        )
