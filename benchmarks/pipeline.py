"""Time of a training batch: decoding aside, does the input keep up with the training step?

Usage: python benchmarks/pipeline.py [--size 96] [--batches 50]
Prints milliseconds for 8 labelled and 8 unlabelled images, with and without augmentation; those
until the first batch, and until the first of every later round of training; and those that the end
of the stream takes, with TensorFlow's tuning of the stream too.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from tfadvseg.config import AUGMENTATIONS
from tfadvseg.data.pipeline import Pool, Stream, training_stream


def main() -> None:
    """Times both streams."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batches", type=int, default=50)
    arguments = parser.parse_args()
    shape = (200, arguments.size, arguments.size)
    rng = np.random.default_rng(0)
    images = rng.random((*shape, 1), np.float32)
    pool = Pool(images, rng.integers(0, 3, shape, dtype=np.uint8))
    for name, augmentations in (("no augmentation", ()), ("all augmentations", AUGMENTATIONS)):
        starting_at = training_stream(
            pool,
            Pool(images),
            batch_size=8,
            unlabelled_batch_size=8,
            augmentations=augmentations,
            seed=0,
        )
        first, later = (begin(starting_at, step) for step in (0, arguments.batches))
        print(f"{name:20s} {1000 * first:6.1f} ms to the first batch, {1000 * later:.1f} later")
        stream = starting_at(0)
        iterator = iter(stream)
        for _ in range(5):
            next(iterator)
        began = time.perf_counter()
        for _ in range(arguments.batches):
            next(iterator)
        seconds = (time.perf_counter() - began) / arguments.batches
        print(f"{name:20s} {1000 * seconds:6.1f} ms for a batch of 8 + 8")
    lengths = [arguments.batches * factor for factor in range(1, 9)]
    for name, tuned in (("end", False), ("end, tuned", True)):
        longest = max(end(stream, batches, tuned) for batches in lengths)
        print(f"{name:20s} {1000 * longest:6.1f} ms at most, after {lengths} batches")


def begin(starting_at: Stream, step: int) -> float:
    """Seconds until the first batch."""
    began = time.perf_counter()
    next(iter(starting_at(step)))
    return time.perf_counter() - began


def end(stream: tf.data.Dataset, batches: int, tuned: bool) -> float:
    """Seconds from the last batch until the stream is closed."""
    options = tf.data.Options()
    options.autotune.enabled = tuned
    iterator = iter(stream.with_options(options))
    for _ in range(batches):
        next(iterator)
    began = time.perf_counter()
    del iterator
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
