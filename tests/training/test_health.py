import pytest

from tfadvseg.training.health import harms, troubles


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
        ([None], [None, None, None], False),
    ],
)
def test_the_stage_harms_where_validation_stays_below(before, since, expected):
    assert harms(history(before, since)) is expected


def test_a_fall_is_not_the_fault_of_images_that_taught_nothing():
    rows = history([0.5, 0.7], [0.6, 0.6, 0.6])
    assert harms([row | {"kept": 0.3} for row in rows])
    assert not harms([*rows[:-1], rows[-1] | {"kept": 0.0}])


def semi(step, kept, d_loss=0.6):
    row = {"step": step, "kept": kept, "d_loss": d_loss, "d_fake_unlabelled": 0.07}
    return row | {"d_real": 0.9, "d_fake_labelled": 0.1}


def test_unused_images_are_told_with_the_steps_and_the_mend():
    rows = [{"step": 100, "d_loss": 0.5}, semi(200, 0.0), semi(250, 0.0)]
    assert troubles(rows) == {}
    found = troubles([*rows, semi(300, 0.0)])
    assert list(found) == ["nothing is trusted"]
    assert found["nothing is trusted"].startswith("kept 0 % for 200 steps")
    assert "d_fake_unlabelled (0.07)" in found["nothing is trusted"]
    assert troubles([*rows, semi(300, 0.2)]) == {}
    assert troubles([*rows, semi(300, 0.2), semi(400, 0)]) == {}


def test_a_saturated_discriminator_is_told():
    assert troubles([semi(100, 0.5, d_loss=0.12)]) == {}
    assert "its loss is 0.040" in troubles([semi(100, 0.5, d_loss=0.04)])["D saturated"]
    assert troubles([{"step": 100, "ce_loss": 1.0}]) == {} == troubles([])
