"""From cases to the stream of training batches: `((images, masks), unlabelled)`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import tensorflow as tf

from tfadvseg.data.augment import move, recolour, sampling_points
from tfadvseg.data.folders.cases import Case
from tfadvseg.data.geometry import slicing
from tfadvseg.data.io import read_image, read_mask, reading_threads
from tfadvseg.data.preprocess import Preprocessing, batches
from tfadvseg.exact import exactly
from tfadvseg.progress import Progress, silent
from tfadvseg.sampling import Views, linear

Stream = Callable[[int], tf.data.Dataset]  # the batches from a step on


@dataclass(frozen=True)
class Pool:
    """Decoded and preprocessed slices, all of one size, with or without masks.

    Attributes:
        images: (N, H, W, K) float32 in [0, 1].
        masks: (N, H, W) uint8 class indices, or None.
        patients: (N,) the name of each slice's patient; empty where nobody asks.
    """

    images: np.ndarray
    masks: np.ndarray | None = None
    patients: np.ndarray = field(default_factory=lambda: np.empty(0, str))

    def without(self, patients: Collection[str]) -> Pool:
        """An unlabelled pool without some patients, in the same memory: this one is spent."""
        kept = np.flatnonzero(~np.isin(self.patients, list(patients)))
        for place, index in enumerate(kept):
            self.images[place] = self.images[index]
        return Pool(self.images[: len(kept)], None, self.patients[kept])


def load_pool(
    cases: Sequence[Case],
    preprocessing: Preprocessing,
    *,
    slice_axis: str,
    ignore_label: int,
    progress: Progress = silent,
) -> Pool:
    """Reads the slices of every case once; what lies outside the slice is ignored.

    Args:
        cases: all with a mask, or all without; at least one.
        preprocessing: window, crop and size.
        slice_axis: how volumes are cut, see `slicing`.
        ignore_label: mask value for pixels outside the slice.
        progress: wraps the cases to show how far reading has come.
    """
    to_images, to_masks = _graphs(preprocessing, ignore_label)

    def read(case: Case) -> tuple[np.ndarray, np.ndarray | None]:
        image = read_image(case.image)
        cut = slicing(image.geometry, slice_axis)
        spacing = np.array(cut.pixel_mm or (1, 1), np.float32)
        images = [
            to_images(part.astype(np.float32), spacing).numpy()
            for part in batches(cut.cut(image.voxels), preprocessing.size)
        ]
        if case.mask is None:
            return np.concatenate(images), None
        masks = [
            to_masks(part, spacing).numpy()
            for part in batches(cut.cut(read_mask(case.mask).voxels), preprocessing.size)
        ]
        return np.concatenate(images), np.concatenate(masks)

    with exactly(), reading_threads() as threads:
        parts = list(progress(threads.map(read, cases), len(cases)))
    images, masks = ([*column] for column in zip(*parts, strict=True))
    del parts
    names = [case.patient for case in cases]
    patients = np.repeat(names, [len(part) for part in images])
    return Pool(_joined(images), None if masks[0] is None else _joined(masks), patients)


@lru_cache(maxsize=8)
def _graphs(preprocessing: Preprocessing, ignore_label: int) -> tuple[Callable, Callable]:
    """`Preprocessing.images` and `masks` as graphs, traced once for all pools of a run.

    They are traced here: threads that called them first would each begin to trace.
    """
    any_slices = tf.TensorSpec((None, None, None, None), tf.float32)
    any_masks = tf.TensorSpec((None, None, None), tf.uint8)
    pixel = tf.TensorSpec((2,), tf.float32)
    to_images = tf.function(preprocessing.images, input_signature=[any_slices, pixel])
    to_masks = tf.function(
        lambda masks, spacing: preprocessing.masks(masks, ignore_label, spacing),
        input_signature=[any_masks, pixel],
    )
    to_images.get_concrete_function()
    to_masks.get_concrete_function()
    return to_images, to_masks


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """The parts as one array; each is let go as it is copied, so that memory never doubles."""
    count = sum(len(part) for part in parts)
    whole = np.empty((count, *parts[0].shape[1:]), parts[0].dtype)
    while parts:
        part = parts.pop()
        whole[count - len(part) : count] = part
        count -= len(part)
    return whole


def training_stream(
    labelled: Pool,
    unlabelled: Pool | None,
    *,
    batch_size: int,
    unlabelled_batch_size: int,
    augmentations: Sequence[str],
    seed: int,
    views: bool = False,
) -> Stream:
    """An endless stream of `((images, masks), unlabelled)`, one element an optimizer step.

    Each of the two streams is shuffled and repeated on its own and keeps its own batch size.
    Batch n depends on n, the seed and TensorFlow's global seed, so a stream that starts at step n
    goes on exactly where an interrupted one stopped.

    Args:
        labelled: images with masks.
        unlabelled: images without; None gives None in their place.
        batch_size: labelled images in a batch.
        unlabelled_batch_size: unlabelled images in a batch.
        augmentations: changes to make, see `augment.move` and `augment.recolour`.
        seed: of the order and of the augmentation.
        views: whether an unlabelled batch is `Views`: the images as they are, and changed.

    Returns:
        A function that gives the stream from a step on, as each round of training asks for it; it
        traces its graphs at the first call only.
    """
    changes = tuple(augmentations)
    streams = [_stream(labelled, batch_size, changes, (seed, 0))]
    if unlabelled is not None:
        size, seeds = unlabelled_batch_size, (seed, 1)
        streams.append(_stream(unlabelled, size, changes, seeds, views=views))

    def starting_at(step: int) -> tf.data.Dataset:
        parts = tuple(stream(step) for stream in streams)
        if unlabelled is None:
            dataset = parts[0].map(lambda images, masks: ((images, masks), None))
        else:
            dataset = tf.data.Dataset.zip(parts)
        return dataset.prefetch(2).with_options(_untuned())

    return starting_at


def _untuned() -> tf.data.Options:
    """No thread that tunes the stream: it sleeps for up to a minute, and the end waits for it."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def _stream(
    pool: Pool,
    batch_size: int,
    augmentations: Sequence[str],
    seed: tuple[int, int],
    *,
    views: bool = False,
) -> Stream:
    """Batches of one pool: order -> gather from memory -> augment."""
    count, masks = len(pool.images), pool.masks
    image_shape = (batch_size, *pool.images.shape[1:])

    def gather(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        images = tf.numpy_function(lambda i: pool.images[i], [indices], tf.float32, stateful=False)
        images = tf.ensure_shape(images, image_shape)
        if masks is None:
            return images, None
        labels = tf.numpy_function(lambda i: masks[i], [indices], tf.uint8, stateful=False)
        return images, tf.cast(tf.ensure_shape(labels, image_shape[:-1]), tf.int32)

    @tf.function  # a dataset that is mapped by it does not trace it again
    def make(indices: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, ...] | tf.Tensor:
        images, labels = gather(indices)
        step_seed = tf.stack([tf.constant(hash_seed(seed), tf.int64), step])
        if views:
            points = sampling_points(tf.shape(images), augmentations, step_seed)
            changed = recolour(linear(images, points), augmentations, step_seed)
            return Views(images, changed, points)
        images, labels = move(images, labels, augmentations, step_seed)
        changed = recolour(images, augmentations, step_seed)
        return changed if labels is None else (changed, labels)

    def starting_at(step: int) -> tf.data.Dataset:
        order = tf.data.Dataset.range(count).shuffle(count, seed=hash_seed(seed)).repeat()
        batches = order.skip(step * batch_size).batch(batch_size, drop_remainder=True)
        numbered = tf.data.Dataset.zip((batches, tf.data.Dataset.counter(step, dtype=tf.int64)))
        return numbered.map(make, num_parallel_calls=2, deterministic=True)

    return starting_at


def hash_seed(seed: tuple[int, int]) -> int:
    """One well-mixed 31-bit seed from several numbers."""
    return int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1)
