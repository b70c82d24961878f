import numpy as np
import pytest

from tfadvseg.metrics import SCORES, class_scores, confusion_matrix, macro, summary

IGNORED = 255


@pytest.fixture
def rng():
    return np.random.default_rng(11)


# Rows are the truth. Class 0: TP 5, FP 1, FN 2, TN 8; class 1: 3, 3, 2, 8; class 2: 2, 2, 2, 10.
TABLE = np.array([[5, 1, 1], [1, 3, 1], [0, 2, 2]])
HAND_COMPUTED = [
    {"miou": 5 / 8, "dice": 10 / 13, "specificity": 8 / 9, "precision": 5 / 6, "recall": 5 / 7},
    {"miou": 3 / 8, "dice": 6 / 11, "specificity": 8 / 11, "precision": 3 / 6, "recall": 3 / 5},
    {"miou": 2 / 6, "dice": 4 / 8, "specificity": 10 / 12, "precision": 2 / 4, "recall": 2 / 4},
]


def scores_of(truth, predicted, num_classes=3):
    truth, predicted = np.array([truth]), np.array([predicted])
    return class_scores(confusion_matrix(truth, predicted, num_classes, IGNORED))


def test_confusion_counts_truth_in_rows_and_prediction_in_columns():
    truth, predicted = np.array([[0, 0, 1], [1, 2, 2]]), np.array([[0, 1, 1], [1, 0, 2]])
    expected = [[1, 1, 0], [0, 2, 0], [1, 0, 1]]
    np.testing.assert_array_equal(confusion_matrix(truth, predicted, 3, IGNORED), expected)


@pytest.mark.parametrize("ignore_label", [IGNORED, 2])
def test_confusion_does_not_count_ignored_pixels(ignore_label):
    truth = np.array([[0, ignore_label, 1, ignore_label]], np.uint8)
    predicted = np.array([[0, 0, 0, 1]], np.uint8)
    expected = [[1, 0, 0], [1, 0, 0], [0, 0, 0]]
    np.testing.assert_array_equal(confusion_matrix(truth, predicted, 3, ignore_label), expected)


def test_confusion_of_many_classes_does_not_overflow_small_types():
    truth = predicted = np.array([[99]], np.uint8)
    confusion = confusion_matrix(truth, predicted, 100, IGNORED)
    assert confusion[99, 99] == confusion.sum() == 1


def test_all_five_scores_of_a_hand_computed_table():
    for computed, expected in zip(class_scores(TABLE), HAND_COMPUTED, strict=True):
        assert computed == pytest.approx(expected)


def test_class_absent_from_truth_has_no_recall():
    score = scores_of([0, 0, 1, 1], [0, 2, 1, 1])[2]
    expected = {"miou": 0, "dice": 0, "specificity": 3 / 4, "precision": 0, "recall": None}
    assert score == expected


def test_class_absent_from_prediction_has_no_precision():
    score = scores_of([0, 0, 1, 2], [0, 0, 1, 1])[2]
    assert score == {"miou": 0, "dice": 0, "specificity": 1, "precision": None, "recall": 0}


def test_class_absent_from_both_has_specificity_alone():
    score = scores_of([0, 0, 1, 1], [0, 0, 1, 1])[2]
    undefined = {"miou": None, "dice": None, "precision": None, "recall": None}
    assert score == {**undefined, "specificity": 1}


def test_class_that_fills_the_truth_has_no_specificity():
    expected = {"miou": 3 / 4, "dice": 6 / 7, "specificity": None, "precision": 1, "recall": 3 / 4}
    assert scores_of([1, 1, 1, 1], [1, 1, 1, 0])[1] == pytest.approx(expected)


def test_nothing_is_defined_where_every_pixel_is_ignored():
    for score in scores_of([IGNORED] * 4, [0, 1, 2, 0]):
        assert score == dict.fromkeys(SCORES)


def test_macro_is_the_mean_over_the_classes_that_have_a_value():
    some = dict.fromkeys(SCORES, 0.5)
    scores = [some, {**some, "dice": 0.9, "recall": None}, {**some, "dice": None, "recall": None}]
    assert macro(scores) == pytest.approx({**some, "dice": 0.7, "recall": 0.5})


def test_macro_is_none_where_no_class_has_a_value():
    assert macro([dict.fromkeys(SCORES)] * 2) == dict.fromkeys(SCORES)
    assert macro([]) == dict.fromkeys(SCORES)


def test_summary_means_over_foreground_and_over_all():
    result = summary(class_scores(TABLE), ["background", "aorta", "vein"])
    assert result["foreground"]["miou"] == pytest.approx((3 / 8 + 2 / 6) / 2)
    assert result["all"]["miou"] == pytest.approx((5 / 8 + 3 / 8 + 2 / 6) / 3)
    assert list(result["per_class"]) == ["background", "aorta", "vein"]
    assert result["per_class"]["vein"] == pytest.approx(HAND_COMPUTED[2])


def test_values_are_plain_numbers_that_json_can_write():
    for score in [*class_scores(TABLE), macro(class_scores(TABLE))]:
        assert {type(value) for value in score.values()} == {float}


def test_scores_equal_a_brute_force_reference(rng):
    truth, predicted = rng.integers(0, 4, (2, 17, 23))
    truth[rng.random(truth.shape) < 0.2] = IGNORED
    scores = class_scores(confusion_matrix(truth, predicted, 4, IGNORED))
    pairs = [(t, p) for t, p in zip(truth.flat, predicted.flat, strict=True) if t != IGNORED]
    for c, score in enumerate(scores):
        tp = sum(t == c and p == c for t, p in pairs)
        fp = sum(t != c and p == c for t, p in pairs)
        fn = sum(t == c and p != c for t, p in pairs)
        tn = sum(t != c and p != c for t, p in pairs)
        precision, recall = tp / (tp + fp), tp / (tp + fn)
        assert score == pytest.approx(
            {
                "miou": tp / (tp + fp + fn),
                "dice": 2 * precision * recall / (precision + recall),
                "specificity": tn / (tn + fp),
                "precision": precision,
                "recall": recall,
            }
        )
