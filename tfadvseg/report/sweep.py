"""A sweep: the runs that cross-validation planned, how far each is, and what it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfadvseg.errors import InputError
from tfadvseg.report.results import FOREGROUND, MEASURES, Result, load_result, read_json

ALL_LABELS = "1"
BASELINE = "supervised"
WITHOUT_UNLABELLED = (BASELINE, "adversarial")  # recipes that use labelled images only
MODELS = {"unet": "U-Net", "attention_unet": "Attention U-Net"}
STATES = ("finished", "failed", "unfinished", "not begun")


@dataclass(frozen=True)
class Setting:
    """What runs that differ in fold and seed only have in common.

    Attributes:
        model: the segmenter.
        fraction: of the labels, as in `--label-fractions`.
        recipe: that was asked for.
        trained_as: the recipe that trained, another one where nothing was unlabelled.
    """

    model: str
    fraction: str
    recipe: str
    trained_as: str

    @property
    def uses_unlabelled(self) -> bool:
        """Whether unlabelled images took part."""
        return self.trained_as not in WITHOUT_UNLABELLED

    @property
    def method(self) -> str:
        """Model and recipe in words."""
        return f"{MODELS.get(self.model, self.model)}, {self.recipe_text}"

    @property
    def recipe_text(self) -> str:
        """The recipe, and what it was trained as where that is another one."""
        changed = self.trained_as != self.recipe
        return f"{self.recipe} (trained as {self.trained_as})" if changed else self.recipe


@dataclass(frozen=True)
class Run:
    """A planned run.

    Attributes:
        name: of its folder; runs that would be the same share one.
        setting: all but fold and seed.
        fold: counted from 0.
        seed: of the run.
        budget: `labelled_patients`, `labelled_images` (None if unknown), `val_patients`,
            `unlabelled_patients`.
        state: `finished`, `failed`, `unfinished` (begun) or `not begun`.
        error: why it failed.
        result: its scores if it is finished.
    """

    name: str
    setting: Setting
    fold: int
    seed: int
    budget: Mapping[str, int | None]
    state: str
    error: str | None = None
    result: Result | None = None


@dataclass(frozen=True)
class Sweep:
    """The runs of a sweep, in the order of the plan.

    Attributes:
        folder: the sweep's.
        data: the data folder.
        folds: number of folds.
        fractions: of the labels, as planned.
        runs: all planned runs.
    """

    folder: Path
    data: str
    folds: int
    fractions: tuple[str, ...]
    runs: tuple[Run, ...]

    def run_folder(self, run: Run) -> Path:
        """Where a run lies."""
        return self.folder / "runs" / run.name

    def settings(self) -> dict[Setting, list[Run]]:
        """The planned runs of every setting: models as planned, most labels first."""
        groups: dict[Setting, list[Run]] = {}
        for run in self.runs:
            groups.setdefault(run.setting, []).append(run)
        models, recipes = (
            list(dict.fromkeys(getattr(setting, name) for setting in groups))
            for name in ("model", "recipe")
        )
        recipes.sort(key=lambda recipe: (*WITHOUT_UNLABELLED, recipe).index(recipe))

        def place(setting: Setting) -> tuple[float, ...]:
            return (
                models.index(setting.model),
                -labelled(groups[setting]),
                self.fractions.index(setting.fraction),
                recipes.index(setting.recipe),
            )

        return {setting: groups[setting] for setting in sorted(groups, key=place)}

    def trainings(self) -> dict[str, Run]:
        """The runs by name, each once."""
        return {run.name: run for run in reversed(self.runs)}

    def results(self) -> dict[str, Result]:
        """The scores of the finished runs by name."""
        return {
            name: run.result for name, run in self.trainings().items() if run.result is not None
        }

    def measured(self, measure: str) -> bool:
        """Whether any patient has a value; distances need images that tell their pixel size."""
        return any(result.values(FOREGROUND, measure) for result in self.results().values())

    def classes(self) -> tuple[str, ...]:
        """Names of the classes, background first; none before the first run is finished."""
        return next((result.classes for result in self.results().values()), ())


def labelled(runs: list[Run]) -> float:
    """Labelled training patients, mean over the folds."""
    return sum(run.budget["labelled_patients"] or 0 for run in runs) / len(runs)


def labels_text(fraction: str) -> str:
    """A label fraction in words."""
    if fraction == ALL_LABELS:
        return "all labels"
    return f"{fraction} of the labels"


def read_sweep(folder: Path) -> Sweep:
    """Reads the plan of a sweep and what is there of its runs.

    Raises:
        InputError: if a file is damaged, or the plan is not one.
    """
    plan = read_json(folder / "plan.json")
    failures = folder / "failures.json"
    failed = read_json(failures) if failures.is_file() else {}
    try:
        names = dict.fromkeys(str(entry["name"]) for entry in plan["runs"])
        states = {name: _state(folder / "runs" / name, failed.get(name)) for name in names}
        runs = tuple(_run(entry, *states[entry["name"]]) for entry in plan["runs"])
        fractions = tuple(str(fraction) for fraction in plan["fractions"])
        return Sweep(folder, str(plan["data"]), len(plan["folds"]), fractions, runs)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{folder / 'plan.json'}: expected the plan that `tfadvseg crossval` writes, {error} "
            "is missing; begin the sweep again in another folder"
        ) from error


def flat_rows(sweep: Sweep) -> list[dict[str, Any]]:
    """One row a finished run, patient and class, with all that `results.csv` tells."""
    return [
        {
            "run": run.name,
            "model": run.setting.model,
            "recipe": run.setting.recipe,
            "trained_as": run.setting.trained_as,
            "fraction": run.setting.fraction,
            "fold": run.fold,
            "seed": run.seed,
            **run.budget,
            "patient": patient,
            "class": name,
            **{measure: scores.get(measure) for measure in MEASURES},
        }
        for run in sweep.runs
        if run.result is not None
        for patient, per_class in run.result.patients.items()
        for name, scores in per_class.items()
    ]


def _state(run: Path, failure: str | None) -> tuple[str, str | None, Result | None]:
    """State, error and scores of the run in a folder."""
    if (run / "metrics.json").is_file():
        return "finished", None, load_result(run / "metrics.json")
    if failure is not None:
        return "failed", failure, None
    return "unfinished" if (run / "config.yaml").is_file() else "not begun", None, None


def _run(entry: Mapping[str, Any], state: str, error: str | None, result: Result | None) -> Run:
    setting = Setting(entry["model"], str(entry["fraction"]), entry["recipe"], entry["trained_as"])
    budget = {**entry["budget"], "unlabelled_patients": len(entry["unlabelled"])}
    return Run(entry["name"], setting, entry["fold"], entry["seed"], budget, state, error, result)
