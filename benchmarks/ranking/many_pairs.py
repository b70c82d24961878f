"""What the labels of many pairs of patients bring: ranked and drawn at random, on ACDC.

Usage: python benchmarks/ranking/many_pairs.py --data ACDC --work DIR [--results DIR]
           [--seeds SEEDS] [--draws 6] [--cores 0,1] [--set name=value ...]
For each seed the run with 3 labelled patients of `run.py` (trained if --work has none) ranks the
other training patients. Then small networks learn from the labelled images alone: of the 3 and the
first two by rank, as often as --draws says, each time from other weights; and of the 3 and as many
pairs at random. What one training brings is mostly noise, and where unlabelled images teach too, it
is little. --set goes to the small networks.
What is done in --work is not done again; what --results has of other seeds stays.
"""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # a script's own folder is on the path, the checkout is not

from benchmarks.ranking.run import (  # noqa: E402
    FIRST,
    MORE,
    Bench,
    guarded,
    keep,
    options,
    patients_of,
    row,
    start,
    write,
)
from benchmarks.ranking.table import PAIRS, many_pairs, read  # noqa: E402

COLUMNS = ["choice", "first", "second", "gain"]

SMALL = ("recipe=supervised", "image_size=48", "base_filters=8", "learning_rate=0.004")
ONCE = ("validate_every=800",)  # at the end


def main() -> None:
    """Trains, writes after every run, and prints."""
    parser = options(__doc__)
    parser.set_defaults(seeds="7,8,9,10,11,12,13,14")
    parser.add_argument("--draws", type=int, default=6)
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    bench, threads = start(arguments)
    small = replace(bench, settings=(*SMALL, *ONCE, *arguments.settings))
    bases = replace(bench, settings=())

    def train(job: tuple[int, int, str, list[str], float]) -> dict[str, Any]:
        seed, draw, choice, added, gain = job
        labelled = patients_of(bench.work / f"base_{seed}", "labelled")
        run = small.fit(f"{choice}_{seed}", 100 * seed + draw, [*labelled, *added])
        return {**row(seed, choice, added, run), "gain": round(gain, 4)}

    with threads:
        list(threads.map(lambda seed: bases.fit(f"base_{seed}", seed, FIRST), seeds))
        chosen = list(threads.map(lambda seed: choices(bases, seed, arguments.draws), seeds))
        # Seed by seed in turn: an early end leaves as many of each.
        runs = threads.map(train, (job for jobs in zip(*chosen, strict=True) for job in jobs))
        arguments.results.mkdir(parents=True, exist_ok=True)
        rows: list[dict[str, Any]] = []
        for one in runs:
            rows.append(one)
            keep(arguments.results / PAIRS, rows)
    print(many_pairs(read(arguments.results / PAIRS)))


def choices(bench: Bench, seed: int, draws: int) -> list[tuple[int, int, str, list[str], float]]:
    """Seed, draw, name, patients and gain: the first two by rank and a pair at random, in turn."""
    file = bench.work / f"choices_{seed}_{draws}.csv"
    if not file.is_file():
        names = [one["patient"] for one in bench.rank(seed)]
        chance = random.Random(f"{seed} pairs")
        chosen = {}
        for draw in range(draws):
            chosen[f"ranked{draw}"] = names[:MORE]
            chosen[f"pair{draw}"] = chance.sample(sorted(names), MORE)
        gains = gains_of(bench, seed, list(chosen.values()))
        rows = [[*own, gain] for own, gain in zip(chosen.items(), gains, strict=True)]
        write(file, COLUMNS, [[name, *pair, gain] for name, pair, gain in rows])
    return [
        (seed, place // 2, row["choice"], [row["first"], row["second"]], float(row["gain"]))
        for place, row in enumerate(read(file))
    ]


def gains_of(bench: Bench, seed: int, pairs: list[list[str]]) -> list[float]:
    """The share of all that is not known which the labels of each pair would teach."""
    from tfadvseg.inference.predictor import Predictor  # TensorFlow, when all is found right
    from tfadvseg.inference.quality import Calibration
    from tfadvseg.ranking.observer import Observer
    from tfadvseg.ranking.pool import find_pool
    from tfadvseg.ranking.ranking import Patients

    run = bench.work / f"base_{seed}"
    pool = find_pool(run, bench.work / f"pool_{seed}.csv")
    observer = Observer(Predictor.load(run), Calibration.read(run))
    new, old = (
        Patients.seen([case.patient for case in cases], observer.survey(cases))
        for cases in (pool.cases, pool.labelled)
    )
    return [gain_of_both(new, old, pair) for pair in pairs]


def gain_of_both(new: Any, old: Any, pair: list[str]) -> float:
    """The gain of a pair of `new` patients beside the `old` ones: one after the other."""
    from tfadvseg.ranking.selection import Cover, scaled

    every = scaled(np.concatenate([new.features, old.features]))
    cover = Cover(new.benefit, *np.split(every, [len(new.names)]))
    total, left = 0.0, np.ones(len(new.names), bool)
    for name in pair:
        place = new.names.index(name)
        total += float(cover.gain[place])
        left[place] = False
        cover.label(place, left)
    return total


if __name__ == "__main__":
    guarded(main)
