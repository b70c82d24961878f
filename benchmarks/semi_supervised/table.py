"""Tables of the comparison, as Markdown, from the small files that `run.py` keeps.

Usage: python benchmarks/semi_supervised/table.py [FOLDER]
"""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # a script's own folder is on the path, the checkout is not

from benchmarks.shared.device import CPU, device_of, precision_of  # noqa: E402
from benchmarks.shared.markdown import markdown  # noqa: E402
from tfadvseg.cli.options import quiet_tensorflow  # noqa: E402
from tfadvseg.metrics import mean  # noqa: E402
from tfadvseg.report.results import FOREGROUND, Result, load_result, read_history  # noqa: E402
from tfadvseg.report.statistics import interval  # noqa: E402

RESULTS = ROOT / "docs" / "results" / "semi_supervised"
NAME = re.compile(r"(?P<data>.+)_(?P<labelled>\d+)_(?P<method>[^\d].*)_seed(?P<seed>\d+)")
NOTE = (
    "± is the standard deviation over the seeds. Test Dice is pooled over all voxels, the mean "
    "over the classes but background. Differences are in points of Dice, over the seeds that both "
    "methods have (three at least, or all): first of the pooled Dice, then of the mean over the "
    "test patients, with a 95% bootstrap interval, which covers the choice of test patients, not "
    "of the seed. The supervised method is the one with the better validation Dice.\n"
)
ENOUGH = 3  # seeds that two methods share; of less, a difference tells nothing
BASELINES = ("supervised_batch", "supervised_instance")
WHOLE = "strong"  # what `strong_without_d` and the like are variants of


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        data: name of the data set.
        labelled: number of labelled patients.
        method: its name.
        seed: of the split, the weights and the order.
        result: its test scores.
        validation: Dice of the chosen model on the validation patients; None without any.
        device: name of the GPU that it was trained on, or `CPU`.
        precision: `float32` or `bfloat16`; None where it was not kept.
    """

    data: str
    labelled: int
    method: str
    seed: int
    result: Result
    validation: float | None
    device: str = CPU
    precision: str | None = None

    @property
    def dice(self) -> float | None:
        """Test Dice, pooled over voxels, the mean over the classes but background."""
        return self.result.pooled["foreground"]["dice"]


Pair: TypeAlias = tuple[Mapping[int, Run], Mapping[int, Run]]  # runs of two methods, by seed


@dataclass(frozen=True)
class Group:
    """The runs of one data set with as many labelled patients, by method and seed."""

    runs: Mapping[str, Mapping[int, Run]]
    seeds: Sequence[int]

    def values(self, method: str, measure: str) -> list[float]:
        """`dice` or `validation` of every seed that is finished."""
        found = (getattr(run, measure) for run in self.runs[method].values())
        return [value for value in found if value is not None]

    def pair(self, method: str, other: str | None) -> Pair:
        """The runs of two methods to compare, of the seeds of both, which differ; none if few."""
        ours, theirs = (self.runs.get(name or "", {}) for name in (method, other))
        both = sorted(ours.keys() & theirs.keys())
        if method == other or not self._suffice(both):
            return {}, {}
        return {seed: ours[seed] for seed in both}, {seed: theirs[seed] for seed in both}

    def baseline(self) -> str | None:
        """The supervised method with the better mean validation Dice over the seeds of all."""
        found = {m: self.runs[m] for m in BASELINES if self._suffice(self.runs.get(m, ()))}
        both = set.intersection(*map(set, found.values())) if found else set()
        scores = {
            method: [run.validation for seed, run in runs.items() if seed in both]
            for method, runs in found.items()
        }
        known = {m: statistics.mean(v) for m, v in scores.items() if v and None not in v}
        return max(known, key=known.__getitem__) if known else None

    def _suffice(self, seeds: Collection[int]) -> bool:
        """Whether as many seeds are enough for a comparison."""
        return len(seeds) >= min(ENOUGH, len(self.seeds))

    def spread(self, method: str, measure: str) -> str:
        """Mean and standard deviation of `dice` or `validation` over the seeds."""
        return _spread(self.values(method, measure))

    def gain(self, method: str, digits: int = 1) -> tuple[str, str]:
        """Points of test Dice over the better supervised method: pooled, and over patients."""
        pair = self.pair(method, self.baseline())
        return _gain(*pair, "dice", digits), _over_patients(*pair)


def read_runs(folder: Path) -> list[Run]:
    """The finished runs below a folder."""
    found = []
    for file in sorted(folder.glob("*/metrics.json")):
        match = NAME.fullmatch(file.parent.name)
        if match:
            scores = [row["val_dice"] for row in read_history(file.parent) if "val_dice" in row]
            labelled, seed = int(match["labelled"]), int(match["seed"])
            result, best = load_result(file), max(scores, default=None)
            key = (match["data"], labelled, match["method"], seed)
            made = device_of(file.parent), precision_of(file.parent)
            found.append(Run(*key, result, best, *made))
    return found


def section(folder: Path = RESULTS, order: Sequence[str] = ()) -> str:
    """The tables of every data set and number of labelled patients.

    Args:
        folder: of the kept files.
        order: of the methods; others follow by name.
    """
    parts = [NOTE]
    for (data, labelled), group in groups(folder, order).items():
        parts.append(f"## {data}: {labelled} labelled patients\n")
        parts += [*_missing(group), *_devices(group), *_precisions(group)]
        variants = [method for method in group.runs if method.startswith(f"{WHOLE}_")]
        methods = [method for method in group.runs if method not in variants]
        if methods:
            parts += [_methods_table(group, methods), _class_table(group, methods)]
            parts.append(_confidence_table(group, methods))
        if variants:
            parts.append(_variants_table(group, variants))
    return "\n".join(parts)


def groups(folder: Path, order: Sequence[str] = ()) -> dict[tuple[str, int], Group]:
    """The runs below a folder by data set and number of labelled patients."""
    runs = read_runs(folder)
    return {
        key: _group([run for run in runs if (run.data, run.labelled) == key], order)
        for key in sorted({(run.data, run.labelled) for run in runs})
    }


def _group(runs: Sequence[Run], order: Sequence[str]) -> Group:
    def place(name: str) -> tuple[int, str]:
        base = name.split("+")[0]
        return (order.index(base) if base in order else len(order), name)

    methods = sorted({run.method for run in runs}, key=place)
    by_method = {m: {run.seed: run for run in runs if run.method == m} for m in methods}
    return Group(by_method, sorted({run.seed for run in runs}))


def _missing(group: Group) -> list[str]:
    """The seeds that a method lacks and others have, in words."""
    gaps = [
        f"{method} (seed {', '.join(map(str, lacking))})"
        for method, runs in group.runs.items()
        if (lacking := [seed for seed in group.seeds if seed not in runs])
    ]
    return [f"Missing, not finished or not run: {'; '.join(gaps)}.\n"] if gaps else []


def _devices(group: Group) -> list[str]:
    """Which methods were trained on which device; nothing where all were on the CPU."""
    methods: dict[str, list[str]] = {}
    for method, runs in group.runs.items():
        for device in sorted({run.device for run in runs.values()}):
            methods.setdefault(device, []).append(method)
    if set(methods) == {CPU}:
        return []
    if len(methods) == 1:
        return [f"All were trained on: {next(iter(methods))}.\n"]
    told = (f"{device}: {', '.join(names)}" for device, names in methods.items() if device != CPU)
    return [f"Trained on {'; on '.join(told)}. All others on a CPU.\n"]


def _precisions(group: Group) -> list[str]:
    """Which runs had another precision than most; nothing where all had the same."""
    found: dict[str | None, dict[str, list[str]]] = {}
    for method, runs in group.runs.items():
        for seed, run in runs.items():
            found.setdefault(run.precision, {}).setdefault(method, []).append(str(seed))
    most = max(found, key=lambda precision: sum(map(len, found[precision].values())))
    told = (
        f"{precision}: " + "; ".join(f"{m} (seed {', '.join(own)})" for m, own in methods.items())
        for precision, methods in found.items()
        if precision != most
    )
    return [f"In {one}. All others in {most}.\n" for one in told]


def _methods_table(group: Group, methods: Sequence[str]) -> str:
    return _compared(group, methods, group.baseline() or BASELINES[0])


def _variants_table(group: Group, variants: Sequence[str]) -> str:
    """Of recipe `strong` with a part less or more: what is lost by it, and what is gained."""
    table = _compared(group, [WHOLE, *variants] if WHOLE in group.runs else variants, WHOLE)
    return f"Recipe `strong` with one part less, or more:\n\n{table}\n"


def _compared(group: Group, methods: Sequence[str], against: str) -> str:
    """One row a method, compared with one of the group."""
    rows = []
    for method in methods:
        runs = group.runs[method]
        counted = f"{len(runs)} of {len(group.seeds)}"
        scores = (group.spread(method, name) for name in ("validation", "dice"))
        pair = group.pair(method, against)
        gains = (_gain(*pair, name) for name in ("validation", "dice"))
        rows.append((method, counted, *scores, *gains, _over_patients(*pair)))
    scored = ("validation Dice", "test Dice")
    gained = (f"against {against}, points: validation", "test", "over patients (95% interval)")
    return markdown(("method", "seeds", *scored, *gained), rows)


def _class_table(group: Group, methods: Sequence[str]) -> str:
    every = [run for runs in group.runs.values() for run in runs.values()]
    classes = every[0].result.classes[1:]

    def dice(method: str, name: str) -> str:
        scores = [run.result.pooled["per_class"][name] for run in group.runs[method].values()]
        return _spread([score["dice"] for score in scores if score["dice"] is not None])

    rows = [(method, *(dice(method, name) for name in classes)) for method in methods]
    return f"Test Dice of each class, pooled:\n\n{markdown(('method', *classes), rows)}"


def _confidence_table(group: Group, methods: Sequence[str]) -> str:
    """Calibration error before and after, and predicted against true Dice, on the test cases."""
    rows = []
    for method in methods:
        results = [run.result for run in group.runs[method].values()]
        judged = [result.calibration for result in results if result.calibration]
        errors = (
            _spread([one[when]["foreground"]["ece"] for one in judged])
            for when in ("before", "after")
        )
        found = [result.quality["pearson"] for result in results if result.quality]
        rows.append((method, *errors, _spread([value for value in found if value is not None])))
    head = ("method", "error of S's probability", "calibrated", "predicted and true Dice (Pearson)")
    title = (
        "Calibration error (C1) of the test pixels predicted as foreground, and correlation of "
        "predicted with true Dice over the test cases:"
    )
    return f"{title}\n\n{markdown(head, rows)}"


def _gain(ours: Mapping[int, Run], theirs: Mapping[int, Run], measure: str, digits: int = 1) -> str:
    """The mean difference of two methods over their seeds, in points."""
    pairs = [(getattr(ours[seed], measure), getattr(theirs[seed], measure)) for seed in ours]
    values = [100 * (a - b) for a, b in pairs if a is not None and b is not None]
    return f"{statistics.mean(values):+.{digits}f}" if values else "-"


def _over_patients(ours: Mapping[int, Run], theirs: Mapping[int, Run]) -> str:
    """The difference of two methods over patients, in points."""
    patients: dict[str, list[float]] = {}
    for seed in ours:
        one, other = ours[seed].result.patients, theirs[seed].result.patients
        for patient in one.keys() & other.keys():
            a, b = (scores[patient][FOREGROUND]["dice"] for scores in (one, other))
            if a is not None and b is not None:
                patients.setdefault(patient, []).append(100 * (a - b))
    values = [statistics.mean(found) for _, found in sorted(patients.items())]
    middle, ends = mean(values), interval(values)
    if middle is None:
        return "-"
    return f"{middle:+.1f}" + (f" ({ends[0]:+.1f} to {ends[1]:+.1f})" if ends else "")


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    deviation = f" ±{statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{deviation}"


if __name__ == "__main__":
    with quiet_tensorflow():
        from benchmarks.semi_supervised.methods import METHODS
    print(section(Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS, tuple(METHODS)))
