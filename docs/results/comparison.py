"""The page that compares semi-supervised methods."""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean, median, stdev

from figures import figure
from sweeps_and_runs import sweep

from benchmarks.semi_supervised.table import BASELINES, Group, Run, groups, read_runs, section
from benchmarks.shared.device import CPU, device_of
from benchmarks.shared.markdown import markdown
from tfadvseg.cli.options import quiet_tensorflow
from tfadvseg.report.charts import (
    BLACK,
    BLUE,
    VERMILLION,
    Axis,
    Point,
    Series,
    Style,
    linear_axis,
    place_axis,
)
from tfadvseg.report.results import read_history

HERE = Path(__file__).parent
SWEEP = HERE / "sweeps" / "chd_cta_strong"
KEPT, ON_GPU = HERE / "semi_supervised", HERE / "semi_supervised_gpu"

INTRODUCTION = """# Do unlabelled images help?

Everything here is written by `python docs/results/make.py semi_supervised` from raw files in
`docs/results/`, which `docs/results/run.sh DATA semi_acdc semi_phantom` makes.

The recipes beside Mean Teacher, FixMatch and UniMatch, and recipe `strong` with one part less or
more: the same patients, labels, network, augmentation, schedule and averaged weights; only what is
learnt from unlabelled images differs. What each method is, and what is fair about it:
[benchmarks/semi_supervised](../benchmarks/semi_supervised/README.md).

* `acdc`, cardiac MRI (Bernard et al., IEEE TMI 2018): right ventricle (class 1), myocardium (2),
  left ventricle (3); `examples/acdc_small.yaml` with `precision: bfloat16`, unless the tables say
  float32, 800 steps. 20 patients test, 10 validate, by the split of `cases.csv`; the labelled ones
  are drawn by the seed, the rest of 70 are unlabelled. The labels of the validation patients choose
  the model of every method; recipe `strong` finds its thresholds on them too. So "5 labelled
  patients" costs 15.
* `phantom60`, drawn chest CT angiography that anybody can make again:
  `examples/phantom.yaml` with images of 64 pixels, 600 steps, batches of 4; 60 patients, 12 test.

The methods were not tuned alike. The parts and constants of recipe `strong` were decided on the
validation patients of `acdc` and `phantom60`; [what was tried](#tried-and-left-out) is listed.
FixMatch and UniMatch have their authors' constants, Mean Teacher three weights.

The runs are from before equally near pixels of a mask voted: of `acdc`, from 128 to 96 pixels,
every third row and column was labelled by the pixel below or to the right, for all methods alike.
"""

ABLATIONS = (
    *("strong_without_d", "strong_without_d_in_trust", "strong_without_boxes"),
    *("strong_without_intensities", "strong_without_dice", "strong_without_quotas"),
    *("strong_without_waiting", "strong_fixed_threshold", "strong_own_teacher"),
    *("strong_moved_teacher", "strong_harder_intensities"),
    *("strong_noisy_maps", "strong_spectral_norm"),
)
OTHERS = (
    *("adversarial", "paper", "mean_teacher", "fixmatch", "unimatch"),
    *("fixmatch_own_intensities", "unimatch_own_intensities"),
)
WHOLE = (*BASELINES, "strong")
WANTED = {
    ("acdc", 5): (*WHOLE, *OTHERS, *ABLATIONS),
    ("acdc", 10): WHOLE,
    ("acdc", 35): ("supervised_batch", "strong"),
    ("phantom60", 3): (*WHOLE, *OTHERS, *ABLATIONS),
}
GOALS = {("acdc", 5): 4.0, ("acdc", 10): 2.0, ("acdc", 35): -0.5}
AIMED = """## What was to be reached

The least difference in test Dice that was wanted, in points, from recipe `strong` to the better
supervised network. With 35 patients it may lose up to 0.5. With 10, three seeds missed it by so
little that two more were run; that all five would count was decided before. Of all that was run
with 10, the recipe as it is came nearest. What was tried to reach more: the variants in the tables
below, and [what was left out](#tried-and-left-out).
"""

SMALLEST = """## chd_cta: 5 labelled patients, and no more

CT angiography of 7 children, 36 slices: aorta (class 1) and pulmonary artery (2). Each is the test
patient once, another validates. Unlabelled: 92 slices of 6 patients from other sources. So few
patients prove no gain; the question is whether recipe `strong` does visible harm.

    docs/results/run.sh DATA chd_cta_strong
"""

COST = """## What it costs

Time of a training step in float32, and its ratio to that of recipe `paper` with the same
normalisation, on two CPU cores, for batches of 8 images of 96 x 96 pixels, S with 16 filters and D
with 32, 64 and 128: `python benchmarks/train_step.py`. Time grows with the number of pixels, and
with the square of the filters: the defaults (256 x 256, 32 filters) want a GPU.
"""

DEVICES = """## CPU and GPU

Some methods were trained on a GPU, as their tables say; the others on CPUs. These were trained on
both, with the same seeds: what the device alone changes. Steps per second are medians of a run's
history, validation not counted: two runs at a time on two CPU cores, sixteen at a time on the GPU.
"""

