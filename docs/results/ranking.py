"""The page on what `tfadvseg rank` wins over chance."""

import csv
import statistics
from collections import defaultdict
from pathlib import Path

from scipy.stats import spearmanr

HERE = Path(__file__).parent / "rank"
FILES = ("acdc.csv", "errors.csv")

INTRODUCTION = """# What ranking brings

Everything here is written by `python docs/results/make.py rank` from `docs/results/rank/`, which
`docs/results/run.sh DATA rank` makes; [where to label next](rank.md) tells how the ranking works.

Recipe `strong` on ACDC, `examples/acdc_small.yaml` with `precision: bfloat16`. For each seed a run
learns from 3 labelled patients (`base`) and ranks the 67 others. Then 2 patients are added, the
first two by rank or two at random, and all is trained again from scratch for as many steps.
"""


def missing() -> str:
    """Which raw files are missing."""
    gaps = [name for name in FILES if not (HERE / name).is_file()]
    return f"{HERE} lacks {', '.join(gaps)}" if gaps else ""


def parts() -> list[str]:
    """The parts of the page."""
    return [INTRODUCTION, _choices(_read(FILES[0])), _errors(_read(FILES[1]))]


def _choices(rows: list[dict[str, str]]) -> str:
    """Test Dice by seed, and what the ranked choice wins over the mean of the random ones."""
    seeds: dict[str, dict[str, float]] = defaultdict(dict)
    for row in rows:
        seeds[row["seed"]][row["choice"]] = float(row["dice"])
    lines = ["| seed | base | random | ranked | ranked - random |", "|---|---|---|---|---|"]
    wins = []
    for seed, dice in sorted(seeds.items()):
        draws = [value for choice, value in dice.items() if choice.startswith("random")]
        wins.append(100 * (dice["ranked"] - statistics.mean(draws)))
        shown = ", ".join(f"{value:.3f}" for value in draws)
        base, ranked = dice["base"], dice["ranked"]
        lines.append(f"| {seed} | {base:.3f} | {shown} | {ranked:.3f} | {wins[-1]:+.1f} |")
    spread = f" ±{statistics.stdev(wins):.1f}" if len(wins) > 1 else ""
    lines.append(f"| mean | | | | {statistics.mean(wins):+.1f}{spread} |")
    title = "Dice on the 20 test patients, and the difference in points:"
    return "\n".join(["## Does it choose better than chance?", "", title, "", *lines, ""])


def _errors(rows: list[dict[str, str]]) -> str:
    """How the benefit of the ranked patients goes with how wrong the model is of them."""
    seeds: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        seeds[row["seed"]].append((float(row["benefit"]), float(row["error"])))
    lines = ["| seed | patients | correlation (Spearman) |", "|---|---|---|"]
    for seed, pairs in sorted(seeds.items()):
        found = spearmanr(*zip(*pairs, strict=True))[0]
        lines.append(f"| {seed} | {len(pairs)} | {found:.2f} |")
    title = (
        "The labels of the ranked patients are only hidden, so it can be asked how "
        "`patient_benefit` goes with how\nwrong the model is of them (1 - Dice):"
    )
    return "\n".join(["## Does it see errors?", "", title, "", *lines, ""])


def _read(name: str) -> list[dict[str, str]]:
    with (HERE / name).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
