"""What the patients that `run.py` added bring where labelled images alone teach, on ACDC.

Usage: python benchmarks/ranking/labels_alone.py --data ACDC --work DIR [--results DIR]
           [--seeds SEEDS] [--cores 0,1] [--set name=value ...]
The same 3 patients and the same 2 more, ranked or at random, of each seed in `acdc.csv`, with
recipe supervised: without unlabelled images, which make up for labels, the choice of labels should
tell more. What is done in --work is not done again; what --results has of other seeds stays.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # a script's own folder is on the path, the checkout is not

from benchmarks.ranking.run import CONFIG, FIRST, guarded, keep, options, row, start  # noqa: E402
from benchmarks.ranking.table import ALONE, CHOICES, choices, read  # noqa: E402
from tfadvseg.config import Config, read_settings  # noqa: E402
from tfadvseg.errors import InputError  # noqa: E402
from tfadvseg.preparation import prepare  # noqa: E402


def main() -> None:
    """Trains, writes and prints."""
    arguments = options(__doc__).parse_args()
    added = added_patients(arguments.results / CHOICES, arguments.seeds.split(","))
    bench, threads = start(arguments, "recipe=supervised")
    with threads:
        runs = {}
        for seed, own in added.items():
            first = labelled_at_first(arguments.data, seed)
            for choice, more in own.items():
                job = (f"alone_{choice}_{seed}", seed, [*first, *more])
                runs[seed, choice] = threads.submit(bench.fit, *job)
        for seed, own in added.items():  # seed by seed: an early end leaves whole ones
            found = [(choice, more, runs[seed, choice].result()) for choice, more in own.items()]
            keep(arguments.results / ALONE, [row(seed, *one) for one in found])
    print(choices(read(arguments.results / ALONE)))


def added_patients(file: Path, seeds: list[str]) -> dict[int, dict[str, list[str]]]:
    """The patients that each choice added, by seed.

    Raises:
        InputError: if the file lacks a seed.
    """
    rows = [one for one in read(file) if one["choice"] != "base"] if file.is_file() else []
    lacking = sorted(set(seeds) - {one["seed"] for one in rows})
    if lacking:
        raise InputError(
            f"{file}: expected the choices of seeds {', '.join(seeds)}, lacks {', '.join(lacking)};"
            " run benchmarks/ranking/run.py with these seeds first"
        )
    return {
        int(seed): {one["choice"]: one["added"].split() for one in rows if one["seed"] == seed}
        for seed in seeds
    }


def labelled_at_first(data: Path, seed: int) -> list[str]:
    """The patients that the base run of a seed has labels of."""
    settings = read_settings(CONFIG) | {"data": str(data), "labelled_patients": FIRST, "seed": seed}
    return sorted({case.patient for case in prepare(Config.from_mapping(settings))[1].labelled})


if __name__ == "__main__":
    guarded(main)
