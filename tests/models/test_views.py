import numpy as np
import pytest
import tensorflow as tf

from tfadvseg.models import views


@pytest.fixture
def images():
    return tf.constant(np.random.default_rng(1).random((64, 12, 10, 2)), tf.float32)


def test_harder_images_stay_images_and_follow_the_seed(images):
    harder = views.harder(images, tf.constant([1, 2]))
    assert harder.shape == images.shape and harder.dtype == images.dtype
    assert float(tf.reduce_min(harder)) >= 0 and float(tf.reduce_max(harder)) <= 1
    np.testing.assert_array_equal(harder, views.harder(images, tf.constant([1, 2])))
    other = views.harder(images, tf.constant([1, 3]))
    assert (harder.numpy() != other.numpy()).any(axis=(1, 2, 3)).mean() > 0.9


def test_most_images_are_changed_and_each_in_its_own_way(images):
    same = tf.repeat(images[:1], 64, axis=0)
    harder = views.harder(same, tf.constant([4, 2])).numpy()
    changed = np.abs(harder - same.numpy()).max(axis=(1, 2, 3)) > 1e-4
    assert 0.85 < changed.mean()
    assert len({image.tobytes() for image in harder}) > 55


def test_blur_keeps_a_flat_image_and_smooths_a_rough_one(images):
    flat = tf.fill((1, 8, 8, 1), 0.3)
    np.testing.assert_allclose(views._blurred(flat), flat, rtol=1e-5)
    assert tf.math.reduce_std(views._blurred(images)) < 0.5 * tf.math.reduce_std(images)


def test_boxes_lie_inside_and_have_the_sizes_they_should():
    box = views.boxes(400, 40, 60, tf.constant([7, 1])).numpy()
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
    pasted = views.pasted(images, box).numpy()
    np.testing.assert_array_equal(pasted[:, :, 3:], images[:, :, 3:])
    np.testing.assert_array_equal(pasted[1:, :, :3], images[:-1, :, :3])
    np.testing.assert_array_equal(pasted[0, :, :3], images[-1, :, :3])
    classes = tf.constant(np.arange(64)[:, None, None] * np.ones((64, 12, 10), np.int64))
    assert views.pasted(classes, box).numpy()[5, 0].tolist() == [4] * 3 + [5] * 7
