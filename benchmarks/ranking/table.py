"""What ranking wins over chance, as Markdown, from the tables that `run.py` leaves."""

from __future__ import annotations

import csv
import itertools
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import rankdata, spearmanr

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout, for a script's imports

from benchmarks.shared.device import CPU  # noqa: E402
from benchmarks.shared.markdown import markdown  # noqa: E402

CHOICES, ERRORS, PAIRS = "acdc.csv", "errors.csv", "many_pairs.csv"
SIDES = "ranked", "pair"
SHUFFLES = 10000


def tables(folder: Path) -> str:
    """Test Dice with patients added by rank and at random, and how benefit goes with error.

    Args:
        folder: with both files.
    """
    return "\n".join([choices(read(folder / CHOICES)), errors(read(folder / ERRORS))])


def choices(runs: list[dict[str, str]]) -> str:
    """Test Dice by seed, and what the ranked choice wins over the mean of the random ones."""
    seeds: dict[str, dict[str, float]] = defaultdict(dict)
    for run in runs:
        seeds[run["seed"]][run["choice"]] = float(run["dice"])
    rows, wins = [], []
    for seed, dice in sorted(seeds.items(), key=lambda item: int(item[0])):
        draws = [value for choice, value in dice.items() if choice.startswith("random")]
        wins.append(100 * (dice["ranked"] - statistics.mean(draws)))
        base = f"{dice['base']:.3f}" if "base" in dice else "-"
        told = (", ".join(f"{value:.3f}" for value in draws), f"{dice['ranked']:.3f}")
        rows.append((seed, base, *told, f"{wins[-1]:+.1f}"))
    spread = f" ±{statistics.stdev(wins):.1f}" if len(wins) > 1 else ""
    middle = round(statistics.mean(wins), 1) + 0.0  # without the sign of -0.0
    rows.append(("mean", "", "", "", f"{middle:+.1f}{spread}"))
    head = ("seed", "base", "random", "ranked", "ranked - random, points")
    return (
        f"Dice on the test patients:\n\n{markdown(head, rows)}\n{_devices(runs)}{_precisions(runs)}"
    )


def many_pairs(runs: list[dict[str, str]]) -> str:
    """Test Dice with the pair that is first by rank and with pairs at random, by seed.

    Medians, as a training may lose a class whatever it learns from; what means say stands below.
    """
    rows, wins, by_means = [], [], []
    for seed, own in _by_seed(runs):
        sides = [(_column(own, "dice", kind), _column(own, "gain", kind)) for kind in SIDES]
        ranked, drawn = (np.median(dice) for dice, _ in sides)
        wins.append(100 * (ranked - drawn))
        by_means.append(100 * (sides[0][0].mean() - sides[1][0].mean()))
        told = (f"{np.median(dice):.3f} ({gain.mean():.2f})" for dice, gain in sides)
        count = ", ".join(str(len(dice)) for dice, _ in sides)
        rows.append((seed, count, *told, f"{wins[-1]:+.1f}"))
    rows.append(("mean", "", "", "", f"{np.mean(wins):+.1f} ±{np.std(wins, ddof=1):.1f}"))
    head = (
        *("seed", "runs", "ranked: median Dice (gain)", "at random: median Dice (gain)"),
        "ranked - random, points",
    )
    return (
        f"{markdown(head, rows)}\nWere a choice by rank like one at random, so that each "
        "difference could as well have the other sign, such a mean or more would come by chance "
        f"with probability {_by_signs(np.array(wins)):.2g}. Of means in place of medians the "
        f"difference is {np.mean(by_means):+.1f} ±{np.std(by_means, ddof=1):.1f} points, "
        f"probability {_by_signs(np.array(by_means)):.2g}.\n"
    )


