import pytest

from tfadvseg.health import SEMI, all_troubles, best_model, harms, troubles

LONG = 10_000  # steps of a run that is not at its end


def history(before, since):
    rows = [{"stage": "adversarial", "val_dice": score} for score in before]
    return rows + [{"stage": "semi-supervised", "val_dice": score} for score in since]


@pytest.mark.parametrize(
    ("before", "since", "expected"),
    [
        ([0.5, 0.7], [0.6, 0.6, 0.6], True),
        ([0.7, 0.5], [0.6, 0.6, 0.6], True),  # the best before counts
        ([0.5, 0.7], [0.6, 0.6], False),  # too early to tell
        ([0.5, 0.7], [0.6, 0.69, 0.6], False),
        ([0.5, 0.7], [0.6, 0.6, 0.6, 0.71], False),
        ([0.5, 0.7], [0.8, 0.6, 0.6, 0.6], True),
        ([], [0.1, 0.1, 0.1], False),
        ([0.3], [0.4, 0.4, 0.4], False),
        ([None], [None, None, None], False),
    ],
)
def test_the_stage_harms_where_validation_stays_below(before, since, expected):
    assert harms(history(before, since)) is expected


def test_a_fall_is_not_the_fault_of_images_that_taught_nothing():
    rows = history([0.5, 0.7], [0.6, 0.6, 0.6])
    assert harms([row | {"kept": 0.3} for row in rows])
    assert not harms([*rows[:-1], rows[-1] | {"kept": 0.0}])


def test_what_follows_the_stage_is_not_before_it():
    rows = history([0.5], [0.6, 0.6, 0.6])
    assert not harms([*rows, {"stage": "adversarial", "val_dice": 0.9}])


def semi(step, kept, d_loss=0.6, stage=SEMI):
    row = {"step": step, "kept": kept, "d_loss": d_loss, "d_fake_unlabelled": 0.07, "stage": stage}
    return row | {"d_real": 0.9, "d_fake_labelled": 0.1}


@pytest.mark.parametrize(
    ("recipe", "mend"),
    [("paper", "Lower t_semi below d_fake_unlabelled (0.07)"), ("strong", "Label more patients")],
)
def test_unused_images_are_told_with_the_steps_and_the_mend(recipe, mend):
    rows = [{"step": 100, "d_loss": 0.5, "stage": "adversarial"}, semi(200, 0.0), semi(250, 0.0)]
    assert troubles(rows, recipe, LONG) == {}
    found = troubles([*rows, semi(300, 0.0)], recipe, LONG)
    assert list(found) == ["nothing is trusted"]
    assert found["nothing is trusted"].startswith("kept 0 % for 200 steps")
    assert mend in found["nothing is trusted"]
    assert troubles([*rows, semi(300, 0.2)], recipe, LONG) == {}
    assert troubles([*rows, semi(300, 0.2), semi(400, 0)], recipe, LONG) == {}


def test_a_short_stage_without_any_trust_is_told_at_its_end():
    rows = [semi(100, 0.5, stage="adversarial"), semi(150, 0.0)]
    last = semi(200, 0.0) | {"kept aorta": 0.0}
    assert troubles([*rows, last], "strong", LONG) == {}
    found = troubles([*rows, last], "strong", 200)
    assert list(found) == ["nothing is trusted"]
    assert found["nothing is trusted"].startswith("kept 0 % for 100 steps")
    assert troubles([*rows[:1], semi(150, 0.1), last], "strong", 200) == {}
    assert troubles([semi(200, 0.5, stage="adversarial")], "strong", 200) == {}


def test_the_step_of_the_best_model_is_told():
    rows = [row | {"step": 10 * i} for i, row in enumerate(history([0.5, 0.7], [0.7, 0.6]), 1)]
    assert best_model(rows) == (
        "best.keras is the model of step 20, before the semi-supervised stage."
    )
    assert best_model([*rows, rows[-1] | {"step": 50, "val_dice": 0.8}]).endswith("step 50.")
    assert best_model([rows[0], rows[-1] | {"val_dice": None}]).endswith(
        "step 10, before the semi-supervised stage."
    )
    assert best_model(
        [{"step": 5, "stage": "supervised"}, {"step": 9, "stage": "supervised"}]
    ).endswith("step 9.")
    assert best_model([]) == ""


def test_unlabelled_images_that_only_d_sees_are_no_trouble():
    rows = [semi(100, 0.0, stage="adversarial"), semi(250, 0.0, stage="adversarial")]
    assert troubles(rows, "paper", LONG) == {}


def test_a_class_that_is_never_trusted_is_told_by_its_name():
    rows = [semi(start, 0.5) | {"kept aorta": 0.0, "kept vein": 0.4} for start in (100, 150)]
    assert troubles(rows, "strong", LONG) == {}
    more = semi(300, 0.5) | {"kept aorta": 0.0, "kept vein": 0.0}
    found = troubles([*rows, more], "strong", LONG)
    assert list(found) == ["aorta is not trusted"]
    assert found["aorta is not trusted"].startswith("kept 0 % of aorta for 300 steps")
    assert troubles([*rows, more | {"kept aorta": 0.1}], "strong", LONG) == {}
    nothing = [semi(start, 0.0) | {"kept aorta": 0.0} for start in (100, 200, 300)]
    assert list(troubles(nothing, "strong", LONG)) == ["nothing is trusted"]


@pytest.mark.parametrize(
    ("recipe", "mend"), [("paper", "Lower discriminator_learning_rate"), ("strong", "Train longer")]
)
def test_each_recipe_has_its_mend_for_a_saturated_discriminator(recipe, mend):
    assert mend in troubles([semi(100, 0.5, d_loss=0.04)], recipe, LONG)["D saturated"]


def test_a_saturated_discriminator_is_told():
    assert troubles([semi(100, 0.5, d_loss=0.12)], "paper", LONG) == {}
    found = troubles([semi(100, 0.5, d_loss=0.04)], "paper", LONG)
    assert "its loss is 0.040" in found["D saturated"]
    supervised = {"step": 100, "ce_loss": 1.0, "stage": "supervised"}
    assert troubles([supervised], "supervised", LONG) == {} == troubles([], "paper", LONG)


def test_troubles_of_a_run_are_those_of_the_step_at_which_they_began():
    rows = [semi(100, 0.5, d_loss=0.04), semi(200, 0.5), semi(300, 0.0, d_loss=0.05)]
    found = all_troubles([*rows, semi(400, 0.0), semi(500, 0.0)], "strong", LONG)
    assert {name: step for name, (step, _) in found.items()} == {
        "D saturated": 100,
        "nothing is trusted": 400,
    }
    assert "its loss is 0.040" in found["D saturated"][1]
    assert "for 200 steps" in found["nothing is trusted"][1]


def test_a_stage_that_was_given_up_is_told_with_the_dice():
    rows = [row | {"step": 100} for row in history([0.5, 0.7], [0.6, 0.6, 0.6])]
    (text,) = troubles(rows, "strong", LONG).values()
    assert "given up" in text and "0.02 below that before it, 0.700" in text
