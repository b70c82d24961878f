import numpy as np
import pytest
import tensorflow as tf

from tfadvseg.config import AUGMENTATIONS
from tfadvseg.data import pipeline
from tfadvseg.data.folders.cases import Case
from tfadvseg.data.formats.raster import write_png
from tfadvseg.data.geometry import Geometry
from tfadvseg.data.image import Image, Source
from tfadvseg.data.io import write_mask
from tfadvseg.data.pipeline import Pool, _graphs, hash_seed, load_pool, training_stream
from tfadvseg.data.preprocess import Preprocessing
from tfadvseg.errors import InputError


@pytest.fixture
def seed():
    return 19


@pytest.fixture
def rng(seed):
    return np.random.default_rng(seed)


def numbered(count, labelled=True):
    """A pool whose image i holds i everywhere, and mask i too."""
    images = np.broadcast_to(np.arange(count)[:, None, None, None], (count, 2, 3, 1))
    images = images.astype(np.float32)
    return Pool(images, images[..., 0].astype(np.uint8) if labelled else None)


def make(labelled, unlabelled=None, **settings):
    defaults = {"batch_size": 2, "unlabelled_batch_size": 3, "augmentations": (), "seed": 0}
    return training_stream(labelled, unlabelled, **{**defaults, **settings})


def stream(labelled, unlabelled=None, **settings):
    return make(labelled, unlabelled, **settings)(0)


def take(batches, count):
    # `as_numpy_iterator` of TensorFlow 2.17 fails on None.
    to_numpy = lambda x: None if x is None else x.numpy()  # noqa: E731
    return [tf.nest.map_structure(to_numpy, batch) for batch in batches.take(count)]


def order(batches, count, part=0):
    """The numbers of the first images of a stream: labelled (part 0) or unlabelled (1)."""
    parts = [images if part else images[0] for images in (b[part] for b in take(batches, count))]
    return [int(image[0, 0, 0]) for images in parts for image in images]


def flat(batch):
    (images, masks), unlabelled = batch
    return [images, masks, *([] if unlabelled is None else [unlabelled])]


def test_both_streams_keep_their_own_batch_size_shape_and_type():
    (images, masks), unlabelled = take(stream(numbered(5), numbered(7, labelled=False)), 1)[0]
    assert (images.shape, images.dtype) == ((2, 2, 3, 1), np.float32)
    assert (masks.shape, masks.dtype) == ((2, 2, 3), np.int32)
    assert (unlabelled.shape, unlabelled.dtype) == ((3, 2, 3, 1), np.float32)
    spec = stream(numbered(5), numbered(7, labelled=False)).element_spec
    assert spec[0][0].shape == (2, 2, 3, 1)
    assert spec[1].shape == (3, 2, 3, 1)


def test_unlabelled_is_none_where_there_is_no_pool():
    for (images, masks), unlabelled in take(stream(numbered(5)), 2):
        assert images.shape[0] == masks.shape[0] == 2
        assert unlabelled is None


def test_masks_belong_to_their_images():
    for (images, masks), _ in take(stream(numbered(9)), 12):
        np.testing.assert_array_equal(images[..., 0], masks)


@pytest.mark.parametrize("part", [0, 1])
def test_every_image_is_seen_once_a_pass_in_an_order_that_changes(part):
    batches = stream(
        numbered(10), numbered(10, labelled=False), batch_size=4, unlabelled_batch_size=4
    )
    seen = order(batches, 5, part)
    first, second = seen[:10], seen[10:]
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != list(range(10))
    assert second not in (first, list(range(10)))


def test_the_two_streams_are_shuffled_apart():
    settings = {"batch_size": 10, "unlabelled_batch_size": 10}
    (images, _), unlabelled = take(stream(numbered(10), numbered(10, False), **settings), 1)[0]
    assert images[:, 0, 0, 0].tolist() != unlabelled[:, 0, 0, 0].tolist()


