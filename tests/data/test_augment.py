import numpy as np
import pytest
import tensorflow as tf

from tfadvseg.config import AUGMENTATIONS
from tfadvseg.data.augment import (
    GAMMA,
    NOISE,
    ROTATION_DEGREES,
    SCALING,
    TRANSLATION,
    move,
    recolour,
)

GEOMETRY = ("flip", "affine", "elastic")


def augment(images, masks, names, seed):
    """What the stream does with labelled images."""
    images, masks = move(images, masks, names, seed)
    return recolour(images, names, seed), masks


@pytest.fixture
def seed():
    return tf.constant([7, 41], tf.int64)


@pytest.fixture
def rng():
    return np.random.default_rng(2)


@pytest.fixture
def batch(rng):
    images = tf.constant(rng.random((16, 24, 32, 2)), tf.float32)
    return images, tf.constant(rng.choice([0, 1, 4, 255], (16, 24, 32)), tf.int32)


@pytest.fixture
def blobs():
    """Masks of an off-centre ellipse with a bite, and the images that show exactly them."""
    rows, columns = np.mgrid[:48, :64]
    mask = ((rows - 20) / 12) ** 2 + ((columns - 26) / 17) ** 2 < 1
    mask &= ~((rows < 18) & (columns < 22))
    masks = tf.constant(np.repeat(mask[np.newaxis], 8, axis=0), tf.int32)
    return tf.cast(masks, tf.float32)[..., tf.newaxis], masks


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_seed_alone_decides(batch, seed, name):
    first, again = augment(*batch, [name], seed), augment(*batch, [name], seed)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    for other in (seed + [0, 1], seed + [1, 0]):
        assert not np.array_equal(augment(*batch, [name], other)[0], first[0])


def test_what_ran_before_does_not_matter(batch, seed):
    first = augment(*batch, AUGMENTATIONS, seed)[0]
    tf.random.normal((5,))
    np.testing.assert_array_equal(augment(*batch, AUGMENTATIONS, seed)[0], first)


def test_a_graph_gives_the_same(batch, seed):
    images, masks = augment(*batch, AUGMENTATIONS, seed)
    graph = tf.function(lambda i, m, s: augment(i, m, AUGMENTATIONS, s))(*batch, seed)
    np.testing.assert_allclose(graph[0], images, atol=1e-3)
    assert np.mean(graph[1] == masks) > 0.999


def test_no_names_change_nothing(batch, seed):
    for changed, original in zip(augment(*batch, (), seed), batch, strict=True):
        np.testing.assert_array_equal(changed, original)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_name_changes_images_and_only_geometry_changes_masks(batch, seed, name):
    images, masks = augment(*batch, [name], seed)
    assert not np.array_equal(images, batch[0])
    assert np.array_equal(masks, batch[1]) == (name not in GEOMETRY)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_images_of_a_batch_change_each_in_their_own_way(seed, rng, name):
    images = tf.constant(np.repeat(rng.random((1, 24, 32, 1)), 16, axis=0), tf.float32)
    changed = augment(images, None, [name], seed)[0].numpy()
    ways = len({image.tobytes() for image in changed})
    if name == "flip":
        assert ways == 2
    else:  # about half of the images are left as they are, all of them alike
        same = sum(np.array_equal(image, images[0]) for image in changed)
        assert 2 <= same <= 14 and ways == 16 - same + 1


@pytest.mark.parametrize("masked", [True, False])
def test_shapes_types_range_and_labels_are_kept(batch, seed, masked):
    images, masks = batch
    changed, changed_masks = augment(images, masks if masked else None, AUGMENTATIONS, seed)
    assert (changed.shape, changed.dtype) == (images.shape, images.dtype)
    assert 0 <= np.min(changed) and np.max(changed) <= 1
    if masked:
        assert (changed_masks.shape, changed_masks.dtype) == (masks.shape, masks.dtype)
        assert set(np.unique(changed_masks)) <= {0, 1, 4, 255}
    else:
        assert changed_masks is None


