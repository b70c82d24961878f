"""What ranking wins over chance, as Markdown, from the tables that `run.py` leaves."""

from __future__ import annotations

import csv
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import rankdata, spearmanr

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout, for a script's imports

from benchmarks.shared.device import CPU  # noqa: E402
from benchmarks.shared.markdown import markdown  # noqa: E402

CHOICES, ERRORS, PAIRS = "acdc.csv", "errors.csv", "many_pairs.csv"
SHUFFLES = 10000


def tables(folder: Path) -> str:
    """Test Dice with patients added by rank and at random, and how benefit goes with error.

    Args:
        folder: with both files.
    """
    return "\n".join([choices(read(folder / CHOICES)), _errors(read(folder / ERRORS))])


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
    """How test Dice goes with the gain of the pairs of patients that were added at random."""
    rows, ranks, firsts = [], [], []
    for seed, own in _by_seed(runs):
        gain, dice = (_column(own, name, "pair") for name in ("gain", "dice"))
        best = gain >= np.quantile(gain, 0.75)
        quarter = 100 * (dice[best].mean() - dice[~best].mean())
        firsts.append(100 * (_column(own, "dice", "ranked").mean() - dice.mean()))
        ranks.append((rankdata(gain), rankdata(dice)))
        told = f"{np.corrcoef(*ranks[-1])[0, 1]:+.2f}"
        rows.append((seed, len(dice), f"{dice.mean():.3f}", told, f"{quarter:+.1f}"))
        rows[-1] += (f"{firsts[-1]:+.1f}",)
    found, chance = _by_chance(ranks)
    rows.append(("mean", "", "", f"{found:+.2f}", "", f"{statistics.mean(firsts):+.1f}"))
    head = (
        *("seed", "pairs", "mean Dice", "gain and Dice (Spearman)"),
        *("quarter of most gain - others, points", "ranked - pairs, points"),
    )
    return (
        f"{markdown(head, rows)}\nWere gain without meaning, a mean correlation of {found:+.2f} or "
        f"more would come by chance with probability {chance:.2g}.\n"
    )


def of_quarters(runs: list[dict[str, str]]) -> str:
    """What the first two of ranked quarters of the patients win over pairs at random."""
    rows, pairs = [], []
    for seed, own in _by_seed(runs):
        ranked, drawn = (_column(own, "dice", kind) for kind in ("quarter", "pair"))
        pairs.append((ranked, drawn))
        told = (len(ranked), f"{ranked.mean():.3f}", len(drawn), f"{drawn.mean():.3f}")
        rows.append((seed, *told, f"{100 * (ranked.mean() - drawn.mean()):+.1f}"))
    found, chance = _win_by_chance(pairs)
    rows.append(("mean", "", "", "", "", f"{100 * found:+.1f}"))
    head = ("seed", "ranked", "mean Dice", "at random", "mean Dice", "ranked - random, points")
    return (
        f"{markdown(head, rows)}\nWere the ranked ones as the others, a difference of "
        f"{100 * found:+.1f} points or more would come by chance with probability {chance:.2g}.\n"
    )


def _by_seed(runs: list[dict[str, str]]) -> list[tuple[str, list[dict[str, str]]]]:
    seeds: dict[str, list[dict[str, str]]] = defaultdict(list)
    for run in runs:
        seeds[run["seed"]].append(run)
    return sorted(seeds.items(), key=lambda item: int(item[0]))


def _column(runs: list[dict[str, str]], name: str, choice: str) -> np.ndarray:
    """A column of the runs whose choice begins so."""
    return np.array([float(run[name]) for run in runs if run["choice"].startswith(choice)])


def _win_by_chance(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """The mean difference of two sides, and how often it is reached by pairs in any order."""
    generator = np.random.default_rng(0)

    def mean(shuffle: Callable[[np.ndarray], np.ndarray]) -> float:
        sides = [np.split(shuffle(np.concatenate(own)), [len(own[0])]) for own in pairs]
        return statistics.mean(float(a.mean() - b.mean()) for a, b in sides)

    found = mean(lambda values: values)
    reached = sum(mean(generator.permutation) >= found for _ in range(SHUFFLES))
    return found, (reached + 1) / (SHUFFLES + 1)


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


def _errors(patients: list[dict[str, str]]) -> str:
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