def test_a_pool_smaller_than_the_batch_is_repeated():
    batches = stream(numbered(3), numbered(1, labelled=False), batch_size=7)
    seen = order(batches, 3)
    assert [sorted(seen[i : i + 3]) for i in range(0, 21, 3)] == [[0, 1, 2]] * 7
    assert order(batches, 2, part=1) == [0] * 6


@pytest.fixture
def pools(rng):
    """Small random images, so that augmentation shows."""
    labelled = rng.random((5, 8, 12, 1), np.float32), rng.integers(0, 3, (5, 8, 12), np.uint8)
    return Pool(*labelled), Pool(rng.random((4, 8, 12, 1), np.float32))


def test_seed_decides_order_and_augmentation(pools, seed):
    settings = {"augmentations": AUGMENTATIONS}
    first = take(stream(*pools, seed=seed, **settings), 4)
    again = take(stream(*pools, seed=seed, **settings), 4)
    other = take(stream(*pools, seed=seed + 1, **settings), 4)
    for a, b, c in zip(first, again, other, strict=True):
        for x, y, z in zip(flat(a), flat(b), flat(c), strict=True):
            np.testing.assert_array_equal(x, y)
            assert not np.array_equal(x, z)


@pytest.mark.parametrize("augmentations", [(), AUGMENTATIONS])
def test_a_stream_that_starts_later_goes_on_exactly(pools, seed, augmentations):
    """In the next round of a run, and in another process that resumes it."""
    made, resumed = (make(*pools, seed=seed, augmentations=augmentations) for _ in range(2))
    whole = take(made(0), 10)
    for start, starting_at in ((1, made), (7, made), (4, resumed)):
        rest = take(starting_at(start), 10 - start)
        for a, b in zip(whole[start:], rest, strict=True):
            for x, y in zip(flat(a), flat(b), strict=True):
                np.testing.assert_array_equal(x, y)


def test_the_augmentation_is_traced_once(pools, monkeypatch):
    """That takes a second with all of it, and a run starts the stream anew in every round."""
    traced, original = [], pipeline.recolour

    def spy(images, augmentations, step_seed):
        traced.append(images)
        return original(images, augmentations, step_seed)

    monkeypatch.setattr(pipeline, "recolour", spy)
    starting_at = make(*pools, augmentations=AUGMENTATIONS)
    for start in (0, 3, 6):
        take(starting_at(start), 1)
    assert len(traced) == 2  # labelled and unlabelled


def test_views_are_the_images_as_they_are_and_changed(pools, seed):
    settings = {"augmentations": ("affine", "gamma"), "seed": seed}
    both = take(stream(*pools, views=True, **settings), 3)
    changed = take(stream(*pools, **settings), 3)
    moved = take(stream(*pools, **{**settings, "augmentations": ("affine",)}), 3)
    plain = take(stream(*pools, seed=seed), 3)
    for (labelled, views), one, two, three in zip(both, changed, moved, plain, strict=True):
        np.testing.assert_array_equal(views.changed, one[1])
        np.testing.assert_allclose(views.moved, two[1], atol=1e-6)
        np.testing.assert_array_equal(views.plain, three[1])
        assert not np.allclose(views.moved, views.plain, atol=0.1)
        np.testing.assert_array_equal(labelled[0], one[0][0])


def test_views_without_changes_are_alike(pools):
    _, views = take(stream(*pools, views=True), 1)[0]
    np.testing.assert_array_equal(views.changed, views.plain)


def test_labelled_batches_do_not_depend_on_the_unlabelled_pool(pools, seed):
    settings = {"seed": seed, "augmentations": AUGMENTATIONS}
    with_it, without = (take(stream(pools[0], u, **settings), 4) for u in (pools[1], None))
    for a, b in zip(with_it, without, strict=True):
        for x, y in zip(a[0], b[0], strict=True):
            np.testing.assert_array_equal(x, y)


def test_an_image_changes_otherwise_each_time_it_is_seen(rng):
    pool = Pool(rng.random((1, 8, 8, 1), np.float32), np.zeros((1, 8, 8), np.uint8))
    batches = take(stream(pool, batch_size=1, augmentations=AUGMENTATIONS), 4)
    assert len({images.tobytes() for (images, _), _ in batches}) == 4


