"""Benefit and the greedy choice, against numbers worked out by hand."""

import numpy as np
import pytest

from tfadvseg.ranking import selection
from tfadvseg.ranking.measures import Measures
from tfadvseg.ranking.selection import benefits, choose, directions, scaled, shares


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
    1 / 2.0754 = 0.4818, 1.1 / 2.0754 = 0.5300 and 1 (1.93 is cut). With the benefits, 2 x 0.4818 +
    2 x 0.5300 + 1.5 = 3.5236 is not known.
    The second image teaches half of its own 2 x 0.4818 and 2 (0.5300 - 0.0482) of the third:
    1.4454; the third half of 2 x 0.5300 and 2 (0.4818 - 0.0482) of the second: 1.3972; the fourth,
    which none is like, 0.75. The second is chosen; then the third has half of 2 x 0.0482 left.
    """
    features = np.array([[0.0], [1.0], [1.1], [4.0]])
    found = choose(np.array([9.0, 2.0, 2.0, 1.5]), features, list("abcd"), np.zeros((1, 1)), ["e"])
    assert found.order.tolist() == [1, 3, 2, 0]
    np.testing.assert_allclose(found.novelty, [0, 0.4818, 0.0482, 1], atol=1e-4)
    gains = np.array([0, 1.4454, 0.0482, 0.75]) / 3.5236
    np.testing.assert_allclose(found.gain, gains, atol=1e-4)


def test_gains_fall_and_add_up_to_no_more_than_all():
    generator = np.random.default_rng(2)
    features, patients = generator.normal(size=(30, 4)), list(map(str, range(30)))
    found = choose(generator.random(30), features, patients, features[:3] + 0.1, ["x"] * 3)
    assert 0.5 < found.gain.sum() < 1
    assert (np.diff(found.gain[found.order]) < 1e-6).all()


def test_what_is_typical_comes_before_an_odd_image_of_which_less_is_known():
    """Five images close together with benefit 1, and one far from all with 2; then the odd one."""
    features = np.array([[0.0], [0.1], [0.2], [0.3], [0.4], [9.0]])
    found = choose(np.array([1.0] * 5 + [2.0]), features, list("abcdef"), np.zeros((0, 1)), [])
    assert found.order[:2].tolist() == [2, 5]


def test_a_patient_who_is_taken_counts_half_then_a_third():
    """Far apart images with benefits 10, 9, 8 of one patient and 4, 2 of others."""
    features = np.eye(5) * 100
    owners = ["a", "a", "a", "b", "c"]
    found = choose(np.array([10.0, 9.0, 8.0, 4.4, 2.8]), features, owners, np.zeros((0, 5)), [])
    # 10; then 9 / 2 = 4.5 before 4.4; then 4.4; 8 / 3 = 2.67 comes after 2.8
    assert found.order.tolist() == [0, 1, 3, 4, 2]
    assert (found.novelty == 1).all()
    np.testing.assert_allclose(found.gain, np.array([10, 9, 8, 4.4, 2.8]) / 2 / 34.2, rtol=1e-5)


def test_labelled_images_of_a_patient_count_as_taken():
    images = np.array([1.0, 1.5]), np.eye(2), ["a", "b"], np.ones((1, 2))
    alone, taken = (choose(*images, [patient]).order for patient in ("c", "b"))
    assert (alone.tolist(), taken.tolist()) == ([1, 0], [0, 1])


def test_ten_like_images_do_not_come_first():
    """Ten images of twice the benefit that are almost one, against nine that differ."""
    generator = np.random.default_rng(0)
    alike = generator.normal(size=(1, 8)) + generator.normal(size=(10, 8)) / 1000
    others = generator.normal(size=(9, 8))
    features = np.concatenate([alike, others])
    benefit = np.repeat([2.0, 1.0], [10, 9])
    for patients in (["p"] * 10 + list("abcdefghi"), list("abcdefghijklmnopqrs")):
        order = choose(benefit, features, patients, np.zeros((0, 8)), []).order
        assert order[0] < 10 and sum(order[:10] < 10) == 1


def test_beyond_the_images_that_are_chosen_one_by_one(monkeypatch):
    """Of two like ones the second would come last; so it does, by what is known when it stops."""
    features = np.array([[0.0], [0.001], [2.0], [4.0], [6.0]])
    images = np.array([5.0, 4.9, 1.0, 2.0, 1.5]), features, list("abcde"), np.zeros((0, 1)), []
    whole = choose(*images)
    monkeypatch.setattr(selection, "CHOSEN", 2)
    fewer = choose(*images)
    assert fewer.order.tolist() == whole.order.tolist() and sorted(fewer.order) == [0, 1, 2, 3, 4]
    assert fewer.order[-1] == 0 and fewer.novelty[0] < 0.01  # the second is nearer to the others
    assert fewer.novelty[0] == pytest.approx(whole.novelty[0])


def test_a_part_of_a_large_pool_stands_for_all(monkeypatch):
    """Ten places with a hundred images each; one place is not known at all."""
    generator = np.random.default_rng(3)
    place = np.repeat(np.arange(10), 100)
    features = 100 * np.eye(10)[place] + generator.normal(size=(1000, 10))
    benefit, patients = np.where(place == 7, 5.0, 1.0), list(map(str, range(1000)))
    monkeypatch.setattr(selection, "AUDIENCE", 50)
    order = choose(benefit, features, patients, np.zeros((0, 10)), []).order
    assert place[order[0]] == 7 and sorted(place[order[:10]]) == list(range(10))


def test_equal_images_come_in_their_order():
    found = choose(np.ones(3), np.ones((3, 2)), list("abc"), np.zeros((0, 2)), [])
    assert found.order.tolist() == [0, 1, 2] and found.novelty.tolist() == [1, 0, 0]


def test_where_features_lie_and_their_unit_do_not_count():
    generator = np.random.default_rng(1)
    features, benefit = generator.normal(size=(12, 3)), generator.random(12)
    plain, other = (
        choose(benefit, f, list(map(str, range(12))), np.zeros((0, 3)), [])
        for f in (features, features * 1000 + 7)
    )
    assert plain.order.tolist() == other.order.tolist()
    np.testing.assert_allclose(plain.novelty, other.novelty)
    np.testing.assert_allclose(plain.gain, other.gain, atol=1e-5)


def test_scaled_by_hand():
    """Squared distances 9, 16 and 25 of the three; each twice among nine pairs, and three of 0."""
    corners = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    unit = np.sqrt(2 * (9 + 16 + 25) / 9)
    np.testing.assert_allclose(scaled(corners), (corners - [1, 4 / 3]) / unit)
    assert not scaled(np.full((3, 2), 0.1)).any()


def test_directions_have_length_one():
    found = directions(np.array([[3.0, 4.0], [30.0, 40.0], [0.0, 0.0]]))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.6, 0.8], [0, 0]])
