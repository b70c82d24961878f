"""Whether `tfadvseg rank` chooses better patients to label than chance does, on ACDC.

Usage: python benchmarks/rank_acdc.py --data ACDC --work DIR [--results DIR] [--seeds 0,1,2]
           [--draws 2] [--cores 0,1] [--set name=value ...]
For each seed: recipe strong with 3 labelled patients; the run ranks the other training patients;
then the same training from scratch with 2 patients more: the first two by `patient_rank`, and, as
often as --draws says, two at random. What is done in --work is not done again.
Prints the Dice of each on the test patients, and what ranking wins over chance.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import queue
import random
import statistics
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FIRST, MORE = 3, 2  # patients that are labelled, and that are added


@dataclass(frozen=True)
class Bench:
    """Where the runs lie, and how they are made; each takes one of the cores while it lasts."""

    data: Path
    work: Path
    settings: tuple[str, ...]
    cores: queue.Queue

    def command(self, *arguments: Any) -> None:
        """Runs `tfadvseg` as a process of its own, on a core that is free."""
        core = self.cores.get()
        pinned = ["taskset", "-c", core] if core else []
        call = [*pinned, sys.executable, "-m", "tfadvseg.cli", *map(str, arguments)]
        try:
            done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True)
        finally:
            self.cores.put(core)
        if done.returncode:
            sys.exit(f"{' '.join(call)}\n{done.stderr}")

    def fit(self, name: str, seed: int, patients: int | list[str]) -> Path:
        """A run with some labelled patients; goes on where it was interrupted."""
        run = self.work / name
        if (run / "metrics.json").is_file():
            return run
        mode = "--resume" if any((run / "checkpoints").glob("[0-9]*")) else "--overwrite"
        chosen = {"labelled_patients": json.dumps(patients), "seed": seed}
        sets = [f"--set={text}" for text in self.settings]
        sets += [f"--set={setting}={value}" for setting, value in chosen.items()]
        config = ROOT / "examples" / "acdc_small.yaml"
        call = ("fit", config, "--data", self.data, "--out", run, mode, "--recipe", "strong")
        self.command(*call, *sets)
        print(f"{name}: test Dice {dice(run):.4f}", flush=True)
        return run

    def rank(self, seed: int) -> list[str]:
        """The patients that are not labelled, in the order of their ranks."""
        run, table = self.work / f"base_{seed}", self.work / f"ranked_{seed}.csv"
        if not table.is_file():
            pool = self.work / f"pool_{seed}.csv"
            _write(pool, ["image", "patient"], self._unlabelled(run))
            self.command("rank", run, pool, "--out", table)
        with table.open(newline="", encoding="utf-8") as stream:
            places = {row["patient"]: int(row["patient_rank"]) for row in csv.DictReader(stream)}
        return sorted(places, key=lambda patient: places[patient])

    def _unlabelled(self, run: Path) -> list[list[Any]]:
        """Images without label to the run: of training patients, none that validates or tests."""
        names = set(json.loads((run / "split.json").read_text(encoding="utf-8"))["unlabelled"])
        with (self.data / "cases.csv").open(newline="", encoding="utf-8") as stream:
            rows = [row for row in csv.DictReader(stream) if Path(row["file"]).stem in names]
        return [[(self.data / "images" / row["file"]).resolve(), row["patient"]] for row in rows]

    def grow(self, job: tuple[int, str, list[str]]) -> dict[str, Any]:
        """A run with patients added, as a row of the results."""
        seed, choice, added = job
        labelled = patients(self.work / f"base_{seed}", "labelled")
        run = self.fit(f"{choice}_{seed}", seed, [*labelled, *added])
        return {"seed": seed, "choice": choice, "added": " ".join(added), **scores(run)}


def main() -> None:
    """Trains, ranks, trains again, writes and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="ACDC as a data folder of slices")
    parser.add_argument("--work", type=Path, help="folder for the runs")
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "results" / "rank")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--cores", default="", help="one run at a time on each of these")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    arguments = parser.parse_args()
    if arguments.data is None or arguments.work is None:
        print("Needs --data, --work and hours; nothing was run.")
        return
    seeds, cores = [int(seed) for seed in arguments.seeds.split(",")], arguments.cores.split(",")
    bench = Bench(arguments.data, arguments.work, tuple(arguments.settings), queue.Queue())
    for core in cores:
        bench.cores.put(core)
    bench.work.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(len(cores)) as threads:
        bases = threads.map(lambda seed: bench.fit(f"base_{seed}", seed, FIRST), seeds)
        rows = [
            {"seed": seed, "choice": "base", "added": "", **scores(run)}
            for seed, run in zip(seeds, bases, strict=True)
        ]
        ranked = dict(zip(seeds, threads.map(bench.rank, seeds), strict=True))
        rows += threads.map(bench.grow, _jobs(ranked, arguments.draws))
    arguments.results.mkdir(parents=True, exist_ok=True)
    _write(arguments.results / "acdc.csv", list(rows[0]), [list(row.values()) for row in rows])
    print(summary(rows))


def _jobs(ranked: dict[int, list[str]], draws: int) -> list[tuple[int, str, list[str]]]:
    """Seed, choice and added patients of every run."""
    jobs = []
    for seed, names in ranked.items():
        jobs.append((seed, "ranked", names[:MORE]))
        for draw in range(draws):
            chance = random.Random(f"{seed} {draw}").sample(sorted(names), MORE)
            jobs.append((seed, f"random{draw}", chance))
    return jobs


def summary(rows: list[dict[str, Any]]) -> str:
    """The table, and what ranking wins over the mean of the random draws of its seed."""
    lines, wins = ["seed  choice    test Dice  added"], []
    for seed in dict.fromkeys(row["seed"] for row in rows):
        own = [row for row in rows if row["seed"] == seed]
        lines += [
            f"{seed:<5} {row['choice']:<9} {row['dice']:.4f}     {row['added']}" for row in own
        ]
        chance = statistics.mean(row["dice"] for row in own if row["choice"].startswith("random"))
        ranked = next(row["dice"] for row in own if row["choice"] == "ranked")
        wins.append(ranked - chance)
        lines.append(f"      ranked - random {wins[-1]:+.4f}")
    spread = f" +- {statistics.stdev(wins):.4f}" if len(wins) > 1 else ""
    return "\n".join([*lines, f"mean  ranked - random {statistics.mean(wins):+.4f}{spread}"])


def scores(run: Path) -> dict[str, float]:
    """Pooled Dice of the foreground and of each class on the test patients."""
    pooled = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["pooled"]
    classes = {f"dice {name}": own["dice"] for name, own in pooled["per_class"].items()}
    return {"dice": pooled["foreground"]["dice"], **classes}


def dice(run: Path) -> float:
    """Pooled Dice of the foreground on the test patients."""
    return scores(run)["dice"]


def patients(run: Path, part: str) -> list[str]:
    """The patients of a part of a run's split."""
    return json.loads((run / "split.json").read_text(encoding="utf-8"))["patients"][part]


def _write(file: Path, header: list[str], rows: Iterable[list[Any]]) -> None:
    temporary = file.with_name(file.name + ".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    os.replace(temporary, file)


if __name__ == "__main__":
    main()
