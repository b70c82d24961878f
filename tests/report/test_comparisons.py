"""Who is compared with whom, patient by patient, on sweeps whose effects are known."""

import json

import pytest

from tfadvseg.report.answers import did_unlabelled_help, reaches_all_labels, verdict
from tfadvseg.report.comparisons import against_all_labels, between_recipes
from tfadvseg.report.sweep import read_sweep


def compared(folder, measure="dice"):
    """Fraction, recipe and other recipe to comparison."""
    found = between_recipes(read_sweep(folder), measure)
    return {(c.setting.fraction, c.setting.recipe, c.against.recipe): c for c in found}


def answers(folder):
    sweep = read_sweep(folder)
    return did_unlabelled_help(sweep, between_recipes(sweep, "dice"))


def constant(**gains):
    """Dice of 0.6, a little more for each patient, and what each recipe adds to it."""
    return lambda number, fraction, recipe, fold, seed: (
        [0.6 + number / 1000 + gains.get(recipe, 0)] * 2
    )


def test_every_recipe_meets_every_simpler_one(make_sweep):
    found = compared(make_sweep(fractions=("1", "1/2")))
    assert set(found) == {
        ("1", "adversarial", "supervised"),
        ("1", "paper", "supervised"),  # paper and adversarial are the same runs there
        ("1/2", "adversarial", "supervised"),
        ("1/2", "paper", "supervised"),
        ("1/2", "paper", "adversarial"),
    }
    assert found["1", "paper", "supervised"].setting.trained_as == "adversarial"


def test_a_patient_counts_once_whatever_the_number_of_seeds(make_sweep):
    def value(number, fraction, recipe, fold, seed):
        return [0.5 + (recipe == "paper") * (0.1 if seed == 0 else 0.3)] * 2

    folder = make_sweep(value, seeds=2, patients=10, fractions=("1/2",))
    found = compared(folder)["1/2", "paper", "supervised"]
    assert found.found.patients == 10 and found.pairs == found.planned == 10
    assert list(found.differences.values()) == pytest.approx([0.2] * 10)
    assert found.found.p == pytest.approx(2 / 2**10)


def test_only_runs_of_the_same_fold_and_seed_are_compared(make_sweep):
    """Seed 1 is worth 0.2 for all; without its counterpart a run would look better for it."""

    def value(number, fraction, recipe, fold, seed):
        return [0.5 + 0.2 * seed] * 2

    missing = "fold0_1-2_paper_unet_seed1"
    folder = make_sweep(value, seeds=2, fractions=("1/2",), skip=(missing,))
    found = compared(folder)["1/2", "paper", "supervised"]
    assert (found.pairs, found.planned, found.found.mean) == (9, 10, 0)
    assert found.found.patients == 20  # those of fold 0 with seed 0 only


def test_the_mean_of_a_patient_is_over_the_classes_that_are_defined(make_sweep):
    def value(number, fraction, recipe, fold, seed):
        return [0.8, 0.6] if recipe == "paper" else [0.5, None]

    found = compared(make_sweep(value, fractions=("1/2",)))["1/2", "paper", "supervised"]
    assert found.found.mean == pytest.approx(0.2)


def test_distances_are_compared_over_the_classes_that_both_found(make_sweep):
    """The supervised runs miss the class that is far off, which must not look like a gain."""

    def value(number, fraction, recipe, fold, seed):
        return [(0.8, 2.0), (0.6, 40.0)] if recipe == "paper" else [(0.8, 3.0), (0.0, None)]

    folder = make_sweep(value, fractions=("1/2",))
    assert compared(folder, "hd95_mm")["1/2", "paper", "supervised"].found.mean == -1
    assert compared(folder)["1/2", "paper", "supervised"].found.mean == pytest.approx(0.3)


def test_p_values_are_corrected_for_all_of_the_list(make_sweep):
    found = compared(make_sweep(constant(paper=0.02), patients=10, fractions=("1/2", "1/4")))
    gain = found["1/2", "paper", "supervised"]
    # Of six comparisons, four have a gain in all patients and two have no difference at all.
    assert gain.found.p == pytest.approx(2 / 2**10)
    assert gain.p_holm == pytest.approx(6 * 2 / 2**10)
    assert found["1/2", "adversarial", "supervised"].p_holm == 1


def test_the_same_runs_under_two_names_are_corrected_for_once(make_sweep):
    """With all labels nothing is unlabelled, and paper is trained as adversarial."""
    found = compared(make_sweep(constant(adversarial=0.02, paper=0.02), fractions=("1",)))
    assert len(found) == 2
    for one in found.values():
        assert one.p_holm == one.found.p < 0.05


