import cv2
import numpy as np
import pytest
import tensorflow as tf

from tfadvseg.config import Config
from tfadvseg.data import preprocess
from tfadvseg.data.preprocess import interpolation
from tfadvseg.windows import PER_IMAGE

UNIT = (0.0, 1.0)


class Preprocessing(preprocess.Preprocessing):
    """The same on one slice."""

    def image(self, image, *spacing):
        return self.images(image[None], *spacing)[0]

    def mask(self, mask, outside, *spacing):
        return self.masks(mask[None], outside, *spacing)[0]

    def restore(self, maps, shape, *spacing):
        return super().restore(maps[None], shape, *spacing)[0]


@pytest.fixture
def rng():
    return np.random.default_rng(17)


def resize(image, size):
    """By the matrices that Preprocessing uses, without a window or a crop."""
    height, width = image.shape[:2]
    rows = interpolation(height, size[0], 0.0, height / size[0])
    columns = interpolation(width, size[1], 0.0, width / size[1])
    return np.einsum("hi,ijk,wj->hwk", rows, image, columns)


def smooth(height, width):
    rows, columns = np.mgrid[:height, :width]
    wave = 0.5 + 0.25 * np.sin(rows / height * 5) + 0.25 * np.cos(columns / width * 4)
    return tf.constant(wave[..., np.newaxis], tf.float32)


# === Interpolation ===


@pytest.mark.parametrize(
    ("source", "target"),
    [((20, 30), (20, 30)), ((20, 30), (47, 31)), ((40, 37), (10, 13)), ((9, 50), (31, 8))],
)
def test_interpolation_equals_tensorflows_antialiased_resize(rng, source, target):
    image = rng.random((*source, 2)).astype(np.float32)
    expected = tf.image.resize(image, target, antialias=True)
    np.testing.assert_allclose(resize(image, target), expected, atol=1e-5)


