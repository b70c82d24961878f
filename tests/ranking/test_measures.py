"""Wrong, disputed and undecided pixels, against numbers worked out by hand."""

import numpy as np
import pytest

from tfadvseg.ranking.measures import Measures, class_chances, measure


def slice_of(*pixels):
    """One slice (1, 1, W, C) of float32."""
    return np.array(pixels, np.float32)[None, None]


def test_the_rest_of_p_right_is_shared_as_the_network_shares_it():
    """The first pixel is of class 1 with P(right) 0.6; 0.4 is left for 0.2 : 0.1."""
    chances = class_chances(slice_of((0.2, 0.7, 0.1), (0.9, 0.1, 0)), np.array([[[0.6, 0.8]]]))
    expected = [[0.4 * 2 / 3, 0.6, 0.4 / 3], [0.8, 0.2, 0]]
    np.testing.assert_allclose(chances[0, 0], expected, atol=1e-6)


def test_a_certain_pixel_has_no_rest():
    chances = class_chances(slice_of((1, 0, 0)), np.array([[[0.75]]]))
    np.testing.assert_array_equal(chances[0, 0], [[0.75, 0, 0]])


def test_measures_of_two_classes_and_three_pixels():
    """Pixels predicted as 1, 2 and background, right with 0.9, 0.5 and 0.8."""
    teacher = slice_of((0.25, 0.75, 0), (0, 0.5, 0.5000001), (0.5, 0.25, 0.25))
    student = slice_of((0.25, 0.25, 0.5), (0, 0.5, 0.5), (0.5, 0.25, 0.25))
    seen = measure(teacher, np.array([[[0.9, 0.5, 0.8]]], np.float32), student)
    coin = 0.1 * np.log2(10) + 0.9 * np.log2(10 / 9)  # the entropy of one that falls in 1 of 10
    # class 1: chances 0.9, 0.5, 0.1, predicted 1, 0, 0; class 2: 0, 0.5, 0.1, predicted 0, 1, 0
    amounts = [[0.1 + 0.5 + 0.1, 0.5 + 0.1], [0.5, 0.5], [coin + 1 + coin, 0 + 1 + coin]]
    both = [0.75 + 0.25 + 2 * 0.5 + 2 * 0.25, 0 + 0.5 + 2 * 0.5 + 2 * 0.25]
    sizes = [[1 + 1.5, 1 + 0.6], both]
    np.testing.assert_allclose(seen.amounts[0], amounts, atol=1e-5)
    np.testing.assert_allclose(seen.sizes[0], [*sizes, sizes[0]], atol=1e-5)


def test_without_a_student_nothing_is_disputed():
    seen = measure(slice_of((0.4, 0.6)), np.array([[[0.6]]]), None)
    assert not seen.amounts[0, 1].any() and not seen.sizes[0, 1].any()


def test_a_case_is_the_sum_of_its_slices():
    amounts = np.arange(9.0).reshape(3, 3, 1)
    both = Measures(amounts, 2 * amounts).summed(np.array([1, 0, 1]))
    assert both.amounts[..., 0].tolist() == [[3, 4, 5], [0 + 6, 1 + 7, 2 + 8]]
    assert both.sizes[..., 0].tolist() == [[6, 8, 10], [12, 16, 20]]


@pytest.mark.parametrize("right", [0.5, 0.8, 1.0])
def test_error_is_what_labels_drawn_from_the_chances_lack_of_dice(right):
    """A thousand label maps drawn from P(right): pooled, their Dice is the expected one."""
    generator = np.random.default_rng(0)
    teacher = slice_of(*generator.dirichlet((1, 1, 1), 50))
    rights = np.full(teacher.shape[:3], right, np.float32)
    chances = class_chances(teacher, rights)[0, 0]
    draws = generator.random((1000, 50, 1))
    labels = (draws > np.cumsum(chances, axis=-1)[None, :, :-1]).sum(axis=-1)
    predicted = teacher[0, 0].argmax(axis=-1)
    for index in (1, 2):
        both = ((labels == index) & (predicted == index)).sum()
        dice = 2 * both / ((labels == index).sum() + 1000 * (predicted == index).sum())
        seen = measure(teacher, rights, None)
        error = seen.amounts[0, 0, index - 1] / seen.sizes[0, 0, index - 1]
        assert error == pytest.approx(1 - dice, abs=0.01)
