"""The time that a sweep is said to take."""

import pytest

from tfadvseg.building import build_model
from tfadvseg.config import Config
from tfadvseg.crossval import timing
from tfadvseg.crossval.planning import make_plan
from tfadvseg.crossval.timing import _seconds_a_step, _with_discriminator


def test_recipe_strong_is_timed_with_a_discriminator_though_its_masks_are_not_read():
    settings = {"classes": ("background", "a"), "channels": 1, "base_filters": 4, "steps": 1}
    config = _with_discriminator(Config(recipe="strong", image_size=64, **settings))
    assert config.discriminator_filters == (8, 16, 32, 64, 128)  # as the largest class would have
    assert build_model(config).discriminator.reduction == 64


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["paper", "strong"])
def test_a_step_with_unlabelled_images_is_timed(recipe, tiny):
    config = Config(**tiny, recipe=recipe, classes=("background", "a"), channels=1)
    assert _seconds_a_step(build_model(config), config, "semi-supervised") > 0


def test_unlabelled_images_are_timed_in_every_stage_that_takes_them(tiny, monkeypatch):
    class Stop(Exception):
        pass

    def stop(labelled, unlabelled, **_):
        raise Stop(unlabelled is not None)

    monkeypatch.setattr(timing, "training_stream", stop)
    settings = {**tiny, "classes": ("background", "a"), "channels": 1}
    for fakes, taken in (("labelled", False), ("both", True)):
        config = Config(**settings, recipe="paper", discriminator_fakes=fakes)
        with pytest.raises(Stop, match=str(taken)):
            _seconds_a_step(build_model(config), config, "adversarial")


def test_a_discriminator_that_is_given_is_timed_as_it_is():
    for config in (Config(recipe="strong", discriminator_filters=[8]), Config(recipe="paper")):
        assert _with_discriminator(config) == config


def test_a_stage_is_timed_once_however_many_rounds_it_has(material, wanted, tiny, monkeypatch):
    settings = {**tiny, "steps": 60, "validate_every": 1}
    plan = make_plan(material(**settings), wanted(fractions="1/2", recipes="paper"))
    run = next(one for one in plan.trainings.values() if one.trained_as == "paper")
    stages = []

    def seconds(model, config, stage):
        stages.append(stage)
        return 0.0

    monkeypatch.setattr(timing, "_seconds_a_step", seconds)
    assert timing._measured(plan, run) > 0  # predictions are timed too
    assert stages == ["adversarial", "semi-supervised"]


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "calls"), [(-1.0, [1, 1]), (1e9, [1, 1, timing.TIMED_STEPS])])
def test_one_step_is_enough_where_it_is_long(limit, calls, tiny, monkeypatch):
    """The first traces the graph."""
    config = Config(**tiny, recipe="supervised", classes=("background", "a"), channels=1)
    model, steps = build_model(config), []
    train = model.fit
    monkeypatch.setattr(timing, "LONG_STEP", limit)
    monkeypatch.setattr(
        model, "fit", lambda *a, **k: steps.append(k["steps_per_epoch"]) or train(*a, **k)
    )
    assert _seconds_a_step(model, config, "supervised") > 0
    assert steps == calls
