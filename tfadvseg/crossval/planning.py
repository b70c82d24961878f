"""From what is asked for and what the data are to a plan; what cannot work is refused."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

from tfadvseg.config import MODELS, Config
from tfadvseg.crossval.folds import Fold, label_order, labelled_number, make_folds
from tfadvseg.crossval.material import Material
from tfadvseg.crossval.plan import Plan, Run, Wanted
from tfadvseg.data.folders.text import some
from tfadvseg.errors import DataWarning, InputError
from tfadvseg.recipes import RECIPES, USE_UNLABELLED


def make_plan(material: Material, wanted: Wanted) -> Plan:
    """Plans a cross-validation.

    The folds depend on the configuration's seed, the labelled subsets on the fold and the run's
    seed. `epochs` become steps once, for the largest set of labelled images of a fold, so that all
    runs train equally long.

    Args:
        material: the data, and the one fold where they give it.
        wanted: what is asked for.

    Raises:
        InputError: if there are too few patients, or a class is missing from a training fold.
    """
    config, images = material.config, material.images
    folds = (material.given,) if material.given else _folds(material, wanted.folds)
    _check_classes(folds, material)
    _check_fractions(folds, material, wanted.fractions)
    _warn_of_settings(config, bool(material.given))
    wanted = Wanted(
        wanted.folds,
        tuple(sorted(set(wanted.fractions), reverse=True)),
        tuple(name for name in RECIPES if name in ("supervised", *wanted.recipes)),
        tuple(name for name in MODELS if name in wanted.models),
        wanted.seeds,
    )
    largest = max(sum(images[patient] for patient in fold.train) for fold in folds)
    config = config.replace(
        steps=config.total_steps(largest),
        epochs=None,
        labelled_patients=None,
        labelled_fraction=None,
        test_patients=None,
    )
    runs = tuple(_runs(folds, material, wanted))
    _warn_of_subsets(runs, folds, material)
    plan = Plan(config, wanted, folds, images, runs)
    _check_runs(plan)
    _warn_of_trust(plan)
    return plan


def _check_runs(plan: Plan) -> None:
    """Refuses what a run would refuse: settings that do not go with its recipe."""
    for run in plan.trainings.values():
        plan.config_of(run)
        if run.trained_as == "strong" and not plan.folds[run.fold].val:
            raise InputError(
                "recipe strong: its thresholds are found on validation patients, and val_patients "
                "leaves none; set it to 1 or more, or leave the recipe out"
            )


def _warn_of_trust(plan: Plan) -> None:
    """Tells where pseudo-labels are judged on a single patient."""
    judging = {
        run.fold: plan.folds[run.fold].val
        for run in plan.trainings.values()
        if run.trained_as == "strong"
    }
    single = sum(len(patients) == 1 for patients in judging.values())
    if single:
        _warn(
            f"recipe strong: in {single} of {len(plan.folds)} folds, what pseudo-labels are worth "
            "is judged on one patient; with two or more (val_patients) it is surer"
        )


def _folds(material: Material, number: int) -> tuple[Fold, ...]:
    config = material.config
    units = make_folds(material.classes_of, number, config.seed, _val_patients(config))
    return tuple(
        Fold(*(_members(part, material) for part in (unit.test, unit.val, unit.train)))
        for unit in units
    )


def _members(firsts: Iterable[str], material: Material) -> tuple[str, ...]:
    """The patients of groups, given by their first ones."""
    return tuple(sorted(patient for first in firsts for patient in material.groups[first]))


def _val_patients(config: Config) -> int | None:
    """The number of validation patients in each fold."""
    if isinstance(config.val_patients, tuple):
        raise InputError(
            "val_patients: expected a number of patients, received names; each fold chooses its "
            "own: set a number, or null for a fifth"
        )
    return config.val_patients


def _warn_of_settings(config: Config, given: bool) -> None:
    """Tells which settings a cross-validation does not use."""
    decided = ("labelled_patients", "labelled_fraction", *(() if given else ("test_patients",)))
    for name in decided:
        if getattr(config, name) is not None:
            _warn(f"{name} is not used: the folds and the label fractions decide")
    if config.early_stopping is not None:
        _warn("early_stopping: the recipes of a fold may train for different numbers of steps")


def _runs(folds: tuple[Fold, ...], material: Material, wanted: Wanted) -> Iterator[Run]:
    """All runs; those that are compared with each other come one after another."""
    seeds = range(material.config.seed, material.config.seed + wanted.seeds)
    names: dict[tuple[Any, ...], str] = {}
    for seed, (number, fold) in itertools.product(seeds, enumerate(folds)):
        train = [patient for patient in fold.train if patient in material.groups]
        order = label_order(train, material.classes_of, seed, number)
        others = material.unlabelled - {*fold.val, *fold.test}
        choices = itertools.product(wanted.fractions, wanted.models, wanted.recipes)
        for fraction, model, recipe in choices:
            labelled = _members(order[: labelled_number(fraction, len(order))], material)
            unlabelled = others | (set(fold.train) - set(labelled))
            trained_as = "adversarial" if recipe in USE_UNLABELLED and not unlabelled else recipe
            text = str(fraction)
            name = f"fold{number}_{text.replace('/', '-')}_{trained_as}_{model}_seed{seed}"
            name = names.setdefault((seed, number, len(labelled), model, trained_as), name)
            yield Run(
                name=name,
                fold=number,
                fraction=text,
                recipe=recipe,
                trained_as=trained_as,
                model=model,
                seed=seed,
                labelled=labelled,
                unlabelled=tuple(sorted(unlabelled)),
                labelled_images=sum(material.images[patient] for patient in labelled),
                val_patients=len(fold.val),
            )


def _check_classes(folds: tuple[Fold, ...], material: Material) -> None:
    """Refuses a fold whose training patients lack a class that other patients show."""
    classes_of, names = material.classes_of, material.config.classes or ()
    for index in sorted(frozenset[int]().union(*classes_of.values())):
        owners = {patient for patient, seen in classes_of.items() if index in seen}
        lacking = [str(n) for n, fold in enumerate(folds) if not owners & set(fold.train)]
        if lacking:
            raise InputError(
                f"no training patient of fold {some(lacking)} has the class {names[index]}, which "
                f"{len(owners)} of {len(classes_of)} patients show: {some(sorted(owners))}; label "
                "it in more patients, take more folds, or set val_patients to less"
            )


def _check_fractions(
    folds: tuple[Fold, ...], material: Material, fractions: Iterable[Fraction]
) -> None:
    """Refuses a fraction that is nearer to no patient than to one: its name would mislead."""
    fewest = min(len(material.classes_of.keys() & set(fold.train)) for fold in folds)
    least = Fraction(1, 2 * fewest)
    small = sorted(fraction for fraction in fractions if fraction < least)
    if small:
        raise InputError(
            f"--label-fractions: {some([str(fraction) for fraction in small])} of the {fewest} "
            f"training patients of a fold is no patient; take fractions of at least {least}, or "
            "data of more patients"
        )


def _warn_of_subsets(runs: tuple[Run, ...], folds: tuple[Fold, ...], material: Material) -> None:
    """Tells of fractions whose labels lack a class, and of those that are the same."""
    names, nothing = material.config.classes or (), frozenset[int]()
    lacking: dict[tuple[str, int], set[int]] = {}
    for run in runs:
        train, labelled = (
            nothing.union(*(material.classes_of.get(patient, nothing) for patient in patients))
            for patients in (folds[run.fold].train, run.labelled)
        )
        for index in train - labelled:
            lacking.setdefault((run.fraction, index), set()).add(run.fold)
    for (fraction, index), where in lacking.items():
        _warn(
            f"label fraction {fraction}: the labelled patients of {len(where)} of {len(folds)} "
            f"folds do not show the class {names[index]}, so that it cannot be learnt there; "
            "take larger fractions"
        )
    labels = {(run.seed, run.fold, run.fraction): run.labelled for run in runs}
    twins = {
        (one[2], other[2])
        for one, other in itertools.combinations(labels, 2)
        if one[:2] == other[:2] and labels[one] == labels[other]
    }
    for one, other in sorted(twins):
        _warn(
            f"label fractions {one} and {other} label the same patients in some folds, as there "
            "are so few; such runs are trained once"
        )


def _warn(text: str) -> None:
    warnings.warn(text, DataWarning, stacklevel=4)