TRIED = """## Tried and left out

Changes of recipe `strong` that did not raise the Dice of the validation patients, by which it was
decided. A point of difference in one run is no evidence; where runs were stopped early, both
figures are those of their last step. All were changes of earlier states, and are compared with the
same state: the teacher's images were moved and bent, all images turned one way only, and L_semi had
no Dice. But for the first ones the student's view had other intensities and, except seed 0 with 10
patients, batch norm's averages had momentum 0.99.
Histories: `docs/results/tried/`; the code is gone.
"""

# The earlier states that changes were made to: the last one without Dice in L_semi, and one before.
BEFORE_DICE, BEFORE = "before_dice", "before"
WITHOUT_DICE = {  # changes of the recipe without Dice
    "mirrored_teacher": "the teacher's maps are a mean over the image and its mirror image",
    "more_dice": "Dice weighs 0.5 in L_semi, not 0 (and 0.1 in the recipe as it is)",
    "shared_intensities": "the teacher too sees the intensities that labelled images get",
    "finer_d": "D's map twice as fine or more: two values for the smallest class",
}
CHANGES = {
    **WITHOUT_DICE,
    "features": "every other unlabelled image without half the channels of S's encoder",
    "twice_unlabelled": "16 unlabelled images a step, not 8",
    "labelled_boxes": "boxes of labelled images with their labels, not of unlabelled ones",
    "lambda_semi_2": "L_semi weighs 2",
    "target_0.65": "trusted from where 65 % of the pixels are right, not 80 %",
    "soft_rest": "pixels that are not trusted teach their calibrated distribution, (C2)",
    "soft_all": "all pixels teach it; no thresholds, no quotas",
}


DRAWN = """![Dice on the test patients of acdc with 5, 10 and 35 labelled ones](pictures/acdc.svg)
![Dice of all methods with 5 labelled patients](pictures/acdc_5.svg)
"""
STYLES = {"supervised": Style(VERMILLION, "square"), "strong": Style(BLUE)}

NAMES = {  # in lines, as they stand side by side
    **{"supervised_batch": "super-\nvised", "adversarial": "adver-\nsarial", "paper": "paper"},
    **{"mean_teacher": "Mean\nTeacher", "fixmatch": "Fix-\nMatch", "unimatch": "Uni-\nMatch"},
    "strong": "strong",
}


def missing() -> str:
    """Which raw files are missing."""
    return "" if groups(KEPT) else f"{KEPT} has no finished run"


def parts() -> list[str]:
    """The parts of the page."""
    with quiet_tensorflow():
        from benchmarks.semi_supervised.methods import METHODS
    tables = section(KEPT, tuple(METHODS))
    cost = HERE / "train_step.json"
    found = [INTRODUCTION, not_yet(groups(KEPT)), aimed(groups(KEPT)), DRAWN, tables]
    found += [SMALLEST, trained_on(SWEEP), sweep(SWEEP)] if SWEEP.is_dir() else []
    found += [costs(json.loads(cost.read_text()))] if cost.is_file() else []
    return [*found, *devices(), TRIED, tried()]


def not_yet(found: dict[tuple[str, int], Group]) -> str:
    """The methods that no run has been made of."""
    lines = []
    for (data, labelled), methods in WANTED.items():
        group = found.get((data, labelled))
        lacking = [name for name in methods if group is None or name not in group.runs]
        if lacking:
            lines.append(f"* {data}, {labelled} labelled patients: {', '.join(lacking)}")
    if not SWEEP.is_dir():
        lines.append("* chd_cta with recipe `strong`")
    return "Not run yet:\n\n" + "\n".join(lines) + "\n" if lines else ""


def aimed(found: dict[tuple[str, int], Group]) -> str:
    """Every goal beside what was reached."""
    rows = []
    for (data, labelled), wanted in GOALS.items():
        group = found.get((data, labelled))
        reached = group.gain("strong", digits=2) if group else ("-", "-")
        rows.append((f"{data}, {labelled}", f"{wanted:+.1f}", *reached))
    head = ("data, labelled patients", "wanted", "reached", "over patients (95% interval)")
    return f"{AIMED}\n{markdown(head, rows)}"


def summary() -> str:
    """The table of the README."""
    rows = []
    for (data, labelled), group in groups(KEPT).items():
        baseline = group.baseline()
        if data == "acdc" and baseline and any(group.pair("strong", baseline)):
            scores = (group.spread(method, "dice") for method in (baseline, "strong"))
            rows.append((labelled, *scores, group.gain("strong")[0]))
    return markdown(
        ("labelled patients", "labelled images alone", "recipe `strong`", "points"), rows
    )


def charts() -> dict[str, str]:
    """The pictures by name: what `summary` says, and all methods with 5 labelled patients."""
    found = {
        labelled: group
        for (data, labelled), group in groups(KEPT).items()
        if data == "acdc" and any(group.pair("strong", group.baseline()))
    }
    return {"acdc": by_labels(found), "acdc_5": by_method(found[5])}


