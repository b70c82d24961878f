"""The plan of a cross-validation: its folds, and every run with its patients."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

from rich.table import Table

from tfadvseg.config import Config
from tfadvseg.crossval.folds import Fold
from tfadvseg.errors import InputError
from tfadvseg.recipes import USE_UNLABELLED

MOST_ROWS = 60


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes:
        folds: number of folds; 1 is the split that `fit` makes.
        fractions: of the training patients that are labelled, each above 0 and at most 1.
        recipes: to compare; `supervised` is added where it is missing.
        models: segmenters.
        seeds: number of seeds, counted from that of the configuration.
    """

    folds: int
    fractions: tuple[Fraction, ...]
    recipes: tuple[str, ...]
    models: tuple[str, ...]
    seeds: int


@dataclass(frozen=True)
class Run:
    """One run of `fit`; runs that would be the same share a name, and are trained once.

    Attributes:
        name: of the run folder.
        fold: number of the fold, from 0.
        fraction: of the training patients that are labelled, such as `1/2`.
        recipe: whose result this is.
        trained_as: the recipe of the training: `adversarial` for `paper` where no image is
            unlabelled, else the same.
        model: segmenter.
        seed: of weights, order, augmentation, and of which patients are labelled.
        labelled: patients whose masks are trained on.
        unlabelled: patients whose images are trained on, where the recipe uses them, without masks.
        labelled_images: slices with masks of the labelled patients.
        val_patients: number of further patients whose labels the run sees, to choose its model.
    """

    name: str
    fold: int
    fraction: str
    recipe: str
    trained_as: str
    model: str
    seed: int
    labelled: tuple[str, ...]
    unlabelled: tuple[str, ...]
    labelled_images: int
    val_patients: int

    def to_json(self) -> dict[str, Any]:
        """The run as `plan.json` has it."""
        content = dataclasses.asdict(self)
        budget = {name: content.pop(name) for name in ("labelled_images", "val_patients")}
        return {**content, "budget": {"labelled_patients": len(self.labelled), **budget}}


@dataclass(frozen=True)
class Plan:
    """Folds and runs.

    Attributes:
        config: what all runs share, with what the data decide and the steps filled in.
        wanted: what was asked for, the supervised recipe included.
        folds: the patients of every fold.
        images: patient with masks to his number of slices with a mask.
        runs: in the order in which they are made.
    """

    config: Config
    wanted: Wanted
    folds: tuple[Fold, ...]
    images: Mapping[str, int]
    runs: tuple[Run, ...]

    @cached_property
    def trainings(self) -> dict[str, Run]:
        """The runs that are trained, by name."""
        first: dict[str, Run] = {}
        for run in self.runs:
            first.setdefault(run.name, run)
        return first

    def summary(self) -> str:
        """What is trained, in a few words."""
        seeds = sorted({run.seed for run in self.runs})
        text = (
            f"{len(self.trainings)} runs of {self.config.steps} steps: recipes "
            f"{', '.join(self.wanted.recipes)}; models {', '.join(self.wanted.models)}; seeds "
            f"{', '.join(map(str, seeds))}."
        )
        renamed = [run for run in self.runs if run.trained_as != run.recipe]
        if renamed:
            fractions = ", ".join(dict.fromkeys(run.fraction for run in renamed))
            recipes = " and ".join(dict.fromkeys(run.recipe for run in renamed))
            text += f" At {fractions} no image is unlabelled; trained as adversarial: {recipes}."
        return text

    def config_of(self, run: Run) -> Config:
        """The configuration of a run: all its patients are named."""
        fold = self.folds[run.fold]
        return self.config.replace(
            recipe=run.trained_as,
            model=run.model,
            seed=run.seed,
            labelled_patients=run.labelled,
            val_patients=fold.val or 0,
            test_patients=fold.test,
            unlabelled=self.config.unlabelled if run.trained_as in USE_UNLABELLED else None,
        )

    def to_json(self) -> dict[str, Any]:
        """The content of `plan.json`."""
        return {
            "data": self.config.data,
            "fractions": [str(fraction) for fraction in self.wanted.fractions],
            "recipes": self.wanted.recipes,
            "models": self.wanted.models,
            "seeds": self.wanted.seeds,
            "settings": dataclasses.asdict(self.config),
            "folds": [dataclasses.asdict(fold) for fold in self.folds],
            "runs": [run.to_json() for run in self.runs],
        }

    def check_same(self, saved: Mapping[str, Any]) -> None:
        """Refuses to go on with a sweep that was planned otherwise.

        Args:
            saved: the `plan.json` of the sweep.

        Raises:
            InputError: naming the first thing that differs.
        """
        content = json.loads(json.dumps(self.to_json()))
        was = {**saved.get("settings", {}), **saved, "folds": len(saved.get("folds", ()))}
        now = {**content["settings"], **content, "folds": len(content["folds"])}
        for name in now:
            if name not in ("settings", "runs") and was.get(name) != now[name]:
                raise InputError(
                    f"{name} is {was.get(name)!r} in the sweep that began there, received "
                    f"{now[name]!r}; a sweep goes on with its own settings: choose another --out"
                )
        if content != saved:
            raise InputError(
                f"the patients of {self.config.data} or their classes are not those that the "
                "sweep began with; bring them back, or choose another --out"
            )


def plan_table(plan: Plan) -> Table:
    """The budget of labels and the number of trainings, by fold and fraction."""
    table = Table(
        title="patients and trainings of each fold", caption="images: labelled slices to train on"
    )
    for heading in ("fold", "fraction", "labelled", "images", "validation", "labels used"):
        table.add_column(heading, justify="right")
    for heading in ("unlabelled", "test", "trainings"):
        table.add_column(heading, justify="right")
    keys = list(dict.fromkeys((run.fold, run.fraction) for run in plan.runs))
    for fold, fraction in keys[:MOST_ROWS]:
        own = [run for run in plan.runs if (run.fold, run.fraction) == (fold, fraction)]
        numbers = (
            len(own[0].labelled),
            own[0].labelled_images,
            own[0].val_patients,
            len(own[0].labelled) + own[0].val_patients,
            len(own[0].unlabelled),
            len(plan.folds[fold].test),
            sum(plan.trainings[run.name] is run for run in own),
        )
        table.add_row(str(fold), fraction, *map(str, numbers))
    if len(keys) > MOST_ROWS:
        table.add_row("", f"... and {len(keys) - MOST_ROWS} more")
    return table
