"""Sweeps and runs with scores that are known, and a reader of pages."""

import csv
import json

import numpy as np
import pytest
from rich.console import Console

from tfadvseg.building import build_model
from tfadvseg.config import Config
from tfadvseg.metrics import SCORES
from tfadvseg.preparation import prepare
from tfadvseg.run_folder import RunFolder, environment
from tfadvseg.training import finish

CLASSES = ("background", "aorta", "pulmonary artery")
SHARE = {"1": 1.0, "1/2": 0.5, "1/4": 0.25, "1/8": 0.125}


def scores(dice, hd95=None):
    """Scores of a class: MIOU follows from Dice, the others are made up."""
    if dice is None:
        return {**dict.fromkeys(SCORES), "specificity": 1.0, "hd95_mm": None, "assd_mm": None}
    miou = dice / (2 - dice)
    values = dict(zip(SCORES, (miou, dice, 0.99, dice, dice), strict=True))
    return {**values, "hd95_mm": hd95, "assd_mm": None if hd95 is None else hd95 / 4}


def metrics(patients, split="test"):
    """The content of metrics.json, from patient to Dice (and HD95) of both foreground classes."""
    per_patient = [
        {
            "patient": patient,
            "cases": 1,
            "per_class": {
                name: scores(*(value if isinstance(value, tuple) else (value,)))
                for name, value in zip(CLASSES, (0.99, *values), strict=True)
            },
        }
        for patient, values in patients.items()
    ]
    summary = {
        "foreground": scores(0.5),
        "all": scores(0.6),
        "per_class": {name: scores(0.5) for name in CLASSES},
    }
    return {
        "split": split,
        "cases": len(patients),
        "pooled": summary,
        "mean_over_cases": summary,
        "per_case": [
            {"case": f"{row['patient']}_slice", **{k: row[k] for k in ("patient", "per_class")}}
            for row in per_patient
        ],
        "per_patient": per_patient,
    }


def write_run(folder, content, *, recipe="paper", data="nowhere", seed=0, steps=400):
    """A finished run without its model."""
    folder.mkdir(parents=True)
    config = Config(data=data, classes=CLASSES, channels=1, recipe=recipe, seed=seed, steps=steps)
    (folder / "config.yaml").write_text(config.to_yaml())
    names = {"labelled": ["a1", "a2"], "unlabelled": ["b1"], "val": ["c1"], "test": ["d1"]}
    split = {**names, "patients": {part: [n[0] for n in own[:1]] for part, own in names.items()}}
    (folder / "split.json").write_text(json.dumps(split))
    (folder / "environment.json").write_text(json.dumps({"tfadvseg": "0.1.0"}))
    write_history(folder / "history.csv", recipe, seed, steps)
    if content is not None:
        (folder / "metrics.json").write_text(json.dumps(content))


def write_history(file, recipe, seed, steps):
    rng, rows = np.random.default_rng(seed), []
    for step in range(steps // 20, steps + 1, steps // 20):
        done = step / steps
        late = recipe == "paper" and done > 0.3
        row = {"step": step, "stage": "semi-supervised" if late else "adversarial"}
        row |= {
            "ce_loss": 0.8 * np.exp(-3 * done) + 0.05,
            "val_dice": 0.8 * (1 - 0.6 ** (9 * done)),
        }
        row |= {
            "val_dice": row["val_dice"] + rng.normal(0, 0.02),
            "val_miou": row["val_dice"] * 0.9,
        }
        if recipe != "supervised":
            row |= {"adv_loss": 4 - done, "d_loss": 0.1 + 0.3 * done}
            row |= {"d_real": 0.95 - 0.1 * done, "d_fake_labelled": 0.05 + 0.1 * done}
        if late:
            row |= {"kept": 0.3 * done, "semi_loss": 0.04, "d_fake_unlabelled": 0.1 * done}
        rows.append(row)
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="session")
def make_run():
    """Writes a finished run without its model."""
    return write_run


@pytest.fixture(scope="session")
def make_metrics():
    """Makes the content of metrics.json from patient to the Dice of both classes."""
    return metrics


@pytest.fixture(scope="session")
def judged(shared_phantom, tiny, tmp_path_factory):
    """A run of recipe paper with networks that were never trained, evaluated, and its metrics."""
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "paper")
    settings = {**tiny, "steps": 400, "labelled_patients": 1}
    config, split = prepare(Config(**settings, data=str(shared_phantom)))
    folder.create()
    (folder.path / "config.yaml").write_text(config.to_yaml())
    folder.write_json("split.json", split.to_json())
    folder.write_json("environment.json", environment())
    write_history(folder.path / "history.csv", "paper", 0, 400)
    build_model(config).save(folder.path / "best.keras")
    return folder.path, finish(folder, split, Console(quiet=True))


@pytest.fixture
def make_sweep(tmp_path):
    """Writes a sweep.

    `value(patient number, fraction, recipe, fold, seed)` gives what `metrics` takes for a patient;
    by default patients differ, labels help, and `gain` is what unlabelled images bring.
    """

    def make(
        value=None,
        *,
        gain=0.03,
        patients=20,
        folds=5,
        fractions=("1", "1/2", "1/4", "1/8"),
        recipes=("supervised", "adversarial", "paper"),
        models=("unet",),
        seeds=1,
        skip=(),
        noise=0.01,
        data="nowhere",
    ):
        folder = tmp_path / "sweep"
        names = [f"p{number:02d}" for number in range(patients)]
        parts = [names[fold::folds] for fold in range(folds)]
        rng = np.random.default_rng(1)

        def default(number, fraction, recipe, fold, seed):
            base = 0.7 + 0.2 * np.sin(number) ** 2 + 0.05 * np.log2(SHARE[fraction])
            base += gain * (recipe == "paper") + rng.normal(0, noise)
            return [(min(0.99, base + shift), 30 * (1 - base)) for shift in (0.03, -0.03)]

        runs = []
        for seed in range(seeds):
            for fold in range(folds):
                train = len(names) - len(parts[fold]) - 2
                for fraction in fractions:
                    labelled = max(1, round(SHARE[fraction] * train))
                    for model in models:
                        for recipe in recipes:
                            all_labels = recipe == "paper" and fraction == "1"
                            trained_as = "adversarial" if all_labels else recipe
                            name = f"fold{fold}_{fraction.replace('/', '-')}_{trained_as}"
                            name += f"_{model}_seed{seed}"
                            runs.append(
                                {
                                    "name": name,
                                    "fold": fold,
                                    "fraction": fraction,
                                    "recipe": recipe,
                                    "trained_as": trained_as,
                                    "model": model,
                                    "seed": seed,
                                    "labelled": names[:labelled],
                                    "unlabelled": names[labelled:train],
                                    "budget": {
                                        "labelled_patients": labelled,
                                        "labelled_images": 8 * labelled,
                                        "val_patients": 2,
                                    },
                                }
                            )
        plan = {
            "data": data,
            "fractions": fractions,
            "folds": [{"test": part, "val": [], "train": []} for part in parts],
            "runs": runs,
        }
        folder.mkdir()
        (folder / "plan.json").write_text(json.dumps(plan))
        for run in runs:
            path = folder / "runs" / run["name"]
            if run["name"] in skip or path.exists():
                continue
            fold, kind = run["fold"], (run["fraction"], run["trained_as"], run["fold"], run["seed"])
            found = {name: (value or default)(names.index(name), *kind) for name in parts[fold]}
            write_run(path, metrics(found), recipe=run["trained_as"], data=data, seed=run["seed"])
        return folder

    return make