def test_interpolation_equals_opencvs_when_it_enlarges(rng):
    image = rng.random((20, 30, 1)).astype(np.float32)
    expected = cv2.resize(image, (77, 33), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(resize(image, (33, 77))[..., 0], expected, atol=1e-5)


def test_shrinking_averages_over_all_source_pixels():
    stripes = np.tile([0.0, 1.0], 32)[np.newaxis, :, np.newaxis] * np.ones((64, 1, 1))
    np.testing.assert_allclose(resize(stripes, (16, 16)), 0.5, atol=0.05)


def test_rows_of_the_matrix_sum_to_1_inside_and_0_outside():
    matrix = interpolation(6, 10, -2.0, 1.0).numpy()
    np.testing.assert_allclose(matrix.sum(1), [0, 0, 1, 1, 1, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(matrix[2:8], np.eye(6))


# === Geometry ===


def test_an_image_of_the_networks_size_stays_as_it_is(rng):
    image = tf.constant(rng.random((8, 12, 3)), tf.float32)
    mask = tf.constant(rng.integers(0, 3, (8, 12)), tf.uint8)
    same = Preprocessing((8, 12), None, UNIT)
    np.testing.assert_array_equal(same.image(image), image)
    np.testing.assert_array_equal(same.mask(mask, 255), mask)
    np.testing.assert_array_equal(same.restore(image, tf.constant([8, 12])), image)


@pytest.mark.parametrize(
    ("shape", "top", "left"), [((13, 11), 2, 1), ((12, 30), 2, 11), ((8, 8), 0, 0)]
)
def test_a_crop_without_resizing_cuts_the_centre_exactly(rng, shape, top, left):
    image = tf.constant(rng.random((*shape, 2)), tf.float32)
    mask = tf.constant(rng.integers(0, 5, shape), tf.uint8)
    crop = Preprocessing((8, 8), (8, 8), UNIT)
    rows, columns = slice(top, top + 8), slice(left, left + 8)
    np.testing.assert_array_equal(crop.image(image), image[rows, columns])
    np.testing.assert_array_equal(crop.mask(mask, 255), mask[rows, columns])


def test_a_crop_larger_than_the_image_is_filled_with_0_and_ignored(rng):
    image = tf.constant(rng.uniform(0.1, 1, (5, 20, 1)), tf.float32)
    mask = tf.constant(rng.integers(0, 3, (5, 20)), tf.uint8)
    crop = Preprocessing((8, 8), (8, 8), UNIT)
    expected, expected_mask = np.zeros((8, 8, 1)), np.full((8, 8), 255)
    expected[2:7], expected_mask[2:7] = image[:, 6:14], mask[:, 6:14]
    np.testing.assert_array_equal(crop.image(image), expected)
    np.testing.assert_array_equal(crop.mask(mask, 255), expected_mask)


def test_a_crop_is_resized_to_the_networks_size(rng):
    image = tf.constant(rng.random((30, 40, 1)), tf.float32)
    cropped = Preprocessing((8, 8), (16, 16), UNIT).image(image)
    expected = tf.image.resize(image[7:23, 12:28], (8, 8), antialias=True)
    # Antialiasing reaches a pixel beyond the window, which only the whole image has.
    np.testing.assert_allclose(cropped[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-5)


@pytest.mark.parametrize("wide", [True, False])
def test_aspect_ratio_is_kept_with_0_and_ignore_outside(rng, wide):
    shape, inner = ((10, 20), (8, 16)) if wide else ((20, 10), (16, 8))
    image = tf.constant(rng.uniform(0.1, 1, (*shape, 1)), tf.float32)
    whole = Preprocessing((16, 16), None, UNIT)
    seen = whole.image(image).numpy()
    inside = (slice(4, 12), slice(None)) if wide else (slice(None), slice(4, 12))
    expected = np.zeros((16, 16, 1))
    expected[inside] = tf.image.resize(image, inner, antialias=True)
    np.testing.assert_allclose(seen, expected, atol=1e-5)
    ignored = np.full((16, 16), 9)
    ignored[inside] = 1
    np.testing.assert_array_equal(whole.mask(tf.ones(shape, tf.uint8), 9), ignored)


def test_the_same_scale_serves_both_axes():
    rows, columns = np.mgrid[:60, :90]
    disk = ((rows - 30) ** 2 + (columns - 45) ** 2 < 20**2).astype(np.float32)
    seen = Preprocessing((32, 64), None, UNIT).image(tf.constant(disk[..., np.newaxis])).numpy()
    high, across = (seen[..., 0].max(axis) > 0.5 for axis in (1, 0))
    assert high.sum() == pytest.approx(across.sum(), abs=1)
    assert high.sum() == pytest.approx(40 / 60 * 32, abs=1.5)


def test_masks_are_taken_from_the_pixel_under_the_centre():
    mask = tf.constant([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]], tf.uint8)
    nine = tf.repeat(tf.repeat(mask, 3, axis=0), 3, axis=1)
    np.testing.assert_array_equal(Preprocessing((4, 4), None, UNIT).mask(nine, 255), mask)
    enlarged = Preprocessing((8, 8), None, UNIT).mask(mask, 255)
    np.testing.assert_array_equal(enlarged, np.kron(mask, np.ones((2, 2))))


def test_masks_lie_where_the_image_lies(rng):
    rows, columns = np.mgrid[:50, :71]
    mask = ((rows - 21) ** 2 + (columns - 40) ** 2 < 15**2).astype(np.uint8)
    for crop in (None, (40, 60)):
        both = Preprocessing((24, 36), crop, UNIT)
        seen = both.image(tf.constant(mask[..., np.newaxis], tf.float32)).numpy()[..., 0]
        taken = both.mask(tf.constant(mask), 0).numpy()
        assert (taken[seen > 0.9] == 1).all()
        assert (taken[seen < 0.1] == 0).all()


def test_dynamic_sizes_give_the_same_in_a_graph(rng):
    whole = Preprocessing((16, 16), None, "percentile")
    graph = tf.function(whole.image, input_signature=[tf.TensorSpec((None, None, 1), tf.float32)])
    for shape in [(10, 20), (33, 17)]:
        image = tf.constant(rng.random((*shape, 1)), tf.float32)
        np.testing.assert_allclose(graph(image), whole.image(image), atol=1e-5)


# === Back to the image's grid ===


@pytest.mark.parametrize("shape", [(64, 64), (20, 20), (40, 60), (61, 35), (20, 24)])
def test_restore_inverts_image(shape):
    whole = Preprocessing((32, 32), None, UNIT)
    image = smooth(*shape)
    restored = whole.restore(whole.image(image), tf.constant(shape)).numpy()
    assert restored.shape == image.shape
    error = np.abs(restored - image)
    assert error[2:-2, 2:-2].max() < 0.02  # at the border it meets the padding
    assert error.max() < (0.06 if shape[0] == shape[1] else 0.5)


def test_restore_inverts_a_crop_and_is_0_outside_it():
    crop = Preprocessing((24, 16), (24, 16), UNIT)
    image = 0.1 + 0.9 * smooth(50, 41)
    restored = crop.restore(crop.image(image), tf.constant([50, 41])).numpy()
    expected = np.zeros((50, 41, 1))
    expected[13:37, 12:28] = image[13:37, 12:28]
    np.testing.assert_allclose(restored, expected, atol=1e-6)


def test_restore_of_a_resized_crop_is_0_outside_it():
    crop = Preprocessing((12, 8), (24, 16), UNIT)
    restored = crop.restore(tf.ones((12, 8, 1)), tf.constant([50, 41])).numpy()
    expected = np.zeros((50, 41, 1))
    expected[13:37, 12:28] = 1
    np.testing.assert_allclose(restored, expected, atol=1e-6)


def test_restore_cuts_what_was_padded():
    whole = Preprocessing((16, 16), None, UNIT)
    maps = np.zeros((16, 16, 1), np.float32)
    maps[4:12] = 1  # the image's rows; the rest is padding
    restored = whole.restore(tf.constant(maps), tf.constant([16, 32])).numpy()
    assert restored.shape == (16, 32, 1)
    np.testing.assert_allclose(restored[1:-1], 1, atol=1e-6)


@pytest.mark.parametrize(("size", "grid"), [(64, 32), (64, 16), (60, 40), (48, 48)])
def test_outlines_stay_in_place(rng, size, grid):
    """At every centre of half the grid four pixels are equally near."""
    across = np.arange(size) + 0.5
    moved, areas = [], []
    for centre in rng.uniform(size / 3, 2 * size / 3, (40, 2)):
        mask = np.hypot(*np.ix_(across - centre[0], across - centre[1])) < size / 6
        there = Preprocessing((grid, grid), None, "minmax")
        seen = there.mask(tf.constant(mask, tf.uint8), 255)
        areas.append((size / grid) ** 2 * np.sum(seen) / np.sum(mask))
        maps = tf.one_hot(seen, 2)
        back = there.restore(maps, tf.constant([size, size])).numpy().argmax(-1)
        moved.append(np.subtract(*(np.mean(np.nonzero(one), axis=1) for one in (back, mask))))
    np.testing.assert_allclose(np.mean(moved, axis=0), 0, atol=0.15)
    assert np.mean(areas) == pytest.approx(1, abs=0.02)


def test_equally_near_pixels_vote_and_ties_go_to_the_larger_and_the_smaller_in_turn():
    blocks = [[0, 0, 0, 1], [1, 2, 2, 2], [0, 1, 1, 0], [0, 255, 255, 0], [3, 2, 1, 0]]
    mask = np.concatenate([np.reshape(block, (2, 2)) for block in blocks], axis=1)
    seen = Preprocessing((1, 5), None, "minmax").mask(tf.constant(mask, tf.uint8), 255)
    assert seen.numpy().tolist() == [[0, 2, 1, 0, 3]]


# === Intensities ===


def rescale(image, window):
    """The image on its own grid, so that the intensities alone change."""
    return Preprocessing(tuple(image.shape[:2]), None, window).image(tf.constant(image)).numpy()


def test_percentile_window_equals_numpys(rng):
    image = rng.gamma(2.0, 300.0, (41, 37, 1)).astype(np.float32)
    low, high = np.percentile(image, [0.5, 99.5])
    expected = np.clip((image - low) / (high - low), 0, 1)
    result = rescale(image, "percentile")
    np.testing.assert_allclose(result, expected, atol=1e-5)
    assert (result == 0).any() and (result == 1).any()


def test_channels_of_their_own_scales_are_seen_as_if_alone(rng):
    ct, pet = (scale * rng.random((20, 21, 1)).astype(np.float32) for scale in (3000, 5))
    both = np.concatenate([ct, pet], axis=-1)
    apart = np.concatenate([rescale(one, "percentile") for one in (ct, pet)], axis=-1)
    np.testing.assert_allclose(rescale(both, "percentile-by-channel"), apart, atol=1e-6)
    assert rescale(both, "percentile")[..., 1].max() < 0.01


def test_percentile_window_ignores_a_few_extreme_pixels(rng):
    image = rng.random((40, 40, 1)).astype(np.float32)
    image[0, 0], image[1, 1] = 1e6, -1e6
    result = rescale(image, "percentile")
    np.testing.assert_allclose(result[2:], image[2:], atol=0.03)


def test_minmax_window_takes_the_whole_range():
    image = tf.constant([[[-3.0], [1.0], [5.0]]])
    np.testing.assert_allclose(rescale(image, "minmax"), [[[0], [0.5], [1]]])


def test_fixed_window_clips_16_bit_values():
    image = tf.constant([[[0.0], [1000.0], [2000.0], [3000.0], [65535.0]]])
    result = rescale(image, (1000.0, 3000.0))
    np.testing.assert_allclose(result, [[[0], [0], [0.5], [1], [1]]])


def test_fixed_window_takes_negative_values():
    image = tf.constant([[[-1024.0], [-160.0], [40.0], [240.0]]])
    np.testing.assert_allclose(rescale(image, (-160.0, 240.0)), [[[0], [0], [0.5], [1]]])


@pytest.mark.parametrize("window", PER_IMAGE)
def test_window_is_of_the_part_that_the_network_sees(rng, window):
    image = rng.uniform(100, 200, (30, 31, 1)).astype(np.float32)
    image[:5], image[:, -5:] = 5000, -5000  # outside the crop
    crop = Preprocessing((16, 16), (16, 16), window)
    inside = image[7:23, 7:23]
    np.testing.assert_allclose(crop.image(tf.constant(image)), rescale(inside, window), atol=1e-5)


@pytest.mark.parametrize("window", PER_IMAGE)
def test_a_flat_image_gives_0_and_not_nan(window):
    np.testing.assert_array_equal(rescale(tf.fill((6, 5, 1), 700.0), window), np.zeros((6, 5, 1)))


@pytest.mark.parametrize("window", ["percentile", "percentile-by-channel"])
@pytest.mark.parametrize("bisects", [False, True])
def test_a_few_bright_pixels_on_black_are_seen(window, bisects):
    """Fewer than the percentiles pass over: both are 0."""
    image = np.zeros((1, 40, 40, 2), np.float32)
    image[0, 3, :4] = 50, 100
    scale = preprocess.Preprocessing((40, 40), None, window, bisects=bisects)
    seen = scale.images(tf.constant(image))[0, 3, 0]
    np.testing.assert_allclose(seen, [1, 1] if "channel" in window else [0.5, 1], atol=1e-6)


def test_window_is_applied_before_sampling():
    image = tf.constant(
        np.tile([0.0, 5000.0], 8).reshape(1, 16, 1) * np.ones((16, 1, 1)), tf.float32
    )
    seen = Preprocessing((4, 4), None, (0.0, 1000.0)).image(image)
    np.testing.assert_allclose(seen, 0.5, atol=0.1)


def test_settings_come_from_the_configuration():
    expected = Preprocessing((64, 64), None, "percentile")
    assert Preprocessing.from_config(Config(image_size=64)) == expected
    config = Config(image_size=[32, 48], crop=[64, 96], window=[-10, 20])
    assert Preprocessing.from_config(config) == Preprocessing((32, 48), (64, 96), (-10.0, 20.0))


# === Pixel size ===


@pytest.mark.parametrize("spacing", [(0.5, 0.5), (0.8, 0.4), (2.0, 1.0)])
def test_pixels_get_the_wished_size_and_come_back(spacing):
    """A square of 8 x 8 mm has 8 x 8 pixels of 1 mm, whatever the pixels of its image."""
    shape = [round(24 / spacing[0]), round(32 / spacing[1])]
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    down, right = ((rows + 0.5) * spacing[0], (columns + 0.5) * spacing[1])
    square = ((abs(down - 12) < 4) & (abs(right - 16) < 4)).astype(np.float32)
    millimetres = Preprocessing((16, 20), None, UNIT, (1.0, 1.0))
    seen = millimetres.image(tf.constant(square[..., None]), spacing).numpy()[..., 0]
    expected = np.zeros((16, 20))
    expected[4:12, 6:14] = 1
    np.testing.assert_array_equal(seen > 0.5, expected)
    mask = millimetres.mask(tf.constant(square, tf.uint8), 255, spacing)
    np.testing.assert_array_equal(mask, expected)
    back = millimetres.restore(tf.constant(seen[..., None]), tf.constant(shape), spacing)
    middle = tuple(length // 2 for length in shape)
    np.testing.assert_array_equal(back[middle[0], :, 0] > 0.5, square[middle[0]])
    np.testing.assert_array_equal(back[:, middle[1], 0] > 0.5, square[:, middle[1]])


def test_without_a_wish_the_pixel_size_of_an_image_changes_nothing(rng):
    image = tf.constant(rng.random((9, 14, 1)), tf.float32)
    whole = Preprocessing((8, 8), None, "percentile")
    np.testing.assert_array_equal(whole.image(image), whole.image(image, (0.3, 0.7)))


# === Batches ===


def test_every_slice_of_a_batch_has_its_own_percentiles(rng):
    slices = rng.normal(0, 1, (3, 20, 20, 1)) * [[[[1]]], [[[50]]], [[[900]]]]
    together = Preprocessing((8, 8), None, "percentile")
    alone = [together.image(tf.constant(image, tf.float32)) for image in slices]
    np.testing.assert_allclose(together.images(tf.constant(slices, tf.float32)), alone, atol=1e-6)


def test_batches_are_the_slices_in_order_whatever_their_size():
    slices = np.arange(7)[:, None, None, None] * np.ones((1, 700, 700, 1))
    parts = list(preprocess.batches(slices, (64, 64)))
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate(parts), slices)
