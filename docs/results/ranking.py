"""The page on what `tfadvseg rank` wins over chance."""

import csv
from pathlib import Path

from benchmarks.ranking.table import CHOICES, ERRORS, PAIRS, many_pairs, of_quarters, read, tables
from benchmarks.shared.markdown import markdown

FOLDER = Path(__file__).parent / "rank"
EARLIER = "tried.csv"

INTRODUCTION = """# What ranking brings

Everything here is written by `python docs/results/make.py rank` from `docs/results/rank/`, which
`docs/results/run.sh DATA rank` makes, but for `tried.csv`, of code that is gone.
[Where to label next](rank.md#is-it-better-than-chance) tells how it is measured: on ACDC, with
recipe `strong`, `examples/acdc_small.yaml`. `base` has 3 labelled patients; the others have 2
more.
"""

MANY_PAIRS = """## What gain tells where labelled images alone teach

What one choice brings is mostly noise, and where unlabelled images teach too it is little. So small
networks (48 pixels, 8 filters, recipe `supervised`) learnt from the 3 patients and many pairs of
others, drawn at random; `gain` is what `rank` says of a pair, by the run of recipe `strong` with 3
labelled patients. Nothing was chosen by these scores.
`python benchmarks/ranking/many_pairs.py`. Dice on the test patients:
"""

QUARTERS = """## What a choice by rank brings where labelled images alone teach

One choice by rank a seed is one draw. So the other patients were divided at random into quarters,
several times, and `rank` was given one quarter at a time. With the first two patients of each the
same small networks learnt, beside those with two drawn at random, which are the pairs above. How
many there would be was decided before the first was trained.

"""

TRIED = """## Earlier rules

By earlier rules of choice, with the same labelled patients. The first one was worse than chance:
the patients of whom least was known were outliers, which teach nothing about others. Then
likeness was that of whole images, now it is that of the predicted foreground. The scores of seeds 0
to 2 were seen before the rule became what it is; those of later seeds were not.
"""


def missing() -> str:
    """Which raw files are missing."""
    gaps = [name for name in (CHOICES, ERRORS, EARLIER) if not (FOLDER / name).is_file()]
    return f"{FOLDER} lacks {', '.join(gaps)}" if gaps else ""


def parts() -> list[str]:
    """The parts of the page."""
    pairs = FOLDER / PAIRS
    found = []
    if pairs.is_file():
        runs = read(pairs)
        found = [MANY_PAIRS, many_pairs(runs), QUARTERS, of_quarters(runs)]
    return [INTRODUCTION, tables(FOLDER), *found, TRIED, tried()]


def tried() -> str:
    """Test Dice with the patients that earlier rules chose."""
    with (FOLDER / EARLIER).open(newline="", encoding="utf-8") as stream:
        rows = [
            (row["rule"], row["seed"], row["added"], f"{float(row['dice']):.3f}", row["device"])
            for row in csv.DictReader(stream)
        ]
    return markdown(("rule", "seed", "added", "test Dice", "device"), rows)
