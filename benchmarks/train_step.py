"""Time of a training step: recipes and normalisations.

Usage: python benchmarks/train_step.py [--size 96] [--rounds 20] [--out FILE.json]
Every round makes one step of each, so that a busy machine slows all alike. Prints the median time
and its ratio to that of recipe paper with the same normalisation. Machines differ: read the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from tfadvseg.building import build_model
from tfadvseg.config import Config
from tfadvseg.recipes import USE_UNLABELLED
from tfadvseg.run_folder import write_text
from tfadvseg.sampling import Views, grid

NORMS = ("instance", "group", "batch")
RECIPES = ("paper", "strong", "adversarial", "supervised")
SLICES = 8  # labelled ones in a step, and as many unlabelled ones


def main() -> None:
    """Times all of them in one process, step about."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    steps = {
        (recipe, norm): make(recipe, norm, arguments.size) for norm in NORMS for recipe in RECIPES
    }
    times: dict[tuple[str, str], list[float]] = {key: [] for key in steps}
    for _ in range(arguments.rounds):
        for key, step in steps.items():
            began = time.perf_counter()
            step()
            times[key].append(time.perf_counter() - began)
    found = {}
    for (recipe, norm), measured in times.items():
        median, paper = statistics.median(measured), statistics.median(times["paper", norm])
        found[f"{recipe}, {norm}"] = {
            "seconds": round(median, 4),
            "to_paper": round(median / paper, 3),
        }
        print(
            f"{recipe:12s} {norm:9s} {1000 * median:7.1f} ms   {median / paper:.2f} times paper's"
        )
    if arguments.out:
        write_text(arguments.out, json.dumps(found, indent=1) + "\n")


def make(recipe: str, norm: str, size: int) -> Callable[[], object]:
    """A training step that has run before, on images of noise."""
    names = ("background", "aorta", "pulmonary artery")
    config = Config(
        recipe=recipe,
        norm=norm,
        classes=names,
        channels=1,
        base_filters=16,
        warmup=0,
        discriminator_filters=(32, 64, 128),
    )
    model = build_model(config)
    images = tf.random.stateless_uniform((SLICES, size, size, 1), (0, 0))
    masks = tf.cast(images[..., 0] * 3, tf.int32)
    views = Views(images, images, grid(tf.shape(images)))
    unlabelled = views if model.takes_views else images
    unlabelled = unlabelled if recipe in USE_UNLABELLED else None
    step = tf.function(lambda: model.train_step(((images, masks), unlabelled)))
    for _ in range(2):
        step()
    return lambda: step()["loss"].numpy()


if __name__ == "__main__":
    main()
