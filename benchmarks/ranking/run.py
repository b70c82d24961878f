"""Whether `tfadvseg rank` chooses better patients to label than chance does, on ACDC.

Usage: python benchmarks/ranking/run.py --data ACDC --work DIR [--results DIR] [--seeds SEEDS]
           [--draws 2] [--cores 0,1] [--set name=value ...]
For each seed: recipe strong with 3 labelled patients; the run ranks the other training patients;
then the same training from scratch with 2 patients more: the first two by `patient_rank`, and, as
often as --draws says, two at random. What is done in --work is not done again; what --results has
of other seeds stays.
Prints the Dice of each on the test patients, what ranking wins over chance, and, as the labels are
only hidden, how the benefit of the ranked patients goes with how wrong the model is about them.
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
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # a script's own folder is on the path, the checkout is not

from benchmarks.ranking.table import CHOICES, ERRORS, read, tables  # noqa: E402
from benchmarks.semi_supervised.one_run import check_same  # noqa: E402
from benchmarks.shared.device import device_of, precision_of  # noqa: E402
from tfadvseg.config import parse_assignment, read_settings  # noqa: E402
from tfadvseg.errors import InputError  # noqa: E402

CONFIG = ROOT / "examples" / "acdc_small.yaml"
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
        if done.returncode == 2:
            raise InputError(done.stderr.strip().removeprefix("Error: "))
        if done.returncode:
            sys.exit(f"{' '.join(call)}\n{done.stderr}")

    def fit(self, name: str, seed: int, patients: int | list[str]) -> Path:
        """A run with some labelled patients; goes on where it was interrupted."""
        run = self.work / name
        chosen = (f"labelled_patients={json.dumps(patients)}", f"seed={seed}")
        texts = ("recipe=strong", "discriminator_filters=null", *self.settings, *chosen)
        if (run / "config.yaml").is_file():
            check_same(run, read_settings(CONFIG) | dict(map(parse_assignment, texts)))
        if (run / "metrics.json").is_file():
            return run
        mode = "--resume" if any((run / "checkpoints").glob("[0-9]*")) else "--overwrite"
        sets = (f"--set={text}" for text in texts)
        self.command("fit", CONFIG, "--data", self.data, "--out", run, mode, *sets)
        print(f"{name}: test Dice {dice(run):.4f}", flush=True)
        return run

    def rank(self, seed: int) -> list[dict[str, Any]]:
        """The patients that are not labelled by rank, with benefit and true error (1 - Dice)."""
        errors = self._errors(self.work / f"base_{seed}", seed)
        rows = self._ranked(seed)
        return [
            {
                "seed": seed,
                "patient_rank": place,
                "patient": row["patient"],
                "benefit": float(row["patient_benefit"]),
                "error": round(errors[row["patient"]], 4),
            }
            for place, row in sorted(rows.items())
        ]

    def _ranked(self, seed: int) -> dict[int, dict[str, str]]:
        """A row of what `rank` says of each patient, by `patient_rank`."""
        run = self.work / f"base_{seed}"
        table = run / "ranked.csv"  # in its run, so that neither outlives it
        if not table.is_file():
            pool = self.work / f"pool_{seed}.csv"
            write(pool, ["image", "patient"], self._unlabelled(run, "images"))
            self.command("rank", run, pool, "--out", table)
        with table.open(newline="", encoding="utf-8") as stream:
            return {int(row["patient_rank"]): row for row in csv.DictReader(stream)}

    def _errors(self, run: Path, seed: int) -> dict[str, float]:
        """1 - Dice, the mean over the classes, of the patients whose labels are hidden."""
        hidden, truth = self.work / f"hidden_{seed}.csv", run / "hidden.json"
        if not truth.is_file():
            write(hidden, ["image", "mask", "patient"], self._unlabelled(run, "images", "masks"))
            self.command("evaluate", run, "--data", hidden, "--json", truth)
        patients = json.loads(truth.read_text(encoding="utf-8"))["per_patient"]
        classes = {own["patient"]: list(own["per_class"].values())[1:] for own in patients}
        return {
            patient: 1 - statistics.mean(x["dice"] for x in own if x["dice"] is not None)
            for patient, own in classes.items()
        }

    def _unlabelled(self, run: Path, *folders: str) -> list[list[Any]]:
        """Files of images without label to the run, and their patients, who train and no more."""
        names = set(json.loads((run / "split.json").read_text(encoding="utf-8"))["unlabelled"])
        with (self.data / "cases.csv").open(newline="", encoding="utf-8") as stream:
            rows = [row for row in csv.DictReader(stream) if Path(row["file"]).stem in names]
        return [
            [*((self.data / folder / row["file"]).resolve() for folder in folders), row["patient"]]
            for row in rows
        ]

    def grow(self, job: tuple[int, str, list[str]]) -> dict[str, Any]:
        """A run with patients added, as a row of the results."""
        seed, choice, added = job
        labelled = patients_of(self.work / f"base_{seed}", "labelled")
        run = self.fit(f"{choice}_{seed}", seed, [*labelled, *added])
        return row(seed, choice, added, run)


def main() -> None:
    """Trains, ranks, trains again, writes and prints."""
    parser = options(__doc__)
    parser.add_argument("--draws", type=int, default=2)
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    bench, threads = start(arguments)
    with threads:
        bases = threads.map(lambda seed: bench.fit(f"base_{seed}", seed, FIRST), seeds)
        rows = [row(seed, "base", [], run) for seed, run in zip(seeds, bases, strict=True)]
        ranked = dict(zip(seeds, threads.map(bench.rank, seeds), strict=True))
        orders = {seed: [row["patient"] for row in own] for seed, own in ranked.items()}
        rows += threads.map(bench.grow, _jobs(orders, arguments.draws))
    arguments.results.mkdir(parents=True, exist_ok=True)
    errors = [row for own in ranked.values() for row in own]
    for name, table in ((CHOICES, rows), (ERRORS, errors)):
        keep(arguments.results / name, table)
    print(tables(arguments.results))


def options(about: str) -> argparse.ArgumentParser:
    """What both scripts are told: data, folders, seeds, cores and settings."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="ACDC as a folder of slices")
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "results" / "rank")
    parser.add_argument("--seeds", default="7,8,9")
    parser.add_argument("--cores", default="", help="one run at a time on each of these")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    return parser


