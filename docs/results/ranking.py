"""The page on what `tfadvseg rank` wins over chance."""

from pathlib import Path

from benchmarks.ranking.table import CHOICES, ERRORS, tables

FOLDER = Path(__file__).parent / "rank"

INTRODUCTION = """# What ranking brings

Everything here is written by `python docs/results/make.py rank` from `docs/results/rank/`, which
`docs/results/run.sh DATA rank` makes. [Where to label next](rank.md#is-it-better-than-chance) tells
how it is measured: on ACDC, with recipe `strong`, `examples/acdc_small.yaml` and
`precision: bfloat16`. `base` has 3 labelled patients; the others have 2 more.
"""


def missing() -> str:
    """Which raw files are missing."""
    gaps = [name for name in (CHOICES, ERRORS) if not (FOLDER / name).is_file()]
    return f"{FOLDER} lacks {', '.join(gaps)}" if gaps else ""


def parts() -> list[str]:
    """The parts of the page."""
    return [INTRODUCTION, tables(FOLDER)]
