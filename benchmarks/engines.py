"""How fast each engine predicts, one slice and eight slices at a time, and how equal.

Usage: python benchmarks/engines.py [--size 256] [--filters 16] [--steps 60] [--rounds 10]
A U-Net is trained for a moment on a drawn phantom, converted for every engine, and asked in turns,
so that all see the same machine. What cannot run here is skipped aloud. Read the ratios.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from tfadvseg.config import Config
from tfadvseg.data.image import Source
from tfadvseg.data.phantom import write_phantom
from tfadvseg.errors import ExportError, InputError
from tfadvseg.export.conversions import Conversions
from tfadvseg.export.openvino_model import export_openvino
from tfadvseg.inference.engines import MODEL_FILES
from tfadvseg.inference.exported import ExportedPredictor
from tfadvseg.inference.predictor import SlicePredictor
from tfadvseg.training import fit

COUNTS = (1, 8)


def main() -> None:
    """Prints a line an engine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["XDG_CACHE_HOME"] = str(root / "cache")
        images = _train(root, arguments.size, arguments.filters, arguments.steps)
        predictors = _load(root, images)
        slices = Conversions(root / "run", "best", images).samples[0].voxels[None]
        _compare(predictors, slices.astype(np.float32), arguments.rounds)


def _train(root: Path, size: int, filters: int, steps: int) -> list[Source]:
    """A run of few steps: weights that are not random, so that engines can be compared."""
    write_phantom(root / "data", patients=5, slices=4, size=size)
    config = Config(
        data=str(root / "data"),
        recipe="adversarial",
        image_size=size,
        base_filters=filters,
        batch_size=4,
        steps=steps,
    )
    fit(config, root / "run")
    return [Source((file,)) for file in sorted((root / "data" / "images").iterdir())]


def _load(root: Path, images: list[Source]) -> dict[str, SlicePredictor]:
    """The engines that can compute here."""
    conversions, found = Conversions(root / "run", "best", images), {}
    loaders: dict[str, Callable[[], SlicePredictor]] = {
        engine: lambda engine=engine: conversions.load(engine) for engine in MODEL_FILES
    }
    loaders["openvino int8"] = lambda: ExportedPredictor.load(
        export_openvino(root / "run", root / "int8", int8=True, confidence=True)[0]
    )
    for name, load in loaders.items():
        try:
            found[name] = load()
        except (ExportError, InputError) as error:
            print(f"SKIPPED {name}: {error}")
    return found


def _compare(predictors: dict[str, SlicePredictor], one: np.ndarray, rounds: int) -> None:
    """Asks all in turns."""
    masks, seconds = {}, {(name, count): [] for name in predictors for count in COUNTS}
    for turn in range(rounds + 1):
        for name, predictor in predictors.items():
            for count in COUNTS:
                slices = np.repeat(one, count, axis=0)
                began = time.perf_counter()
                masks[name] = predictor(slices).masks[0]
                if turn:  # the first time of a size is slow
                    seconds[name, count].append((time.perf_counter() - began) / count)
    print(f"{'engine':15} {'1 slice':>10} {'8 slices':>13} {'against':>10} {'mask pixels'}")
    print(f"{'':15} {'ms':>10} {'ms a slice':>13} {'tensorflow':>10} {'that differ'}")
    for name in predictors:
        single, many = (statistics.median(seconds[name, count]) for count in COUNTS)
        speed = statistics.median(seconds["tensorflow", 1]) / single
        other = np.mean(masks[name] != masks["tensorflow"])
        print(f"{name:15} {single * 1e3:10.1f} {many * 1e3:13.1f} {speed:9.2f}x {other:11.3%}")


if __name__ == "__main__":
    main()