def test_fewer_labels_are_compared_with_all_labels(make_sweep):
    folder = make_sweep(fractions=("1", "1/2"), gain=0.0, noise=0)
    found = against_all_labels(read_sweep(folder), "dice")
    assert [c.setting.recipe for c in found] == ["supervised", "adversarial", "paper"]
    assert all(c.against.fraction == "1" and c.against.recipe == "supervised" for c in found)
    assert [c.found.mean for c in found] == pytest.approx([-0.05] * 3)
    said = reaches_all_labels(read_sweep(folder), found)
    assert [a.lead for a in said] == ["1/2 of the labels, paper: worse than all labels"]
    assert "5.0 points lower than with supervised and all labels" in said[0].text


def test_a_gain_is_told_with_its_size_and_certainty(make_sweep):
    said = answers(make_sweep(gain=0.03, fractions=("1", "1/2")))
    assert [a.verdict for a in said] == ["none", "helped"]
    assert said[0].text == "All labels: no run used unlabelled images."
    assert said[1].lead == "1/2 of the labels: the unlabelled images helped"
    assert "points higher than with supervised (95% interval" in said[1].detail
    assert "higher in 20 of 20 patients; p below 0.001" in said[1].detail
    assert "By the unlabelled images alone, it is" in said[1].detail


def test_what_strong_gains_is_not_given_to_the_unlabelled_images_alone(make_sweep):
    """Its D is not quite that of adversarial training."""
    recipes = ("supervised", "adversarial", "strong")
    said = answers(make_sweep(constant(strong=0.03), fractions=("1/2",), recipes=recipes))
    assert said[0].verdict == "helped" and "images alone" not in said[0].detail
    assert "By what strong adds to adversarial training, it is" in said[0].detail


def test_a_loss_is_told_as_plainly(make_sweep):
    said = answers(make_sweep(gain=-0.03, fractions=("1/2",)))
    assert said[0].verdict == "harmed"
    assert said[0].lead == "1/2 of the labels: the unlabelled images made it worse"
    assert "lower than with supervised" in said[0].detail


def test_no_difference_is_not_called_a_result(make_sweep):
    said = answers(make_sweep(gain=0.0, fractions=("1/2",)))
    assert (said[0].verdict, said[0].lead) == (
        "open",
        "1/2 of the labels: no effect can be shown",
    )


def test_a_gain_of_the_discriminator_is_not_given_to_the_unlabelled_images(make_sweep):
    said = answers(make_sweep(constant(paper=0.03, adversarial=0.03), fractions=("1/2",)))
    assert said[0].verdict == "helped"
    assert "not shown to come from the unlabelled images" in said[0].lead


@pytest.mark.parametrize(("patients", "expected"), [(4, "too few"), (7, "too few"), (10, "helped")])
def test_few_patients_allow_no_conclusion(make_sweep, patients, expected):
    """With three comparisons, seven patients reach p = 0.047 at best; with six, 0.094."""
    fractions = ("1/2", "1/4") if patients == 7 else ("1/2",)
    value = constant(paper=0.05, adversarial=0.02)
    said = answers(make_sweep(value, patients=patients, folds=2, fractions=fractions))
    assert said[0].verdict == expected
    if expected == "too few":
        assert "nothing can be concluded from so few patients" in said[0].lead
        assert "at best, if all agreed" in said[0].detail


def test_what_is_not_finished_is_not_judged(make_sweep):
    folder = make_sweep(fractions=("1/2",), folds=2)
    for path in folder.glob("runs/*paper*/metrics.json"):
        path.unlink()
    assert answers(folder)[0].text == (
        "1/2 of the labels: cannot be judged yet. 0 of 2 pairs of runs are finished."
    )


def test_test_and_interval_have_to_agree(make_sweep):
    """Most patients gain a little and one loses a lot: significant ranks, but no certain mean."""

    def value(number, fraction, recipe, fold, seed):
        gain = -0.4 if number == 0 else 0.02 + number / 10000
        return [0.6 + gain * (recipe == "paper")] * 2

    folder = make_sweep(value, fractions=("1/2",), recipes=("supervised", "paper"))
    found = compared(folder)["1/2", "paper", "supervised"]
    assert found.p_holm < 0.01 and found.found.low < 0 < found.found.high
    assert verdict(found) == "open"


def test_extra_images_may_be_unlabelled_with_all_labels(make_sweep):
    folder = make_sweep(fractions=("1",), recipes=("supervised", "paper"), gain=0.03)
    plan = json.loads((folder / "plan.json").read_text())
    for run in plan["runs"]:
        run["trained_as"] = run["recipe"]
    (folder / "plan.json").write_text(json.dumps(plan))
    assert len(answers(folder)) == 1 and answers(folder)[0].lead.startswith("All labels: ")
    assert "no run used" not in answers(folder)[0].text