def explored(runs: list[dict[str, str]], gains: Sequence[str]) -> str:
    """How test Dice goes with the gain of pairs of patients, by each of several rules.

    Args:
        runs: rows with `instrument`, `seed`, `dice` and the gain by each rule.
        gains: columns of the rules.
    """
    rows, ranks = [], defaultdict(list)
    kinds = sorted({run["instrument"] for run in runs})
    groups = [(kind, *of) for kind in kinds for of in _by_seed(runs, instrument=kind)]
    for kind, seed, own in groups:
        dice = rankdata(_column(own, "dice"))
        for name in gains:
            ranks[name].append((rankdata(_column(own, name)), dice))
        told = (f"{np.corrcoef(*ranks[name][-1])[0, 1]:+.2f}" for name in gains)
        rows.append((kind, seed, len(own), *told))
    chances = [_by_chance(ranks[name]) for name in gains]
    rows.append(("mean", "", "", *(f"{found:+.2f}" for found, _ in chances)))
    rows.append(("by chance", "", "", *(f"{chance:.2g}" for _, chance in chances)))
    return markdown(("networks", "seed", "pairs", *gains), rows)


def _by_seed(runs: list[dict[str, str]], **of: str) -> list[tuple[str, list[dict[str, str]]]]:
    """Runs by their seeds; of some of them, those whose columns have these values."""
    seeds: dict[str, list[dict[str, str]]] = defaultdict(list)
    for run in runs:
        if all(run[name] == value for name, value in of.items()):
            seeds[run["seed"]].append(run)
    return sorted(seeds.items(), key=lambda item: int(item[0]))


def _column(runs: list[dict[str, str]], name: str, choice: str = "") -> np.ndarray:
    """A column of the runs, or of those whose choice begins so."""
    kept = (run for run in runs if not choice or run["choice"].startswith(choice))
    return np.array([float(run[name]) for run in kept])


def _by_signs(wins: np.ndarray) -> float:
    """How many of all choices of their signs give a mean as large: an exact one-sided test."""
    signs = np.array(list(itertools.product((1, -1), repeat=len(wins))))
    return float(np.mean(signs @ wins >= wins.sum() - 1e-9))


def _by_chance(ranks: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """The mean correlation, and how often shuffles of one side in each seed reach it."""
    generator = np.random.default_rng(0)

    def mean(shuffle: Callable[[np.ndarray], np.ndarray]) -> float:
        return statistics.mean(np.corrcoef(shuffle(a), b)[0, 1] for a, b in ranks)

    found = mean(lambda ranks: ranks)
    reached = sum(mean(generator.permutation) >= found for _ in range(SHUFFLES))
    return found, (reached + 1) / (SHUFFLES + 1)


def _devices(runs: list[dict[str, str]]) -> str:
    """Which runs were trained on a GPU, in words."""
    on_gpu: dict[str, list[str]] = defaultdict(list)
    for run in runs:
        if run.get("device", CPU) != CPU:
            on_gpu[run["device"]].append(f"{run['choice']} of seed {run['seed']}")
    told = (f"Trained on {device}: {', '.join(names)}.\n" for device, names in on_gpu.items())
    return "".join(told)


def _precisions(runs: list[dict[str, str]]) -> str:
    """Which seeds had which precision, in words; nothing where all had the same."""
    seeds: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        seeds[run.get("precision", "")].add(run["seed"])
    told = (
        f"{precision} for seeds {', '.join(sorted(own, key=int))}"
        for precision, own in seeds.items()
    )
    return f"Precision: {'; '.join(told)}.\n" if len(seeds) > 1 else ""


def errors(patients: list[dict[str, str]]) -> str:
    """How the benefit of the ranked patients goes with how wrong the model is about them."""
    seeds: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for one in patients:
        seeds[one["seed"]].append((float(one["benefit"]), float(one["error"])))
    rows = [
        (seed, len(pairs), f"{spearmanr(*zip(*pairs, strict=True))[0]:.2f}")
        for seed, pairs in sorted(seeds.items())
    ]
    head = ("seed", "ranked patients", "correlation (Spearman)")
    return f"Benefit and true error (1 - Dice) of the ranked patients:\n\n{markdown(head, rows)}"


def read(file: Path) -> list[dict[str, str]]:
    """The rows of a table of results."""
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