def by_labels(found: Mapping[int, Group]) -> str:
    """Test Dice of recipe strong and of the better supervised method over labelled patients."""
    names = (("supervised", "labelled images alone"), ("strong", "recipe strong"))
    drawn = [
        Series(
            name,
            STYLES[method],
            tuple(
                spread(n, group.values(method.replace("supervised", str(group.baseline())), "dice"))
                for n, group in found.items()
            ),
            "bars",
        )
        for method, name in names
    ]
    x = place_axis("labelled patients", [(n, str(n)) for n in found], log=True)
    return figure("Test Dice on ACDC (cardiac MRI), mean ± SD", x, axis_of(drawn), drawn)


def by_method(group: Group) -> str:
    """Test Dice of the methods that learn from the same labelled patients."""
    drawn, places = [], []
    for number, (method, name) in enumerate(NAMES.items()):
        places.append((float(number), name))
        style = STYLES.get(method.removesuffix("_batch"), Style(BLACK, "diamond"))
        points = (spread(number, group.values(method, "dice")),)
        drawn.append(Series("", style, points, "bars", joined=False))
    return figure(
        "Test Dice on ACDC, 5 labelled patients, mean ± SD",
        place_axis("", places),
        axis_of(drawn),
        drawn,
    )


def spread(x: float, values: list[float]) -> Point:
    """The mean of values, and their standard deviation as its interval."""
    mean, deviation = fmean(values), stdev(values)
    return Point(x, mean, mean - deviation, mean + deviation)


def axis_of(series: Iterable[Series]) -> Axis:
    """The axis that holds the intervals of all."""
    points = [point for one in series for point in one.points]
    return linear_axis("Dice", [end for p in points for end in (p.low, p.high)])


def costs(times: dict[str, dict[str, float]]) -> str:
    """The times of a step."""
    rows = [
        (name, f"{1000 * one['seconds']:.0f}", f"{one['to_paper']:.2f}")
        for name, one in times.items()
    ]
    return f"{COST}\n{markdown(('recipe, norm', 'ms', 'to recipe paper'), rows)}"


def devices() -> list[str]:
    """The runs that were made on a CPU and on a GPU."""
    on_cpu = {key(run): run for run in read_runs(KEPT) if run.device == CPU}
    rows = [
        (
            *(*key(run), run.device),
            *(f"{one.dice:.3f}" for one in (on_cpu[key(run)], run)),
            *(f"{steps_per_second(folder, run):.1f}" for folder in (KEPT, ON_GPU)),
        )
        for run in read_runs(ON_GPU)
    ]
    scores = ("test Dice, CPU", "GPU", "steps per second, CPU", "GPU")
    head = ("data", "labelled", "method", "seed", "GPU", *scores)
    return [f"{DEVICES}\n{markdown(head, rows)}"] if rows else []


def steps_per_second(folder: Path, run: Run) -> float:
    """Of a run below a folder, the median."""
    data, labelled, method, seed = key(run)
    rows = read_history(folder / f"{data}_{labelled}_{method}_seed{seed}")
    return median(row["steps_per_second"] for row in rows)


def trained_on(folder: Path) -> str:
    """The devices of a sweep's runs, in words."""
    names = sorted({device_of(file.parent) for file in folder.glob("runs/*/metrics.json")})
    return f"Trained on {', '.join(names)}.\n"


def key(run: Run) -> tuple[str, int, str, int]:
    """What makes a run, but the device."""
    return run.data, run.labelled, run.method, run.seed


def tried() -> str:
    """What each change scored on the validation patients, and the recipe before at that step."""
    scores: dict[tuple[str, str], list[tuple[str, int, float, float]]] = {}
    for folder in sorted((HERE / "tried").iterdir()):
        found = re.fullmatch(r"(.+_\d+)_(.+)_seed(\d+)", folder.name)
        if found is None:
            sys.exit(f"{folder}: expected a folder DATA_LABELLED_CHANGE_seedK")
        budget, change, seed = found.groups()
        if change not in (BEFORE, BEFORE_DICE):
            changed, before = val_dice(folder), val_dice(unchanged(budget, change, seed))
            step = max(changed)
            row = (seed, step, changed[step], before[step])
            scores.setdefault((change, budget), []).append(row)
    rows = []
    for change, text in CHANGES.items():
        for budget in sorted(budget for name, budget in scores if name == change):
            seeds, steps, changed, before = zip(*scores[change, budget], strict=True)
            means = (f"{fmean(values):.3f}" for values in (changed, before))
            rows.append((text, *budget.rsplit("_", 1), ", ".join(seeds), max(steps), *means))
    return markdown(("change", "data", "labelled", "seeds", "step", "changed", "before"), rows)


def unchanged(budget: str, change: str, seed: str) -> Path:
    """The run that a change is compared with."""
    before = BEFORE_DICE if change in WITHOUT_DICE else BEFORE
    return HERE / "tried" / f"{budget}_{before}_seed{seed}"


def val_dice(run: Path) -> dict[int, float]:
    """Validation Dice of a run by step."""
    return {int(row["step"]): row["val_dice"] for row in read_history(run)}
