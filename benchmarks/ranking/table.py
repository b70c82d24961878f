"""What ranking wins over chance, as Markdown, from the tables that `run.py` leaves."""

from __future__ import annotations

import csv
import statistics
import sys
from collections import defaultdict
from pathlib import Path

from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout, for a script's imports

from benchmarks.shared.device import CPU  # noqa: E402
from benchmarks.shared.markdown import markdown  # noqa: E402

CHOICES, ERRORS, ALONE = "acdc.csv", "errors.csv", "labels_alone.csv"


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
