import json
import warnings

import pytest

from tfadvseg.crossval.planning import make_plan
from tfadvseg.errors import DataWarning, InputError


def by_key(plan):
    return {(run.fold, run.fraction, run.recipe, run.seed): run for run in plan.runs}


def test_smaller_fractions_lie_inside_larger_ones(material, wanted):
    plan = make_plan(material(patients=40), wanted(fractions="1/8,1,0.5,1/4", seeds=2))
    runs = by_key(plan)
    assert plan.to_json()["fractions"] == ["1", "1/2", "1/4", "1/8"]
    for fold in range(3):
        for seed in (0, 1):
            sets = [
                set(runs[fold, fraction, "paper", seed].labelled)
                for fraction in ("1/8", "1/4", "1/2", "1")
            ]
            assert all(a < b for a, b in zip(sets, sets[1:], strict=False))
            assert sets[-1] == set(plan.folds[fold].train)
            for fraction in ("1/8", "1/4", "1/2", "1"):
                run = runs[fold, fraction, "paper", seed]
                assert set(run.unlabelled) == sets[-1] - set(run.labelled)


def test_recipes_of_a_seed_share_folds_labels_seed_and_steps(material, wanted):
    plan = make_plan(material(epochs=3, batch_size=8), wanted(seeds=3))
    # The largest training set is that of 12 - 4 - 1 patients with 10 slices: 9 steps an epoch.
    assert plan.config.total_steps() == 27
    for run in plan.runs:
        twin = by_key(plan)[run.fold, run.fraction, "supervised", run.seed]
        one, other = plan.config_of(run), plan.config_of(twin)
        assert one.replace(recipe="supervised", unlabelled=None) == other
        assert run.labelled == twin.labelled
        assert one.test_patients == plan.folds[run.fold].test
        assert one.val_patients == plan.folds[run.fold].val


def test_seeds_count_from_the_configuration_and_choose_other_labelled_patients(material, wanted):
    runs = by_key(make_plan(material(seed=5), wanted(seeds=2)))
    assert {seed for *_, seed in runs} == {5, 6}
    assert any(
        runs[fold, "1/2", "paper", 5].labelled != runs[fold, "1/2", "paper", 6].labelled
        for fold in range(3)
    )


def test_supervised_runs_at_every_fraction_without_being_asked(material, wanted):
    plan = make_plan(material(), wanted(recipes="paper"))
    assert plan.wanted.recipes == ("supervised", "paper")
    supervised = {(run.fold, run.fraction) for run in plan.runs if run.recipe == "supervised"}
    assert supervised == {(fold, fraction) for fold in range(3) for fraction in ("1", "1/2")}


def test_the_order_of_a_request_does_not_matter(material, wanted):
    one = make_plan(material(), wanted(recipes="adversarial,paper", fractions="1,1/2"))
    other = make_plan(material(), wanted(recipes="paper,supervised,adversarial", fractions="0.5,1"))
    assert one == other


def test_paper_without_unlabelled_images_is_trained_as_adversarial_once(material, wanted):
    for recipes, trainings in (("supervised,adversarial,paper", 15), ("supervised,paper", 12)):
        plan = make_plan(material(), wanted(recipes=recipes))
        assert len(plan.trainings) == trainings
        full = by_key(plan)[0, "1", "paper", 0]
        assert full.trained_as == "adversarial" and full.name == "fold0_1_adversarial_unet_seed0"
        assert by_key(plan)[0, "1/2", "paper", 0].trained_as == "paper"
        assert "At 1 no image is unlabelled; trained as adversarial: paper." in plan.summary()
        assert plan.config_of(full).recipe == "adversarial"


def test_every_recipe_that_becomes_another_is_named(material, wanted):
    for recipes, named in (("supervised,strong", "strong"), ("paper,strong", "paper and strong")):
        plan = make_plan(material(val_patients=2), wanted(recipes=recipes))
        assert f"adversarial: {named}." in plan.summary()


def test_a_pool_leaves_paper_what_it_is_at_all_fractions(material, wanted):
    pool = material(unlabelled=("stranger",), unlabelled_batch_size=3)
    pool = make_plan(pool, wanted())
    full = by_key(pool)[0, "1", "paper", 0]
    assert full.trained_as == "paper" and full.unlabelled == ("stranger",)


def test_unlabelled_images_of_held_out_patients_count_for_nothing(material, wanted):
    plan = make_plan(material(unlabelled=("p00",)), wanted())
    for run in plan.runs:
        fold = plan.folds[run.fold]
        assert ("p00" in run.unlabelled) is ("p00" in fold.train)
        assert not {*run.labelled, *run.unlabelled} & {*fold.test, *fold.val}


def test_fractions_that_label_the_same_patients_are_trained_once(material, wanted):
    with pytest.warns(DataWarning, match="fractions 1/4 and 1/5 label the same patients"):
        plan = make_plan(material(patients=5), wanted(folds=5, fractions="1/4,1/5"))
    assert len(plan.trainings) == 5 * 3 and len(plan.runs) == 5 * 6


