"""The page on what `tfadvseg rank` wins over chance."""

from pathlib import Path
from statistics import mean

from benchmarks.ranking.table import (
    CHOICES,
    ERRORS,
    PAIRS,
    choices,
    errors,
    explored,
    many_pairs,
    read,
)
from benchmarks.shared.markdown import markdown

FOLDER = Path(__file__).parent / "rank"
EXPLORED, STANDARDISED, TRIED = "explored.csv", "standardised.csv", "tried.csv"

INTRODUCTION = """# What ranking brings

Everything here is written by `python docs/results/make.py rank` from `docs/results/rank/`, which
`docs/results/run.sh DATA rank` makes, but for the files of earlier rules.
[Where to label next](rank.md#is-it-better-than-chance) tells how it is measured, on ACDC: a run of
recipe `strong` (`examples/acdc_small.yaml`) with 3 labelled patients ranks the other training
patients, and 2 of them are added, by rank or at random.
"""

ALONE = """## Where labelled images alone teach

Small networks (48 pixels, 8 filters, recipe `supervised`) learnt from the 3 patients and the first
2 by rank, several times from other weights, and from the 3 patients and as many pairs at random.
`gain` is what `rank` says of a pair. Seeds, which draw the 3 patients, and numbers of runs were
decided beforehand, and nothing about the rule was known from these seeds; that medians judge was
decided when the eighth training was done, because one by rank had lost a class, and before any with
patients at random. `python benchmarks/ranking/many_pairs.py`. Dice on the test patients:
"""

BOTH = """## Where unlabelled images teach too

Recipe `strong` from scratch, as `base`, with 2 patients more; the first seeds of those above.
`python benchmarks/ranking/run.py`.
"""

SEEN = """## Does it see errors?

`python benchmarks/ranking/run.py`, with `--seeds 0,1,2,3 --set precision=bfloat16`, with
`--seeds 4,5`, and as above.
"""

EARLIER = """## How the rule was found

The first rule was worse than chance: the patients of whom least was known were outliers, which
teach nothing about others. Then likeness was that of whole images, then that of each activation of
the predicted foreground, standardised; now it is that of their directions. With the standardised
ones, the first two by rank were no better than chance. Recipe `strong`; the scores of seeds 0 to 2
were seen before:
"""

PROBED = """So many pairs of patients were added at random, to small networks (48 pixels, 8 filters,
recipe `supervised`), which are scored on the test patients, and to still smaller ones, which are
scored on the patients whose labels are hidden, both by code that is gone. The table has, by seed,
the Spearman correlation of what `rank` says of a pair with the Dice that its labels brought, and
how likely such a mean or more is by chance. Seven measures of likeness were tried, each with
several radii: that of directions was the best on average, so that its figure flatters. With the
first two of random quarters of the patients, by standardised activations, the small networks had a
test Dice {points:+.1f} points above that with pairs at random.
"""

OLDER = """Test Dice by still earlier rules, with the same labelled patients and code that is gone:
"""


def missing() -> str:
    """Which raw files are missing."""
    needed = (ERRORS, EXPLORED, STANDARDISED, TRIED)
    gaps = [name for name in needed if not (FOLDER / name).is_file()]
    return f"{FOLDER} lacks {', '.join(gaps)}" if gaps else ""


def parts() -> list[str]:
    """The parts of the page; what is not there yet is left out."""
    found = [INTRODUCTION]
    for about, name, table in ((ALONE, PAIRS, many_pairs), (BOTH, CHOICES, choices)):
        if (FOLDER / name).is_file():
            found += [about, table(read(FOLDER / name))]
    probed = read(FOLDER / EXPLORED)
    drawn = [row for row in probed if row["choice"].startswith("pair")]
    return [
        *(*found, SEEN, errors(read(FOLDER / ERRORS))),
        *(EARLIER, choices(read(FOLDER / STANDARDISED))),
        *(PROBED.format(points=_quarters(probed)), explored(drawn, ["standardised", "directions"])),
        *(OLDER, tried()),
    ]


def _quarters(rows: list[dict[str, str]]) -> float:
    """Mean over the seeds of what the first two of quarters win over pairs at random, in points."""
    dice: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row["instrument"] == "small":
            kinds = dice.setdefault(row["seed"], {"pair": [], "quarter": [], "ranked": []})
            kinds[row["choice"].rstrip("0123456789")].append(float(row["dice"]))
    return 100 * mean(mean(own["quarter"]) - mean(own["pair"]) for own in dice.values())


def tried() -> str:
    """Test Dice with the patients that earlier rules chose."""
    rows = [
        (row["rule"], row["seed"], row["added"], f"{float(row['dice']):.3f}", row["device"])
        for row in read(FOLDER / TRIED)
    ]
    return markdown(("rule", "seed", "added", "test Dice", "device"), rows)