def test_hash_seed_tells_streams_and_seeds_apart():
    seeds = {hash_seed((seed, part)) for seed in range(50) for part in range(2)}
    assert len(seeds) == 100
    assert all(0 <= value < 2**31 for value in seeds)


# === load_pool ===


def write_case(folder, name, image, mask=None):
    write_png(folder / "images" / f"{name}.png", image)
    path = folder / "masks" / f"{name}.png"
    if mask is not None:
        write_png(path, mask)
    image_path = folder / "images" / f"{name}.png"
    return Case(name, Source((image_path,)), None if mask is None else path, patient=name)


def load(cases, size=(4, 6), window=(0.0, 255.0), crop=None, **settings):
    preprocessing = Preprocessing(size, crop, window)
    return load_pool(
        cases, preprocessing, **{"slice_axis": "acquisition", "ignore_label": 255, **settings}
    )


def test_load_pool_reads_images_and_masks_in_order(tmp_path, rng):
    images = rng.integers(0, 256, (7, 4, 6), np.uint8)
    masks = rng.integers(0, 3, (7, 4, 6), np.uint8)
    cases = [
        write_case(tmp_path, f"c{i}", *pair)
        for i, pair in enumerate(zip(images, masks, strict=True))
    ]
    pool = load(cases)
    assert (pool.images.dtype, pool.masks.dtype) == (np.float32, np.uint8)
    np.testing.assert_allclose(pool.images[..., 0], images / 255, atol=1e-6)
    np.testing.assert_array_equal(pool.masks, masks)


def test_load_pool_does_not_round_to_tensor_float_32(tmp_path, rng, monkeypatch):
    """As predictions, which the networks would else be trained for on other intensities."""
    rounded, seen = tf.config.experimental.tensor_float_32_execution_enabled, []
    read = pipeline.read_image

    def spy(source):
        seen.append(rounded())
        return read(source)

    monkeypatch.setattr(pipeline, "read_image", spy)
    load([write_case(tmp_path, "a", rng.integers(0, 256, (4, 6), np.uint8))])
    assert seen == [False] and rounded()


def test_load_pool_of_images_without_masks_has_none(tmp_path, rng):
    cases = [write_case(tmp_path, "a", rng.integers(0, 256, (4, 6), np.uint8))]
    pool = load(cases)
    assert pool.masks is None
    assert pool.images.shape == (1, 4, 6, 1)


def test_load_pool_brings_sizes_together_and_ignores_what_lies_outside(tmp_path):
    cases = [
        write_case(tmp_path, f"c{i}", np.full(size, 255, np.uint8), np.ones(size, np.uint8))
        for i, size in enumerate([(8, 12), (4, 4), (16, 4)])
    ]
    pool = load(cases, ignore_label=99)
    whole, square, tall = np.ones((4, 6)), np.zeros((4, 6)), np.zeros((4, 6))
    square[:, 1:5], tall[:, 2:4] = 1, 1  # a tall image covers one column, spread over two
    np.testing.assert_allclose(pool.images[0, ..., 0], whole, atol=1e-6)
    np.testing.assert_allclose(pool.images[1, ..., 0], square, atol=1e-6)
    np.testing.assert_array_equal(pool.masks[0], whole)
    np.testing.assert_array_equal(pool.masks[1], np.where(square, 1, 99))
    assert set(np.unique(pool.masks[2])) == {1, 99}
    assert (pool.masks[2][:, [0, 1, 4, 5]] == 99).all()


def test_load_pool_reads_colour_and_16_bit(tmp_path, rng):
    colour = rng.integers(0, 256, (4, 6, 3), np.uint8)
    pool = load([write_case(tmp_path, "colour", colour)])
    np.testing.assert_allclose(pool.images[0], colour / 255, atol=1e-6)
    deep = np.linspace(0, 65535, 24).astype(np.uint16).reshape(4, 6)
    pool = load([write_case(tmp_path, "deep", deep)], window=(1000.0, 40000.0))
    expected = np.clip((deep.astype(float) - 1000) / 39000, 0, 1)
    np.testing.assert_allclose(pool.images[0, ..., 0], expected, atol=1e-6)


