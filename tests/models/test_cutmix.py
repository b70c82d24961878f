import numpy as np
import pytest
import tensorflow as tf

from tfadvseg.models import cutmix


@pytest.fixture
def images():
    return tf.constant(np.random.default_rng(1).random((64, 12, 10, 2)), tf.float32)


def test_boxes_lie_inside_and_have_the_sizes_they_should():
    box = cutmix.boxes(400, 40, 60, tf.constant([7, 1])).numpy()
    assert set(np.unique(box)) == {0, 1}
    shares = box.mean(axis=(1, 2))
    assert 0.4 < (shares > 0).mean() < 0.6  # about every other image
    inside = shares[shares > 0]
    assert inside.min() > 0.07 and inside.max() < 0.55
    for one in box[shares > 0]:  # each is a rectangle
        rows, columns = one.any(axis=1), one.any(axis=0)
        np.testing.assert_array_equal(one, np.outer(rows, columns))


def test_what_is_pasted_comes_from_the_neighbour(images):
    box = tf.concat([tf.ones((64, 12, 3)), tf.zeros((64, 12, 7))], axis=2)
    pasted = cutmix.pasted(images, box).numpy()
    np.testing.assert_array_equal(pasted[:, :, 3:], images[:, :, 3:])
    np.testing.assert_array_equal(pasted[1:, :, :3], images[:-1, :, :3])
    np.testing.assert_array_equal(pasted[0, :, :3], images[-1, :, :3])
    classes = tf.constant(np.arange(64)[:, None, None] * np.ones((64, 12, 10), np.int64))
    assert cutmix.pasted(classes, box).numpy()[5, 0].tolist() == [4] * 3 + [5] * 7
