"""What the labels of many pairs of patients bring: by gain, ranked and drawn at random, on ACDC.

Usage: python benchmarks/ranking/many_pairs.py --data ACDC --work DIR [--results DIR]
           [--seeds 4,5,6] [--pairs 24] [--rounds 4] [--cores 0,1] [--set name=value ...]
For each seed the run with 3 labelled patients of `run.py` (trained if --work has none) tells the
gain of pairs of other patients, drawn at random, and ranks the others: all of them, and --rounds
times each quarter of them, divided anew. With every pair, and with the first two of every ranking,
a small network learns from the labelled images alone: what one choice brings is mostly noise, and
where unlabelled images teach too, it is little. --set goes to the small networks.
What is done in --work is not done again; what --results has of other seeds stays.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
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
from benchmarks.ranking.table import PAIRS, many_pairs, of_quarters, read  # noqa: E402

QUARTERS = 4
COLUMNS = ["choice", "first", "second", "gain"]

SMALL = ("recipe=supervised", "image_size=48", "base_filters=8", "learning_rate=0.004")
ONCE = ("validate_every=800",)  # at the end


def main() -> None:
    """Trains, writes after every run, and prints."""
    parser = options(__doc__)
    parser.set_defaults(seeds="4,5,6")
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    bench, threads = start(arguments)
    small = replace(bench, settings=(*SMALL, *ONCE, *arguments.settings))
    bases = replace(bench, settings=())

    def train(job: tuple[int, str, list[str], float]) -> dict[str, Any]:
        seed, choice, added, gain = job
        labelled = patients_of(bench.work / f"base_{seed}", "labelled")
        run = small.fit(f"small_{choice}_{seed}", seed, [*labelled, *added])
        return {**row(seed, choice, added, run), "gain": round(gain, 4)}

    with threads:
        list(threads.map(lambda seed: bases.fit(f"base_{seed}", seed, FIRST), seeds))
        plan = partial(choices, bases, pairs=arguments.pairs, rounds=arguments.rounds)
        chosen = list(threads.map(plan, seeds))
        # Seed by seed in turn: an early end leaves as many of each.
        runs = threads.map(train, (job for jobs in zip(*chosen, strict=True) for job in jobs))
        arguments.results.mkdir(parents=True, exist_ok=True)
        rows: list[dict[str, Any]] = []
        for one in runs:
            rows.append(one)
            keep(arguments.results / PAIRS, rows)
    done = read(arguments.results / PAIRS)
    print(many_pairs(done), of_quarters(done), sep="\n")


def choices(
    bench: Bench, seed: int, *, pairs: int, rounds: int
) -> list[tuple[int, str, list[str], float]]:
    """Seed, name, patients and gain: of the first two of all, pairs at random, first of quarters.

    In this order, so that more rounds change nothing of what was there.
    """
    file = bench.work / f"choices_{seed}_{pairs}_{rounds}.csv"
    if not file.is_file():
        names = [one["patient"] for one in bench.rank(seed)]
        chance = random.Random(f"{seed} pairs")
        chosen = {"ranked": names[:MORE]}
        chosen |= {f"pair{n}": chance.sample(sorted(names), MORE) for n in range(pairs)}
        for number, quarter in enumerate(quarters(names, seed, rounds)):
            name = f"quarter{number}"
            chosen[name] = bench.first_of(seed, name, quarter)
        gains = gains_of(bench, seed, list(chosen.values()))
        rows = [[*own, gain] for own, gain in zip(chosen.items(), gains, strict=True)]
        write(file, COLUMNS, [[name, *pair, gain] for name, pair, gain in rows])
    return [
        (seed, row["choice"], [row["first"], row["second"]], float(row["gain"]))
        for row in read(file)
    ]


def quarters(names: list[str], seed: int, rounds: int) -> Iterator[list[str]]:
    """The quarters of some patients, divided by chance as often as wanted."""
    chance = random.Random(f"{seed} quarters")
    for _ in range(rounds):
        order = chance.sample(sorted(names), len(names))
        yield from (order[part::QUARTERS] for part in range(QUARTERS))


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
    from tfadvseg.ranking.selection import Cover, standardised

    every = standardised(np.concatenate([new.features, old.features]))
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
