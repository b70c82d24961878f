import keras
import numpy as np
import pytest

from tfadvseg.data.pipeline import Pool
from tfadvseg.models import AdversarialSegmenter, Discriminator, UNet
from tfadvseg.training.outliers import MARGIN, SHRINKAGE, distances, find_outliers


def test_distances_by_hand():
    """Two patients of two slices; one number a slice, so that C is 1."""
    known = {"a": np.array([[0.0], [2.0]]), "b": np.array([[4.0], [6.0]])}
    found = distances({"near": np.array([[3.0], [4.0], [9.0]]), "far": np.array([[90.0]])}, known)
    spread = np.sqrt(5.0)  # of 0, 2, 4 and 6
    assert found.patients["near"] == pytest.approx(1 / spread, rel=1e-4)
    assert found.patients["far"] == pytest.approx(87 / spread, rel=1e-4)
    # a from b: 5 and 3 away from 5 in a spread of 1, and b from a likewise: 4 each.
    assert found.limit == pytest.approx(MARGIN * 4, rel=1e-4)
    assert found.outliers == ["far"]


def test_what_goes_together_counts_together():
    """Slices whose two numbers are equal: one that parts them is far away."""
    rng = np.random.default_rng(0)
    line = rng.normal(size=(200, 1)).repeat(2, axis=1)
    known = {"a": line[:100], "b": line[100:]}
    ends = {"along": np.array([[1.0, 1.0]]), "across": np.array([[1.0, -1.0]])}
    found = distances(ends, known).patients
    expected = np.sqrt((2 - SHRINKAGE) / SHRINKAGE)  # of the eigenvalues of C
    assert found["across"] / found["along"] == pytest.approx(expected, rel=0.2)


def test_images_of_another_kind_are_found_and_left_out():
    keras.utils.set_random_seed(1)
    model = AdversarialSegmenter(UNet(3, 1, 4, 2, "instance"), Discriminator(3, (4, 8)))
    rng = np.random.default_rng(4)

    def pool(names, brightness=0.3):
        images = rng.normal(brightness, 0.1, (3 * len(names), 16, 16, 1)).astype(np.float32)
        return Pool(images, None, np.repeat(names, 3))

    labelled = [pool(["a", "b"]), pool(["c"])]
    usual, odd = pool(["d", "e", "f"]), pool(["x", "y"], 0.9)
    order = [0, 3, 1, 9, 10, 2, 4, 5, 6, 11, 12, 7, 8, 13, 14]  # mixed
    both = Pool(
        np.concatenate([usual.images, odd.images])[order],
        None,
        np.concatenate([usual.patients, odd.patients])[order],
    )
    found = find_outliers(model, both, labelled)
    assert sorted(found.outliers) == ["x", "y"]
    expected = both.images[np.isin(both.patients, ["d", "e", "f"])]
    rest = both.without(found.outliers)
    np.testing.assert_array_equal(rest.images, expected)
    assert set(rest.patients) == {"d", "e", "f"} and np.shares_memory(rest.images, both.images)
