import tracemalloc
from itertools import product

import numpy as np
import pytest

from tfadvseg.report import statistics
from tfadvseg.report.statistics import holm, interval, paired, smallest_p


def enumerated_p(differences):
    """Wilcoxon's signed-rank test by its definition: all signs are equally likely."""
    ranks = np.argsort(np.argsort(np.abs(differences))) + 1
    seen = abs((ranks * np.sign(differences)).sum())
    sums = [abs((ranks * signs).sum()) for signs in product((-1, 1), repeat=len(ranks))]
    return np.mean([total >= seen for total in sums])


def test_darwins_plants():
    """Heights of 15 pairs of plants; the p-value is the published one."""
    heights = [6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75]
    found = paired(heights)
    assert found.p == pytest.approx(0.041259765625)
    assert (found.patients, found.higher, found.lower) == (15, 13, 2)
    assert found.mean == pytest.approx(314 / 15)
    # Ranks 10 and 14 of 120 are on the other side.
    assert found.effect == pytest.approx((96 - 24) / 120)


@pytest.mark.parametrize("seed", range(5))
def test_p_is_that_of_all_signs(seed):
    differences = np.random.default_rng(seed).normal(0.3, 1, 9)
    assert paired(differences).p == pytest.approx(enumerated_p(differences))


@pytest.mark.parametrize("number", [1, 5, 6, 12])
def test_the_smallest_p_is_reached_where_all_agree(number):
    found = paired(np.linspace(0.01, 0.02, number))
    assert found.p == pytest.approx(smallest_p(number)) == min(1, 2 / 2**number)
    assert found.effect == 1
    assert paired(-np.linspace(0.01, 0.02, number)).effect == -1


def test_equal_values_tell_nothing():
    found = paired([0.0] * 8)
    assert (found.p, found.effect, found.mean, found.higher, found.lower) == (1, 0, 0, 0, 0)
    assert (found.low, found.high) == (0, 0)
    one = paired([0.0, 1e-17, 0.2, 0.3])
    assert (one.patients, one.higher, one.lower, one.p) == (4, 2, 0, 0.5)


def test_no_patient_is_no_result():
    found = paired([])
    assert found.patients == 0 and found.mean is found.p is found.effect is found.low is None


def test_holm_by_hand():
    # Times 4, 3, 2, 1 in the order 0.005, 0.01, 0.03, 0.04; the last may not fall below 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_intervals_cover_the_mean_as_often_as_they_say():
    rng = np.random.default_rng(3)
    spans = [interval(rng.normal(0.02, 0.05, 25)) for _ in range(200)]
    covered = np.mean([low <= 0.02 <= high for low, high in spans])
    assert 0.90 <= covered <= 0.98


def test_the_interval_of_many_patients_takes_little_memory(monkeypatch):
    """Images without a patient count as one each, and there may be thousands."""
    values, found = np.random.default_rng(0).random(3000), []
    for most, least, highest in ((10**12, 4e8, 1e10), (10**6, 0, 1e8)):
        monkeypatch.setattr(statistics, "MOST_VALUES", most)
        tracemalloc.start()
        found.append(interval(values))
        assert least < tracemalloc.get_traced_memory()[1] < highest
        tracemalloc.stop()
    assert found[0] == found[1]


def test_an_interval_needs_five_patients_and_is_the_same_each_time():
    values = [0.1, 0.2, 0.15, 0.4, 0.05]
    assert interval(values[:4]) is None
    assert interval([0.1] * 5) == (0.1, 0.1)
    low, high = interval(values)
    assert min(values) < low < np.mean(values) < high < max(values)
    assert interval(values) == (low, high)
