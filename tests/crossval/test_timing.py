"""The time that a sweep is said to take."""

from tfadvseg.building import build_model
from tfadvseg.config import Config
from tfadvseg.crossval.timing import _with_discriminator


def test_recipe_strong_is_timed_with_a_discriminator_though_its_masks_are_not_read():
    settings = {"classes": ("background", "a"), "channels": 1, "base_filters": 4, "steps": 1}
    config = _with_discriminator(Config(recipe="strong", image_size=64, **settings))
    assert config.discriminator_filters == (8, 16, 32, 64, 128)  # as the largest class would have
    assert build_model(config).discriminator.reduction == 32


def test_a_discriminator_that_is_given_is_timed_as_it_is():
    for config in (Config(recipe="strong", discriminator_filters=[8]), Config(recipe="paper")):
        assert _with_discriminator(config) == config