@pytest.mark.parametrize("names", [("flip",), ("affine",), ("elastic",), GEOMETRY])
def test_masks_move_with_the_images(blobs, seed, names):
    images, masks = augment(*blobs, names, seed)
    shown, masks = images.numpy()[..., 0], masks.numpy()
    # The nearest pixel weighs a quarter or more, so beyond these values it decides.
    assert (masks[shown > 0.76] == 1).all()
    assert (masks[shown < 0.24] == 0).all()
    assert 0 < masks.mean() < 1
    assert not np.array_equal(masks, blobs[1])


def test_images_move_the_same_with_and_without_masks(batch, seed):
    images, masks = batch
    with_masks = augment(images, masks, AUGMENTATIONS, seed)[0]
    np.testing.assert_array_equal(augment(images, None, AUGMENTATIONS, seed)[0], with_masks)


def test_flip_mirrors_exactly_left_to_right_or_leaves_as_it_is(batch, seed):
    flipped = []
    for image, mask, changed, changed_mask in zip(
        *batch, *augment(*batch, ["flip"], seed), strict=True
    ):
        mirrored = np.array_equal(changed, image[:, ::-1])
        assert mirrored or np.array_equal(changed, image)
        np.testing.assert_array_equal(changed_mask, mask[:, ::-1] if mirrored else mask)
        flipped.append(mirrored)
    assert 3 < sum(flipped) < 13


def test_affine_stays_within_its_limits(seed):
    rows, columns = np.meshgrid(np.arange(61.0), np.arange(81.0), indexing="ij")
    positions = tf.constant(np.stack([rows / 100, columns / 100], -1), tf.float32)
    positions = tf.repeat(positions[tf.newaxis], 64, axis=0)
    moved = augment(positions, None, ["affine"], seed)[0].numpy() * 100
    shift = (moved[:, 30, 40] - [30, 40]) / [61, 81]
    assert TRANSLATION * 0.8 < np.abs(shift).max() <= TRANSLATION + 1e-4
    down, right = moved[:, 33, 40] - moved[:, 30, 40], moved[:, 30, 43] - moved[:, 30, 40]
    lengths = np.linalg.norm([down, right], axis=-1) / 3
    assert 1 - SCALING - 1e-3 <= lengths.min() < 1 - SCALING * 0.7
    assert 1 + SCALING * 0.7 < lengths.max() <= 1 + SCALING + 1e-3
    angles = np.degrees(np.arctan2(-down[:, 1], down[:, 0]))
    assert np.abs(angles).max() <= ROTATION_DEGREES + 0.01
    assert angles.min() < -ROTATION_DEGREES * 0.7 and ROTATION_DEGREES * 0.7 < angles.max()
    np.testing.assert_allclose((down * right).sum(-1), 0, atol=1e-2)


def test_gamma_raises_to_a_power_of_each_image(seed):
    values = tf.constant(np.linspace(0.05, 0.95, 16).reshape(1, 4, 4, 1), tf.float32)
    images = tf.repeat(values, 32, axis=0)
    exponents = np.log(augment(images, None, ["gamma"], seed)[0]) / np.log(images)
    np.testing.assert_allclose(exponents, exponents[:, :1, :1] * np.ones((4, 4, 1)), rtol=1e-3)
    logs = np.log(exponents[:, 0, 0, 0])
    assert logs.min() < -GAMMA / 2 and GAMMA / 2 < logs.max()
    assert np.abs(logs).max() <= GAMMA + 1e-3


def test_noise_is_small_and_centred(seed):
    noise = augment(tf.fill((16, 32, 32, 1), 0.5), None, ["noise"], seed)[0].numpy() - 0.5
    spreads = noise.std((1, 2, 3))
    assert NOISE / 2 < spreads.max() <= NOISE * 1.1
    assert abs(noise.mean()) < 1e-3
