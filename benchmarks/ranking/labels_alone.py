"""What the patients that `run.py` added bring where labelled images alone teach, on ACDC.

Usage: python benchmarks/ranking/labels_alone.py --data ACDC --work DIR [--results DIR]
           [--seeds 0,1] [--cores 0,1] [--set name=value ...]
The same 3 patients and the same 2 more, ranked or at random, of each seed in `acdc.csv`, with
recipe supervised: without unlabelled images, which make up for labels, the choice of labels tells
more. What is done in --work is not done again; what --results has of other seeds stays.
"""

from __future__ import annotations

import argparse
import queue
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # a script's own folder is on the path, the checkout is not

from benchmarks.ranking.run import CONFIG, FIRST, Bench, keep, row  # noqa: E402
from benchmarks.ranking.table import ALONE, CHOICES, choices, read  # noqa: E402
from tfadvseg.config import Config, read_settings  # noqa: E402
from tfadvseg.errors import InputError  # noqa: E402
from tfadvseg.preparation import prepare  # noqa: E402


def main() -> None:
    """Trains, writes and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="ACDC as a folder of slices")
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "results" / "rank")
    parser.add_argument("--seeds", default="", help="of those in acdc.csv; all unless given")
    parser.add_argument("--cores", default="", help="one run at a time on each of these")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    arguments = parser.parse_args()
    cores = arguments.cores.split(",")
    settings = (*arguments.settings, "recipe=supervised")
    bench = Bench(arguments.data, arguments.work, settings, queue.Queue())
    for core in cores:
        bench.cores.put(core)
    bench.work.mkdir(parents=True, exist_ok=True)
    chosen = [one for one in read(arguments.results / CHOICES) if one["choice"] != "base"]
    seeds = arguments.seeds.split(",") if arguments.seeds else {one["seed"]: 0 for one in chosen}
    with ThreadPoolExecutor(len(cores)) as threads:
        for seed in map(int, seeds):
            first = labelled_at_first(arguments.data, seed)
            own = [one for one in chosen if int(one["seed"]) == seed]
            jobs = [(one["choice"], one["added"].split()) for one in own]
            runs = [
                threads.submit(bench.fit, f"alone_{choice}_{seed}", seed, [*first, *added])
                for choice, added in jobs
            ]
            found = zip(jobs, runs, strict=True)
            rows = [row(seed, choice, added, run.result()) for (choice, added), run in found]
            keep(arguments.results / ALONE, rows)  # seed by seed: an early end leaves whole ones
    print(choices(read(arguments.results / ALONE)))


def labelled_at_first(data: Path, seed: int) -> list[str]:
    """The patients that the base run of a seed has labels of."""
    settings = read_settings(CONFIG) | {"data": str(data), "labelled_patients": FIRST, "seed": seed}
    return sorted({case.patient for case in prepare(Config.from_mapping(settings))[1].labelled})


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
