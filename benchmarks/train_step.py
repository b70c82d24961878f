"""Time of a training step: recipes, normalisations, and what one forward pass of D saves.

Usage: python benchmarks/train_step.py [--size 96] [--steps 10]
Prints images per second and the ratio to the first row. Read the ratios: machines differ.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from tfadvseg.building import build_model
from tfadvseg.config import USE_UNLABELLED, Config

ROWS = (
    ("paper, instance norm", {"norm": "instance"}),
    ("paper, group norm", {"norm": "group"}),
    ("paper, batch norm", {"norm": "batch"}),
    ("paper, instance norm, bfloat16", {"norm": "instance", "precision": "bfloat16"}),
    ("strong, instance norm", {"recipe": "strong", "norm": "instance"}),
    ("strong, batch norm", {"recipe": "strong", "norm": "batch"}),
    ("adversarial, instance norm", {"recipe": "adversarial", "norm": "instance"}),
    ("supervised, instance norm", {"recipe": "supervised", "norm": "instance"}),
)


def main() -> None:
    """Times every row in one process, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--steps", type=int, default=10)
    arguments = parser.parse_args()
    first = None
    for name, settings in ROWS:
        speed = images_per_second(settings, arguments.size, arguments.steps)
        first = first or speed
        print(f"{name:35s} {speed:7.1f} images/s   {speed / first:.2f}")


def images_per_second(settings: dict, size: int, steps: int) -> float:
    """The median speed of a step on 8 labelled (and 8 unlabelled) images."""
    names = ("background", "aorta", "pulmonary artery")
    config = Config(classes=names, channels=1, base_filters=16, warmup=0, **settings)
    model = build_model(config.replace(discriminator_filters=(32, 64, 128)))
    images = tf.random.stateless_uniform((8, size, size, 1), (0, 0))
    masks = tf.cast(images[..., 0] * 3, tf.int32)
    unlabelled = images if config.recipe in USE_UNLABELLED else None
    step = tf.function(lambda: model.train_step(((images, masks), unlabelled)))
    for _ in range(2):
        step()
    times = []
    for _ in range(steps):
        began = time.perf_counter()
        step()["loss"].numpy()
        times.append(time.perf_counter() - began)
    return (8 if unlabelled is None else 16) / statistics.median(times)


if __name__ == "__main__":
    main()
