"""The folder of a sweep: its plan, a run folder and a log for each run, and what became of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tfadvseg.crossval.plan import Plan
from tfadvseg.errors import InputError
from tfadvseg.run_folder import RunFolder, write_text

LOCK = ".lock"
EARLY = {LOCK, "plan.json.tmp"}  # what a sweep leaves that ended before it had a plan


@dataclass(frozen=True)
class SweepFolder:
    """Paths of a sweep, and what lies there.

    `plan.json`, `configs/NAME.yaml`, `runs/NAME/`, `logs/NAME.log`, `failures.json` (the last
    error of each run that failed) and `durations.json` (seconds of each run that was made in one
    go).
    """

    path: Path

    def check(self) -> None:
        """Refuses a folder that holds something else.

        Raises:
            InputError: if it does.
        """
        if not self.path.exists():
            return
        if not self.path.is_dir() or not (
            self.has_plan or {child.name for child in self.path.iterdir()} <= EARLY
        ):
            raise InputError(f"{self.path} exists and is not a sweep; choose another --out")

    def check_idle(self) -> None:
        """Refuses a folder in which a sweep is at work.

        Raises:
            InputError: if there is one.
        """
        if (self.path / LOCK).exists():
            with self.locked():
                pass

    @property
    def has_plan(self) -> bool:
        """Whether a sweep began here."""
        return (self.path / "plan.json").is_file()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other sweeps out; the lock goes with the process, however that ends.

        Raises:
            InputError: if another sweep is at work here.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / LOCK).open("a") as stream:
            try:
                _lock(stream)
            except (BlockingIOError, PermissionError) as error:
                raise InputError(
                    f"{self.path}: another sweep is at work there; wait until it ends, or choose "
                    "another --out"
                ) from error
            yield

    def check_same(self, plan: Plan) -> None:
        """Refuses a plan that is not that of the sweep which began here.

        Raises:
            InputError: saying what differs.
        """
        if self.has_plan:
            plan.check_same(self.read("plan.json"))

    def enter(self, plan: Plan) -> None:
        """Writes the plan and a configuration for each run, or checks that they are the same."""
        self.check_same(plan)
        for name in ("configs", "runs", "logs"):
            (self.path / name).mkdir(exist_ok=True)
        for run in plan.trainings.values():
            write_text(self.config(run.name), plan.config_of(run).to_yaml())
        self.write("plan.json", plan.to_json())  # last: with it, the sweep has begun

    def config(self, name: str) -> Path:
        """The configuration of a run, as `tfadvseg fit` takes it."""
        return self.path / "configs" / f"{name}.yaml"

    def run(self, name: str) -> RunFolder:
        """The run folder."""
        return RunFolder(self.path / "runs" / name)

    def log(self, name: str) -> Path:
        """What a run printed."""
        return self.path / "logs" / f"{name}.log"

    def is_finished(self, name: str) -> bool:
        """Whether a run has been evaluated."""
        return (self.run(name).path / "metrics.json").is_file()

    def share(self, name: str, steps: int) -> float:
        """How much of a run is done, from 0 to 1, by its checkpoints."""
        if self.is_finished(name):
            return 1.0
        checkpoints = self.run(name).checkpoints()
        return int(checkpoints[-1].name) / steps if checkpoints else 0.0

    def read(self, name: str) -> dict[str, Any]:
        """The content of a JSON file; empty where there is none."""
        path = self.path / name
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Writes a JSON file."""
        write_text(self.path / name, json.dumps(content, indent=1) + "\n")


def _lock(stream: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
