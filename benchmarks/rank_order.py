"""How long `tfadvseg rank` takes to order images that the networks have looked at.

Usage: python benchmarks/rank_order.py [--images 1000,20000] [--features 512]
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from tfadvseg.ranking.selection import choose

SLICES = 10  # images of a patient


def main() -> None:
    """Times random images, with 50 labelled ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", default="1000,20000")
    parser.add_argument("--features", type=int, default=512)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    for count in map(int, arguments.images.split(",")):
        features = rng.normal(size=(count, arguments.features))
        patients = [str(index // SLICES) for index in range(count)]
        began = time.perf_counter()
        choose(rng.random(count), features, patients, features[:50], ["labelled"] * 50)
        print(f"{count:8d} images: {time.perf_counter() - began:6.1f} s")


if __name__ == "__main__":
    main()
