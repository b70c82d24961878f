"""Benefit and the greedy choice, against numbers worked out by hand."""

import numpy as np
import pytest

from tfadvseg.ranking import selection
from tfadvseg.ranking.measures import Measures
from tfadvseg.ranking.selection import benefits, choose, shares


def test_shares_have_an_average_slice_added():
    """Two images; 4 of 8 pixels with 4 more, and 1 of 1: a small amount counts little."""
    measures = Measures(
        np.array([4.0, 1.0]).reshape(2, 1, 1), np.array([8.0, 1.0]).reshape(2, 1, 1)
    )
    found = shares(measures, np.array([[4.0]]))
    np.testing.assert_allclose(found[:, 0, 0], [4 / 12, 1 / 5])


def test_shares_of_nothing_are_zero():
    nothing = np.zeros((1, 3, 2))
    assert not shares(Measures(nothing, nothing), np.zeros((3, 2))).any()


def test_benefit_is_the_mean_of_ingredients_relative_to_their_average():
    """Means over classes: errors 0.2 and 0.6, entropies 3 and 1; no disagreement anywhere."""
    found = benefits(np.array([[[0.1, 0.3], [0, 0], [2, 4]], [[0.6, 0.6], [0, 0], [1, 1]]], float))
    np.testing.assert_allclose(found, [(0.2 / 0.4 + 3 / 2) / 2, (0.6 / 0.4 + 1 / 2) / 2])
    assert found.mean() == pytest.approx(1)


def test_benefit_where_all_is_known():
    assert not benefits(np.zeros((2, 3, 1))).any()


def test_choice_by_hand():
    """One feature: 0, 1, 1.1 and 4, one labelled image at 0; five patients.

    Mean 1.22, variance 2.1536, so sqrt(2) deviations are 2.0754. At first the novelties are 0,
    1 / 2.0754 = 0.4818, 1.1 / 2.0754 = 0.5300 and 1 (1.93 is cut). Times the benefits: 0, 0.48,
    1.06, 1. The third is chosen; that leaves the second 0.1 / 2.0754 = 0.0482 and the fourth 1.
    """
    features = np.array([[0.0], [1.0], [1.1], [4.0]])
    order, novelty = choose(
        np.array([9.0, 1.0, 2.0, 1.0]), features, list("abcd"), np.zeros((1, 1)), ["e"]
    )
    assert order.tolist() == [2, 3, 1, 0]
    np.testing.assert_allclose(novelty, [0, 0.0482, 0.5300, 1], atol=1e-4)


def test_a_patient_who_is_taken_counts_half_then_a_third():
    """Far apart images with benefits 10, 9, 8 of one patient and 4, 2 of others."""
    features = np.eye(5) * 100
    owners = ["a", "a", "a", "b", "c"]
    order, novelty = choose(
        np.array([10.0, 9.0, 8.0, 4.4, 2.8]), features, owners, np.zeros((0, 5)), []
    )
    # 10; then 9 / 2 = 4.5 before 4.4; then 4.4; 8 / 3 = 2.67 comes after 2.8
    assert order.tolist() == [0, 1, 3, 4, 2]
    assert (novelty == 1).all()


def test_labelled_images_of_a_patient_count_as_taken():
    images = np.array([1.0, 1.5]), np.eye(2), ["a", "b"], np.ones((1, 2))
    alone, taken = (choose(*images, [patient])[0] for patient in ("c", "b"))
    assert (alone.tolist(), taken.tolist()) == ([1, 0], [0, 1])


def test_ten_like_images_do_not_come_first():
    """Ten images of twice the benefit that are almost one, against nine that differ."""
    generator = np.random.default_rng(0)
    alike = generator.normal(size=(1, 8)) + generator.normal(size=(10, 8)) / 1000
    others = generator.normal(size=(9, 8))
    features = np.concatenate([alike, others])
    benefit = np.repeat([2.0, 1.0], [10, 9])
    for patients in (["p"] * 10 + list("abcdefghi"), list("abcdefghijklmnopqrs")):
        order, _ = choose(benefit, features, patients, np.zeros((0, 8)), [])
        assert sum(order[:10] < 10) == 1


def test_beyond_the_images_that_are_chosen_one_by_one(monkeypatch):
    """Of two like ones the second would come last; so it does, by what is known when it stops."""
    features = np.array([[0.0], [0.001], [2.0], [4.0], [6.0]])
    images = np.array([5.0, 4.9, 1.0, 2.0, 1.5]), features, list("abcde"), np.zeros((0, 1)), []
    whole, novelty = choose(*images)
    monkeypatch.setattr(selection, "CHOSEN", 2)
    order, fewer = choose(*images)
    assert order.tolist() == whole.tolist() and sorted(order) == [0, 1, 2, 3, 4]
    assert order[-1] == 1 and fewer[1] == pytest.approx(novelty[1]) and fewer[1] < 0.01


def test_equal_images_come_in_their_order():
    order, novelty = choose(np.ones(3), np.ones((3, 2)), list("abc"), np.zeros((0, 2)), [])
    assert order.tolist() == [0, 1, 2] and novelty.tolist() == [1, 0, 0]


def test_features_of_other_scales_count_alike():
    generator = np.random.default_rng(1)
    features, benefit = generator.normal(size=(12, 3)), generator.random(12)
    plain, scaled = (
        choose(benefit, f, list(map(str, range(12))), np.zeros((0, 3)), [])
        for f in (features, features * (1, 1000, 0.001) + 7)
    )
    assert plain[0].tolist() == scaled[0].tolist()
    np.testing.assert_allclose(plain[1], scaled[1])
