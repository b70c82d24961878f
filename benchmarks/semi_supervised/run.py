"""Trains several methods on the same data, budget, network and schedule.

Usage: python benchmarks/semi_supervised/run.py --data DIR --config examples/acdc_small.yaml \
    --out runs/semi --labelled 5,10 --seeds 0,1,2 --methods supervised_batch,strong,fixmatch

Finished runs are skipped, interrupted ones go on. README.md beside this file tells of the methods.
"""

from __future__ import annotations

import argparse
import queue
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # a script's own folder is on the path, the checkout is not

from benchmarks.semi_supervised.one_run import Job, to_text  # noqa: E402
from tfadvseg.cli.options import quiet_tensorflow  # noqa: E402
from tfadvseg.config import Config, parse_assignment, read_settings  # noqa: E402
from tfadvseg.errors import InputError  # noqa: E402

DESCRIPTION = "Trains several methods on the same data, budget, network and schedule."
ONE_RUN = Path(__file__).with_name("one_run.py")


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes the runs that are not finished; returns 1 if one failed, 2 if the call is wrong."""
    options = _parser().parse_args(arguments)
    try:
        jobs = plan(options)
        todo = [job for job in jobs if not job.is_finished()]
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    print(f"{len(jobs) - len(todo)} of {len(jobs)} runs are finished.", flush=True)
    failed = make(todo, options.cores)
    for name in failed:
        print(f"FAILED: {name}")
    return 1 if failed else 0


def plan(options: argparse.Namespace) -> list[Job]:
    """The runs, seed by seed, so that an early end leaves whole comparisons.

    Raises:
        InputError: if a method or a setting is wrong.
    """
    with quiet_tensorflow():
        from benchmarks.semi_supervised.methods import find_method

    common = read_settings(options.config) | dict(map(parse_assignment, options.set))
    common |= {"data": str(options.data), "unlabelled": options.unlabelled}
    methods = {name: find_method(name) for name in options.methods}
    jobs = []
    for seed in options.seeds:
        for labelled in options.labelled:
            for name, method in methods.items():
                budget = {"labelled_patients": labelled, "labelled_fraction": None}
                own = {**method.settings, **budget, "seed": seed}
                _check_free(name, own, options.set)
                Config.from_mapping(common | own)
                run = options.out / f"{options.data.resolve().name}_{labelled}_{name}_seed{seed}"
                jobs.append(Job(name, common | own, str(run), str(options.results)))
    return jobs


def make(jobs: Sequence[Job], cores: Sequence[int]) -> list[str]:
    """Makes the runs, one at a time on each core; one at a time on all of them where none is named.

    Returns:
        The names of those that failed.
    """
    free: queue.Queue[int | None] = queue.Queue()
    slots: list[int | None] = [*cores]
    for slot in slots or [None]:
        free.put(slot)

    def one(job: Job) -> bool:
        core = free.get()
        try:
            return _train(job, core)
        finally:
            free.put(core)

    pool = ThreadPoolExecutor(max(1, len(cores)))
    try:
        done = list(pool.map(one, jobs))
    finally:
        pool.shutdown(cancel_futures=True)
    return [Path(job.out).name for job, well in zip(jobs, done, strict=True) if not well]


def _train(job: Job, core: int | None) -> bool:
    """Runs a job in a process of its own; what it says goes into a file beside its folder."""
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    log, began = Path(f"{job.out}.log"), time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        command = [*pinned, sys.executable, str(ONE_RUN), to_text(job)]
        code = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT).returncode
    told = "done" if code == 0 else f"failed with status {code}, see {log}"
    minutes = (time.monotonic() - began) / 60
    print(f"{Path(job.out).name}: {told} ({minutes:.1f} minutes)", flush=True)
    return code == 0


def _check_free(method: str, decided: Mapping[str, Any], given: Sequence[str]) -> None:
    """Refuses a setting for all methods that one of them decides itself."""
    for name, _ in map(parse_assignment, given):
        if name in decided:
            raise InputError(
                f"--set {name}: method {method} decides it ({decided[name]}); drop it, or make a "
                f"variant: --methods {method}+{name}=VALUE"
            )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=DESCRIPTION)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="data folder")
    add("--unlabelled", help="folder with further unlabelled images")
    add("--config", type=Path, required=True, help="YAML file of the settings of all methods")
    add("--out", type=Path, required=True, help="where the run folders go")
    add(
        "--results",
        type=Path,
        default=ROOT / "docs" / "results" / "semi_supervised",
        help="where the small files of finished runs are kept (default: docs/results)",
    )
    add("--labelled", type=_numbers, required=True, help="numbers of labelled patients: 5,10")
    add("--seeds", type=_numbers, required=True, help="0,1,2")
    add("--methods", type=_words, required=True, help="names, or variants: name+setting=value")
    add("--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="any setting")
    add("--cores", type=_numbers, default=[], help="CPU cores that run one method each: 0,1")
    return parser


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str) -> list[int]:
    return [int(word) for word in _words(text)]


if __name__ == "__main__":
    sys.exit(main())
