"""The page on what `tfadvseg rank` wins over chance."""

import csv
from pathlib import Path

from benchmarks.ranking.table import ALONE, CHOICES, ERRORS, choices, read, tables
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

LABELS_ALONE = """## Where labelled images alone teach

The same patients, 3 and the 2 more, with recipe `supervised`: unlabelled images make up for labels,
so that without them the choice of labels should tell more. Asked after the table above was seen.
`python benchmarks/ranking/labels_alone.py`.
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
    alone = FOLDER / ALONE
    found = [LABELS_ALONE, choices(read(alone))] if alone.is_file() else []
    return [INTRODUCTION, tables(FOLDER), *found, TRIED, tried()]


def tried() -> str:
    """Test Dice with the patients that earlier rules chose."""
    with (FOLDER / EARLIER).open(newline="", encoding="utf-8") as stream:
        rows = [
            (row["rule"], row["seed"], row["added"], f"{float(row['dice']):.3f}", row["device"])
            for row in csv.DictReader(stream)
        ]
    return markdown(("rule", "seed", "added", "test Dice", "device"), rows)
