"""The page of the sweeps and the single runs."""

import csv
import json
import statistics
from pathlib import Path

import yaml

from benchmarks.shared.markdown import markdown
from tfadvseg.report.sweep import read_sweep
from tfadvseg.report.sweep_report import Analysis
from tfadvseg.report.table import Cell, Table

HERE = Path(__file__).parent

INTRODUCTION = """# Results

Everything below the line is written by `python docs/results/make.py` from raw files: for each
cross-validation `docs/results/sweeps/NAME/` (`plan.json` and, a run, `metrics.json` and
`history.csv`), for each single run `docs/results/RUN/`. `docs/results/run.sh` made them; the exact
commands stand with the tables. What is not finished yet is said to be so, or has no row.

The data: `acdc`, 1902 slices of 100 patients as pictures without spacing, from the ACDC challenge
(Bernard et al., IEEE TMI 2018); `chd_cta`, 36 CT slices of 7 children with congenital heart
disease, from the set CHD68; `cta_unlabelled`, 92 CT slices of 6 patients from three other public
sets, without masks; `brain_mni`, which `examples/brain_mni.py` writes; the phantom, which
`tfadvseg data phantom` draws. Each is a data folder with `cases.csv`. The patients of every split
are in the raw files.

---
"""

SWEEPS = {
    "acdc": """## ACDC: 5, 10, 35 and 70 labelled patients

Cardiac MRI: right ventricle (class 1), myocardium (2), left ventricle (3). 20 patients test, 10
validate, by the split of `cases.csv`; the labelled ones of the other 70 are drawn by the seed, 1/14
of them is 5 patients, 1/7 is 10. The others keep their images. Data: the ACDC challenge (Bernard
et al., IEEE TMI 2018).

    tfadvseg crossval examples/acdc_small.yaml --data DATA/acdc --out runs/acdc \\
        --folds 1 --label-fractions 1,1/2,1/7,1/14 --seeds 3 --set averaging=0
""",
    "phantom": """## The generated phantom

Drawn chest CT angiography, which anybody can make again: three folds of 20 patients.

    tfadvseg data phantom phantom --patients 20 --size 64
    tfadvseg crossval examples/phantom.yaml --data phantom --out runs/phantom \\
        --folds 3 --label-fractions 1,1/2,1/4,1/8 --set image_size=64 --set steps=600 \\
        --set batch_size=4 --set unlabelled_batch_size=4 --set averaging=0 --set norm=instance
""",
    "chd_cta": """## CT angiography: leave one patient out

The paper's own task, on 36 slices of 7 children with congenital heart disease. Class 1 is the
aorta, 2 the pulmonary artery. Recipe `paper` also sees 92 slices of 6 patients from other sources
(adult, child, windowed differently) without masks; `supervised` and `adversarial` do not. So few
slices demonstrate; they prove nothing.

    tfadvseg crossval examples/chd_cta.yaml --data DATA/chd_cta --unlabelled DATA/cta_unlabelled \\
        --out runs/chd_cta --folds 7 --label-fractions 1 --set image_size=128 \\
        --set val_patients=1 --set test_patients=null --set steps=1500 \\
        --set averaging=0
""",
}

RUNS = """# Single runs

Dice and MIOU are macro means over the foreground classes, pooled over the pixels of all test cases,
on the original grid. Validation figures are those of the chosen model. One run each, few patients:
a difference of a few points between two rows is no evidence.
"""

ACDC = """## ACDC: 5 labelled patients of 70

Cardiac MRI: right ventricle (class 1), myocardium (2), left ventricle (3). The split is that of
`cases.csv`; the labelled patients are drawn by the seed; validation chooses the model. Data: the
ACDC challenge (Bernard et al., IEEE TMI 2018).

    tfadvseg fit examples/acdc_small.yaml --data DATA/acdc --recipe RECIPE --set norm=NORM \\
        --set seed=SEED --set averaging=0

The default of `norm` was chosen by the validation Dice of these runs. With batch norm, labelled and
unlabelled images pass the segmenter apart; see [the rule](method.md#batch-statistics).
"""

CHD = """## CT angiography: aorta and pulmonary artery

The paper's own task, on 36 slices of 7 children with congenital heart disease; patients 1006 and
1007 are the test set, 1001 validates. Class 1 is the aorta, 2 the pulmonary artery. The unlabelled
pool is 92 slices of 6 patients from other sources (adult, child, windowed differently). So few
slices demonstrate; they prove nothing.

    tfadvseg fit examples/chd_cta.yaml --data DATA/chd_cta --set averaging=0 \\
        --unlabelled DATA/cta_unlabelled
    tfadvseg fit examples/chd_cta.yaml --data DATA/chd_cta --set averaging=0 --recipe supervised

The overlays are drawn by `tfadvseg predict RUN DATA/chd_cta/images --out OUT --overlay`; the
images are not ours to copy here.
"""

BRAIN = """## Brain MRI in 3-D: grey and white matter

The template that nilearn ships, cut into slabs (NIfTI, 2 mm): anybody can run this again. Slabs of
one brain stand in for patients, so the figures show that the chain works on volumes, from files to
distances in mm, and nothing about other brains.

    pip install nilearn && python examples/brain_mni.py brain_mni
    tfadvseg fit examples/brain_mni.yaml --recipe RECIPE
"""

COLUMNS = (
    *("run", "norm", "seed", "val Dice", "test Dice", "MIOU", "specificity", "precision"),
    *("HD95 mm", "kept", "D(real)", "D(fake)", "minutes"),
)


