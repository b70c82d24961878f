"""Makes the runs of a plan, each in a process of its own, several at a time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tfadvseg.crossval.folder import SweepFolder
from tfadvseg.crossval.plan import Plan, Run
from tfadvseg.errors import InputError

LOOK_EVERY = 0.5  # seconds
PACKAGE = Path(__file__).resolve().parents[2]


@dataclass
class Job:
    """A run at work.

    Attributes:
        run: which.
        process: that makes it.
        log: what it prints.
        log_start: bytes of the log that are from earlier attempts.
        began: time on the monotonic clock.
        resumed: whether it goes on from a checkpoint.
    """

    run: Run
    process: subprocess.Popen[bytes]
    log: Path
    log_start: int
    began: float
    resumed: bool

    def stop(self) -> None:
        """Ends the process, if it has not ended; what it has saved stays."""
        self.process.terminate()
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()

    def error(self) -> str:
        """Why it failed, in one line."""
        code = self.process.returncode
        if code < 0:
            hint = "; the memory may have been too small" if -code == signal.SIGKILL else ""
            return f"ended by signal {-code} ({signal.strsignal(-code)}){hint}"
        text = self.log.read_bytes()[self.log_start :].decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        told = [line for line in lines if line.startswith("Error: ")]
        last = (told or lines or ["it said nothing"])[-1]
        return last.removeprefix("Error: ") if told else f"exit status {code}: {last}"


class Sweep:
    """The runs of a plan that are not finished yet.

    Args:
        plan: what to make.
        folder: where, entered and locked by whoever makes this.
        jobs: runs at a time.
        gpus: devices, as CUDA_VISIBLE_DEVICES names them, dealt out to the runs at work; none for
            whatever TensorFlow takes.
        console: where to tell of finished runs, and to show how far the sweep is.
    """

    def __init__(
        self, plan: Plan, folder: SweepFolder, jobs: int, gpus: Sequence[str], console: Console
    ):
        self.plan, self.folder, self.console = plan, folder, console
        self.steps = plan.config.total_steps()
        self.environments = [_environment(slot, jobs, gpus) for slot in range(jobs)]
        self.durations = folder.read("durations.json")
        failures, runs = folder.read("failures.json"), plan.trainings.values()
        self.failures = {n: error for n, error in failures.items() if not folder.is_finished(n)}
        self.shares: dict[str, float] = {
            run.name: folder.share(run.name, self.steps) for run in runs
        }
        self.waiting = [run for run in runs if not folder.is_finished(run.name)]
        self.working: dict[int, Job] = {}
        self.progress = Progress(
            TextColumn("{task.fields[ended]}/{task.total} runs"),
            BarColumn(),
            TextColumn("{task.fields[names]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            disable=not console.is_terminal,
            speed_estimate_period=timedelta(days=365).total_seconds(),
        )
        self.task = self.progress.add_task("runs", total=len(runs))
        self.began, self.before = time.monotonic(), sum(self.shares.values())
        self._show()

    def make(self) -> dict[str, str]:
        """Makes the runs.

        Returns:
            The errors of the runs that failed, by name.
        """
        with nullcontext() if self.progress.disable else self.progress:  # old rich ends a line
            try:
                while self.waiting or self.working:
                    self._fill()
                    time.sleep(LOOK_EVERY)
                    self._look()
            except KeyboardInterrupt:
                left = len(self.waiting) + len(self.working)
                self.console.print(f"Stopped; the same call goes on with the {left} runs left.")
                raise
            finally:
                for job in self.working.values():
                    job.stop()
        return self.failures

    def _fill(self) -> None:
        for slot, environment in enumerate(self.environments):
            if self.waiting and slot not in self.working:
                self.working[slot] = _start(self.folder, self.waiting.pop(0), environment)

    def _look(self) -> None:
        """Sees which runs have ended, and how far the others are."""
        for slot, job in list(self.working.items()):
            self.shares[job.run.name] = self.folder.share(job.run.name, self.steps)
            if job.process.poll() is not None:
                del self.working[slot]
                job.stop()
                self._note(job)
        self._show()

    def _show(self) -> None:
        names = [job.run.name for job in self.working.values()]
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        self.progress.update(
            self.task,
            completed=sum(self.shares.values(), 0.0),
            ended=len(self.shares) - len(self.waiting) - len(self.working),
            names=f"{names[0]}{more}" if names else "",
        )

    def _note(self, job: Job) -> None:
        """Records how a run ended, and tells it in one line."""
        name, seconds = job.run.name, time.monotonic() - job.began
        if self.folder.is_finished(name):
            self.failures.pop(name, None)
            if not job.resumed:
                self.durations[name] = round(seconds, 1)
                self.folder.write("durations.json", self.durations)
            dice = self.folder.run(name).read_json("metrics.json")["pooled"]["foreground"]["dice"]
            told = f"Dice {'-' if dice is None else f'{dice:.3f}'}, {duration(seconds)}"
        else:
            self.failures[name] = job.error()
            told = f"FAILED: {self.failures[name]} (see {job.log})"
        self.folder.write("failures.json", self.failures)
        self.shares[name] = 1.0
        left = len(self.waiting) + len(self.working)
        about = f"; about {self._remaining()} left" if left else ""
        line = f"{len(self.shares) - left}/{len(self.shares)} {name}: {told}{about}"
        self.console.print(line, soft_wrap=True, markup=False)

    def _remaining(self) -> str:
        """The time to come, if runs go on as since the call began."""
        total, done = len(self.shares), sum(self.shares.values())
        if done <= self.before:  # what was evaluated had been trained before
            return "an unknown time"
        return duration((time.monotonic() - self.began) * (total - done) / (done - self.before))


def run_sweep(
    plan: Plan,
    out: Path,
    *,
    jobs: int = 1,
    gpus: Sequence[str] = (),
    console: Console | None = None,
) -> dict[str, str]:
    """Makes the runs of a plan that are not finished, and goes on with those that were cut off.

    A run that fails is recorded in `failures.json`, and the others are made; the next call tries
    it again.

    Args:
        plan: what to make.
        out: the folder of the sweep.
        jobs: runs at a time.
        gpus: devices for the runs, as CUDA_VISIBLE_DEVICES names them.
        console: where to show progress; nowhere by default.

    Returns:
        The errors of the runs that failed, by name.

    Raises:
        InputError: if `out` holds something else, another plan, or another sweep at work.
    """
    folder = SweepFolder(out)
    folder.check()
    with folder.locked():
        folder.enter(plan)
        sweep = Sweep(plan, folder, jobs, gpus, console or Console(quiet=True))
        return sweep.make()


def check_gpus(gpus: Sequence[str]) -> None:
    """Refuses devices that TensorFlow does not see: the runs would go to the CPU and never say so.

    Args:
        gpus: as CUDA_VISIBLE_DEVICES names them.

    Raises:
        InputError: if it sees fewer.
    """
    if not gpus:
        return
    script = "import tensorflow as tf; print('GPUs', len(tf.config.list_physical_devices('GPU')))"
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(gpus)}
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    seen = int(result.stdout.rpartition("GPUs ")[2] or 0)
    if seen < len(gpus):
        raise InputError(
            f"--gpus {','.join(gpus)}: TensorFlow sees {seen} of {len(gpus)} such devices; compare "
            'nvidia-smi -L, and pip install "tfadvseg[gpu]"'
        )


def duration(seconds: float) -> str:
    """A time for people: seconds, minutes, or hours and minutes."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def _start(folder: SweepFolder, run: Run, environment: dict[str, str]) -> Job:
    """Starts a run, or goes on with it from its last checkpoint."""
    target, log = folder.run(run.name), folder.log(run.name)
    resumed = bool(target.checkpoints())
    if not resumed and target.path.exists():
        shutil.rmtree(target.path)  # cut off before its first checkpoint
    given = ["--resume"] if resumed else [str(folder.config(run.name))]
    command = ["fit", *given, "--out", str(target.path)]
    with log.open("ab") as stream:
        stream.write(f"$ tfadvseg {' '.join(command)}\n".encode())
        stream.flush()
        log_start = stream.tell()
        process = subprocess.Popen(
            _command(command),
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C ends the sweep, and the sweep its runs
        )
    return Job(run, process, log, log_start, time.monotonic(), resumed)


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "tfadvseg.crossval.worker", *arguments]


def _environment(slot: int, jobs: int, gpus: Sequence[str]) -> dict[str, str]:
    """What the runs of one slot see: a GPU, and their share of the cores."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    paths = [str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)  # where it runs without being installed
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
    if jobs > max(1, len(gpus)):
        environment.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    if jobs > 1:
        threads = str(max(1, (os.cpu_count() or 1) // jobs))
        for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
            environment.setdefault(name, threads)
    return environment