def test_patients_with_the_same_pictures_stay_together(material, wanted):
    groups = {f"p{n}": (f"p{n}",) for n in range(8)} | {"p8": ("p8", "twin")}
    classes_of = {patient: {1, 2} for patient in groups}
    plan = make_plan(material(classes_of, groups=groups), wanted())
    for fold in plan.folds:
        assert sum({"p8", "twin"} <= set(part) for part in (fold.test, fold.val, fold.train)) == 1
    for run in plan.runs:
        assert ("p8" in run.labelled) is ("twin" in run.labelled)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"t_semi": 0.3}, "t_semi"), ({"val_patients": 0}, "val_patients leaves none")],
)
def test_what_a_recipe_would_refuse_is_refused_in_the_plan(material, wanted, settings, words):
    asked = wanted(recipes="supervised,strong")
    with pytest.raises(InputError, match=words):
        make_plan(material(unlabelled=["x"], **settings), asked)
    make_plan(material(unlabelled=["x"], val_patients=2), asked)


def test_a_fraction_of_less_than_half_a_patient_is_refused(material, wanted):
    few = material(patients=5)  # 5 folds: 3 of them train
    with pytest.raises(InputError, match=r"1/8, 1/7 of the 3 training .*at least 1/6"):
        make_plan(few, wanted(folds=5, fractions="1,1/8,1/7"))
    plan = make_plan(few, wanted(folds=5, fractions="1,1/6"))
    assert {len(run.labelled) for run in plan.runs if run.fraction == "1/6"} == {1}


def test_a_class_that_a_training_fold_lacks_is_refused(material, wanted):
    classes_of = {f"p{n}": {1, 2} if n == 7 else {1} for n in range(12)}
    with pytest.raises(InputError, match="has the class b, which 1 of 12 patients show: p7"):
        make_plan(material(classes_of), wanted())


def test_labels_that_lack_a_class_are_told(material, wanted):
    classes_of = {f"p{n:02d}": {1} if n % 2 else {2} for n in range(12)}
    with pytest.warns(DataWarning, match="label fraction 1/8: the labelled patients of"):
        make_plan(material(classes_of), wanted(fractions="1/8"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_plan(material(classes_of), wanted(fractions="1/2,1/4"))


def test_strong_with_one_validation_patient_is_told(material, wanted):
    words = r"strong: in 3 of 3 folds, .* one patient; with two or more \(val_patients\)"
    with pytest.warns(DataWarning, match=words):
        make_plan(material(), wanted(recipes="strong"))
    make_plan(material(val_patients=2), wanted(recipes="strong"))  # else a warning is an error
    make_plan(material(), wanted(recipes="paper"))


def test_settings_that_the_folds_decide(material, wanted):
    with pytest.raises(InputError, match="val_patients: expected a number"):
        make_plan(material(val_patients=("p00",)), wanted())
    with pytest.warns(DataWarning, match="labelled_patients is not used"):
        plan = make_plan(material(labelled_patients=2), wanted())
    assert plan.config.labelled_patients is None
    with pytest.warns(DataWarning, match="early_stopping"):
        make_plan(material(early_stopping=2), wanted())


def test_no_validation_patients_if_none_are_wanted(material, wanted):
    plan = make_plan(material(val_patients=0), wanted())
    assert plan.config_of(plan.runs[0]).val_patients == 0
    assert plan.runs[0].to_json()["budget"]["val_patients"] == 0


def test_the_budget_counts_patients_and_images(plan):
    content = json.loads(json.dumps(plan.to_json()))
    run = content["runs"][0]
    assert run["budget"] == {"labelled_patients": 4, "labelled_images": 40, "val_patients": 1}
    assert set(run) == {
        *("name", "fold", "fraction", "recipe", "trained_as", "model", "seed"),
        *("labelled", "unlabelled", "budget"),
    }
    assert [len(part) for part in content["folds"][0].values()] == [4, 1, 7]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 11}, "steps is 10 in the sweep that began there, received 11"),
        ({"window": "minmax"}, "window is None in the sweep .* received 'minmax'"),
        ({"patients": 13}, "the patients of data or their classes"),
    ],
)
def test_another_plan_is_not_the_same(plan, material, wanted, change, words):
    other = make_plan(material(**{"steps": 10, **change}), wanted(fractions="1/2", recipes="paper"))
    saved = json.loads(json.dumps(plan.to_json()))
    plan.check_same(saved)
    with pytest.raises(InputError, match=words):
        other.check_same(saved)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"folds": 4}, "folds is 3 .* received 4"),
        ({"seeds": 2}, "seeds is 1 .* received 2"),
        ({"fractions": "1/2,1/4"}, "fractions is .'1/2'. .* received .'1/2', '1/4'."),
        ({"recipes": "supervised"}, "recipes is"),
    ],
)
def test_another_request_is_not_the_same(plan, material, wanted, change, words):
    request = wanted(**{"fractions": "1/2", "recipes": "paper", **change})
    with pytest.raises(InputError, match=words):
        make_plan(material(steps=10), request).check_same(json.loads(json.dumps(plan.to_json())))