def test_load_pool_names_a_file_that_cannot_be_read(tmp_path):
    cases = [write_case(tmp_path, f"c{i}", np.zeros((4, 6), np.uint8)) for i in range(3)]
    path = cases[1].image.path
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="c1.png"):
        load(cases)


def test_load_pool_shows_its_progress(tmp_path):
    cases = [write_case(tmp_path, f"c{i}", np.zeros((4, 6), np.uint8)) for i in range(3)]
    shown = []

    def progress(items, total):
        shown.append(total)
        for item in items:
            shown.append("read")
            yield item

    load(cases, progress=progress)
    assert shown == [3, "read", "read", "read"]


def test_load_pool_takes_every_slice_of_a_volume_and_pages_of_a_tiff(tmp_path, rng):
    """A volume whose axes run right, front and down comes as a radiologist would see it."""
    voxels = rng.integers(0, 256, (5, 4, 6)).astype(np.int16)
    labels = rng.integers(0, 3, (5, 4, 6), np.uint8)
    grid = Geometry((6, 4, 5), (1.0, 1.0, 3.0), (0.0, 0.0, 0.0), (-1, 0, 0, 0, -1, 0, 0, 0, -1))
    paths = [tmp_path / "image.nii.gz", tmp_path / "mask.mha", tmp_path / "pages.tif"]
    for path, array in zip(paths, (voxels, labels, voxels.astype(np.uint8)), strict=True):
        write_mask(path, Image(array, grid))
    case = Case("volume", Source((paths[0],)), paths[1], patient="p")
    pool = load([case, Case("pages", Source((paths[2],)), paths[2], patient="q")])
    turned = voxels[::-1, ::-1, ::-1]
    np.testing.assert_allclose(pool.images[:5, ..., 0], turned / 255, atol=1e-6)
    np.testing.assert_array_equal(pool.masks[:5], labels[::-1, ::-1, ::-1])
    np.testing.assert_array_equal(pool.masks[5:], voxels)


def test_load_pool_sees_channels_that_were_measured_apart_on_their_own_scales(tmp_path, rng):
    planes = rng.integers(0, 256, (2, 8, 8)).astype(np.uint8)
    planes[1] //= 50
    files = tuple(tmp_path / f"a_000{channel}.png" for channel in (0, 1))
    for file, plane in zip(files, planes, strict=True):
        write_png(file, plane)
    case = Case("a", Source(files), None, patient="p")
    pool = load([case], size=(8, 8), window="percentile-by-channel")
    low, high = np.percentile(planes, (0.5, 99.5), axis=(1, 2))[..., np.newaxis, np.newaxis]
    expected = np.clip((planes - low) / (high - low), 0, 1)
    np.testing.assert_allclose(pool.images[0].transpose(2, 0, 1), expected, atol=1e-5)


def test_load_pool_cuts_along_the_wished_axis(tmp_path, rng):
    voxels = rng.integers(0, 256, (5, 4, 6)).astype(np.int16)
    grid = Geometry((6, 4, 5), (1.0, 1.0, 3.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    write_mask(tmp_path / "a.nii.gz", Image(voxels, grid))
    case = Case("a", Source((tmp_path / "a.nii.gz",)), None, patient="p")
    pool = load([case], size=(5, 6), slice_axis="coronal")
    expected = voxels.transpose(1, 0, 2)[:, ::-1] / 255  # the head on top
    np.testing.assert_allclose(pool.images[..., 0], expected, atol=1e-6)


def test_nothing_sleeps_beside_the_stream_that_its_end_would_wait_for():
    """TensorFlow's tuner wakes at twice the time since the last time, and only then ends."""
    assert stream(numbered(5), numbered(7, labelled=False)).options().autotune.enabled is False


def test_graphs_are_traced_before_threads_share_them():
    """On 16 cores every thread began to trace, and TensorFlow complained into the terminal."""
    for graph in _graphs(Preprocessing((4, 4), None, "percentile"), 255):
        assert graph.experimental_get_tracing_count() == 1