def start(arguments: argparse.Namespace) -> tuple[Bench, ThreadPoolExecutor]:
    """A bench, and a thread for each core."""
    cores = arguments.cores.split(",")
    bench = Bench(arguments.data, arguments.work, tuple(arguments.settings), queue.Queue())
    for core in cores:
        bench.cores.put(core)
    bench.work.mkdir(parents=True, exist_ok=True)
    return bench, ThreadPoolExecutor(len(cores))


def guarded(main: Callable[[], None]) -> None:
    """Ends with one line and status 2 where the input is wrong."""
    try:
        main()
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)


def _jobs(ranked: dict[int, list[str]], draws: int) -> list[tuple[int, str, list[str]]]:
    """Seed, choice and added patients of every run."""
    jobs = []
    for seed, names in ranked.items():
        jobs.append((seed, "ranked", names[:MORE]))
        for draw in range(draws):
            chance = random.Random(f"{seed} {draw}").sample(sorted(names), MORE)
            jobs.append((seed, f"random{draw}", chance))
    return jobs


def row(seed: int, choice: str, added: list[str], run: Path) -> dict[str, Any]:
    """A run as a row of the results."""
    told = {"seed": seed, "choice": choice, "added": " ".join(added)}
    return {**told, **scores(run), "device": device_of(run), "precision": precision_of(run)}


def scores(run: Path) -> dict[str, float]:
    """Pooled Dice of the foreground and of each class on the test patients."""
    pooled = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["pooled"]
    classes = {f"dice {name}": own["dice"] for name, own in pooled["per_class"].items()}
    return {"dice": pooled["foreground"]["dice"], **classes}


def dice(run: Path) -> float:
    """Pooled Dice of the foreground on the test patients."""
    return scores(run)["dice"]


def patients_of(run: Path, part: str) -> list[str]:
    """The patients of a part of a run's split."""
    return json.loads((run / "split.json").read_text(encoding="utf-8"))["patients"][part]


def keep(file: Path, table: list[dict[str, Any]]) -> None:
    """Writes rows; those of other seeds that the file has stay, in the order of their seeds."""
    before = read(file) if file.is_file() else []
    seeds = {row["seed"] for row in table}
    rows = [row for row in before if int(row["seed"]) not in seeds] + table
    rows.sort(key=lambda row: int(row["seed"]))
    write(file, list(table[0]), [[row[name] for name in table[0]] for row in rows])


def write(file: Path, header: list[str], rows: Iterable[list[Any]]) -> None:
    """Writes a CSV table, whole or not at all."""
    temporary = file.with_name(file.name + ".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])
    os.replace(temporary, file)


if __name__ == "__main__":
    guarded(main)
