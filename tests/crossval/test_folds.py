from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from tfadvseg.crossval.folds import label_order, labelled_number, make_folds
from tfadvseg.errors import InputError


def random_patients(seed, number, classes=4):
    """Patients that show each class with a chance of its own."""
    rng = np.random.default_rng(seed)
    shares = rng.uniform(0.2, 1, classes)
    return {
        f"p{patient}": frozenset(np.flatnonzero(rng.random(classes) < shares) + 1)
        for patient in range(number)
    }


def holders(patients, classes_of, index):
    return sum(index in classes_of[patient] for patient in patients)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("patients", "number"), [(7, 7), (23, 5), (100, 5)])
def test_every_patient_tests_once_and_has_one_part_in_each_fold(seed, patients, number):
    classes_of = random_patients(seed, patients)
    folds = make_folds(classes_of, number, seed)
    assert sorted(p for fold in folds for p in fold.test) == sorted(classes_of)
    for fold in folds:
        assert sorted((*fold.test, *fold.val, *fold.train)) == sorted(classes_of)
        assert len(fold.val) == max(1, (patients - len(fold.test)) // 5)
    sizes = [len(fold.test) for fold in folds]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("seed", range(20))
def test_a_class_of_few_patients_is_spread_over_the_folds(seed):
    classes_of = {f"p{n}": frozenset({1, 2} if n < 5 else {1}) for n in range(40)}
    for fold in make_folds(classes_of, 5, seed):
        assert holders(fold.test, classes_of, 2) == 1
        assert holders(fold.train, classes_of, 2) >= 1


@pytest.mark.parametrize("seed", range(20))
def test_validation_leaves_training_the_last_patient_with_a_class(seed):
    classes_of = {f"p{n}": frozenset({1, 2} if n < 2 else {1}) for n in range(12)}
    for fold in make_folds(classes_of, 3, seed, val_patients=4):
        assert holders(fold.train, classes_of, 2) == 1


def test_folds_depend_on_the_seed_and_on_nothing_else():
    classes_of = random_patients(0, 30)
    assert make_folds(classes_of, 5, 1) == make_folds(dict(reversed(classes_of.items())), 5, 1)
    assert make_folds(classes_of, 5, 1) != make_folds(classes_of, 5, 2)


def test_a_number_of_validation_patients():
    classes_of = random_patients(0, 12)
    assert {len(fold.val) for fold in make_folds(classes_of, 3, 0, val_patients=3)} == {3}
    assert {len(fold.val) for fold in make_folds(classes_of, 3, 0, val_patients=0)} == {0}


@pytest.mark.parametrize(
    ("patients", "number", "val_patients", "words"),
    [
        (4, 5, None, "--folds: expected at most 4"),
        (2, 2, None, "leaves none to train"),
        (12, 3, 8, "8 validate, which leaves none to train"),
    ],
)
def test_too_few_patients_are_refused(patients, number, val_patients, words):
    with pytest.raises(InputError, match=words):
        make_folds(random_patients(0, patients), number, 0, val_patients)


def test_the_first_labelled_patients_show_all_classes():
    """Three classes that no single patient shows together, among many with one class."""
    classes_of = {f"p{n}": frozenset({1}) for n in range(30)}
    classes_of |= {"x": frozenset({2, 3}), "y": frozenset({1, 4})}
    for seed in range(10):
        order = label_order(classes_of, classes_of, seed, fold=0)
        assert set(order[:2]) == {"x", "y"}
        assert sorted(order) == sorted(classes_of)


def test_the_order_of_labels_depends_on_seed_and_fold():
    classes_of = {f"p{n}": frozenset({1}) for n in range(30)}
    orders = [label_order(classes_of, classes_of, *key) for key in [(0, 0), (0, 1), (1, 0)]]
    assert len(set(orders)) == 3
    assert orders[0] == label_order(reversed([*classes_of]), classes_of, 0, 0)
    firsts = Counter(label_order(classes_of, classes_of, seed, 0)[0] for seed in range(200))
    assert len(firsts) > 20


@pytest.mark.parametrize(
    ("fraction", "patients", "number"),
    [("1", 7, 7), ("1/2", 7, 4), ("1/2", 8, 4), ("1/8", 3, 1), ("1/3", 9, 3), ("0.1", 10, 1)],
)
def test_labelled_patients_are_rounded_up(fraction, patients, number):
    assert labelled_number(Fraction(fraction), patients) == number