def missing() -> str:
    """Which raw files are missing: without a sweep's runs the page would lose their tables."""
    for name in SWEEPS:
        folder = HERE / "sweeps" / name
        if folder.is_dir() and not read_sweep(folder).results():
            return f"{folder} has none of its runs"
    return ""


def parts() -> list[str]:
    """The parts of the page."""
    found = [INTRODUCTION]
    for name, title in SWEEPS.items():
        if (HERE / "sweeps" / name).is_dir():
            found += [title, sweep(HERE / "sweeps" / name)]
    found.append(RUNS)
    runs = [read_run(path.parent) for path in sorted(HERE.glob("*/metrics.json"))]
    for title, prefix in ((ACDC, "acdc"), (CHD, "chd_cta"), (BRAIN, "brain_mni")):
        chosen = [run for run in runs if run["name"].startswith(prefix)]
        if chosen:
            found += [title, table(chosen), labelled(chosen), per_class(chosen), spread(chosen)]
    return found


def sweep(folder: Path) -> str:
    """What a sweep found, in sentences and tables."""
    analysis = Analysis(read_sweep(folder))
    done, planned = len(analysis.sweep.results()), len(analysis.sweep.trainings())
    shown = ("table2", "table3", "class_dice", "recipes_dice", "labels_dice", "readings", "budget")
    answers = [
        f"* **{one.lead}.** {one.detail}".rstrip() for one in (*analysis.helped, *analysis.reached)
    ]
    tables = [as_markdown(analysis.tables[name]) for name in shown if name in analysis.tables]
    steps = json.loads((folder / "plan.json").read_text())["settings"]["steps"]
    far = f"{done} of {planned} runs of {steps} steps are finished."
    return "\n".join([far, "", *answers, "", *tables])


def as_markdown(table: Table) -> str:
    """A table with what stands small below a number in brackets after it."""
    rows = [
        (f"*{row}*", *[""] * (len(table.columns) - 1)) if isinstance(row, str) else map(cell, row)
        for row in table.rows
    ]
    text = markdown([cell(column) for column in table.columns], map(tuple, rows))
    return "\n".join([f"{table.title}:", "", text, *([table.note, ""] if table.note else [])])


def cell(one: Cell) -> str:
    """The text of a cell."""
    below = one.below if one.below.startswith("±") else f"({one.below})"
    return f"{one.text} {below}" if one.below else one.text


def read_run(folder: Path) -> dict:
    """The figures of one run."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    with (folder / "history.csv").open() as stream:
        history = list(csv.DictReader(stream))
    starts = [0, *(int(row["step"]) for row in history)]
    steps = [stop - start for start, stop in zip(starts, starts[1:], strict=False)]
    speeds = [float(row["steps_per_second"]) for row in history]
    return {
        "name": folder.name,
        "config": config,
        "split": json.loads((folder / "split.json").read_text()),
        "metrics": json.loads((folder / "metrics.json").read_text()),
        "val": max((float(row["val_dice"]) for row in history if row["val_dice"]), default=None),
        "last": history[-1],
        "minutes": sum(n / speed for n, speed in zip(steps, speeds, strict=True)) / 60,
    }


def table(runs: list[dict]) -> str:
    """One row a run."""
    rows = []
    for run in sorted(runs, key=lambda r: (r["config"]["norm"], r["config"]["seed"])):
        config, last = run["config"], run["last"]
        score = run["metrics"]["pooled"]["foreground"]
        figures = [
            number(run["val"]),
            *(number(score[name]) for name in ("dice", "miou", "specificity", "precision")),
            number(run["metrics"].get("surface", {}).get("foreground", {}).get("hd95_mm")),
            *(number(last.get(name)) for name in ("kept", "d_real", "d_fake_labelled")),
            f"{run['minutes']:.1f}",
        ]
        rows.append((config["recipe"], config["norm"], config["seed"], *figures))
    return markdown(COLUMNS, rows) + (
        "\nkept, D(real) and D(fake) are means over the last round; minutes are those of the "
        "training steps\non two shared CPU cores.\n"
    )


def labelled(runs: list[dict]) -> str:
    """The labelled patients of each seed."""
    seeds = {run["config"]["seed"]: run["split"]["patients"]["labelled"] for run in runs}
    lines = [f"* seed {seed}: {', '.join(names)}" for seed, names in sorted(seeds.items())]
    return "Labelled patients:\n\n" + "\n".join(lines) + "\n"


def per_class(runs: list[dict]) -> str:
    """Dice of every foreground class."""
    names = list(runs[0]["metrics"]["pooled"]["per_class"])[1:]
    rows = []
    for run in runs:
        scores = run["metrics"]["pooled"]["per_class"]
        rows.append((run["name"], *(number(scores[name]["dice"]) for name in names)))
    return "Test Dice of each class, pooled:\n\n" + markdown(("run", *names), rows)


def spread(runs: list[dict]) -> str:
    """Mean over seeds, where there are several."""
    groups: dict[tuple[str, str], list[dict]] = {}
    for run in runs:
        groups.setdefault((run["config"]["norm"], run["config"]["recipe"]), []).append(run)
    rows = []
    for (norm, recipe), members in groups.items():
        if len(members) > 1:
            val = statistics.mean(run["val"] for run in members)
            test = statistics.mean(
                run["metrics"]["pooled"]["foreground"]["dice"] for run in members
            )
            rows.append((norm, recipe, len(members), f"{val:.3f}", f"{test:.3f}"))
    head = ("norm", "recipe", "seeds", "val Dice", "test Dice")
    return "Means over the seeds:\n\n" + markdown(head, rows) if rows else ""


def number(value: float | str | None) -> str:
    """Three digits, or a dash where there is none."""
    return "-" if value in (None, "") else f"{float(value):.3f}"
