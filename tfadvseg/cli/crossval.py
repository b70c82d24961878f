"""The command `tfadvseg crossval`."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from tfadvseg.cli.options import check_folder, quiet_tensorflow, terminal
from tfadvseg.coercion import check_range
from tfadvseg.config import MODELS, Config, parse_assignment, read_settings
from tfadvseg.errors import InputError, TrainingError
from tfadvseg.recipes import RECIPES, USE_UNLABELLED

if TYPE_CHECKING:  # they bring readers of images, which --help does not need
    from tfadvseg.crossval.folder import SweepFolder
    from tfadvseg.crossval.plan import Plan


@click.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.option("--data", help="Data folder, in any layout that fit reads.")
@click.option("--unlabelled", help="Folder with further images that have no masks.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the sweep.")
@click.option(
    "--folds",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Parts of the patients; each tests once. 1 is the split that the data give.",
)
@click.option(
    "--label-fractions",
    default="1,1/2,1/4,1/8",
    show_default=True,
    help="Shares of the training patients that are labelled.",
)
@click.option(
    "--recipes",
    default="supervised,adversarial,paper",
    show_default=True,
    help="Recipes to compare; supervised always runs too.",
)
@click.option("--models", help=f"Segmenters to compare: {', '.join(MODELS)}.")
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of seeds, counted from the setting seed.",
)
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Runs at a time; by default one a GPU of --gpus."
)
@click.option("--gpus", help="GPUs to deal out to the runs, such as 0,1.")
@click.option("--dry-run", is_flag=True, help="Print the plan and an estimate of its time only.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Any setting.")
@click.option(
    "--keep-identifiers", is_flag=True, help="Name patients by their DICOM PatientID, unhashed."
)
def crossval(
    config: Path | None,
    data: str | None,
    unlabelled: str | None,
    out: Path,
    folds: int,
    label_fractions: str,
    recipes: str,
    models: str | None,
    seeds: int,
    jobs: int | None,
    gpus: str | None,
    dry_run: bool,
    settings: tuple[str, ...],
    keep_identifiers: bool,
) -> None:
    """Cross-validate recipes at several budgets of labels, by CONFIG, a YAML file of settings.

    Every patient with masks tests in one fold; a split column in cases.csv counts with --folds 1
    only. The same call goes on with a sweep that was cut off, and tries again what failed.
    """
    given = read_settings(config) if config else {}
    options = {"data": data, "unlabelled": unlabelled, "keep_identifiers": keep_identifiers or None}
    given |= {name: value for name, value in options.items() if value is not None}
    given |= dict(parse_assignment(text) for text in settings)
    base, devices = Config.from_mapping(given), _devices(gpus)
    fractions = _fractions(label_fractions)
    compared = _names("--recipes", recipes, RECIPES)
    segmenters = _names("--models", models or base.model, MODELS)
    if base.data is None:
        raise InputError("no data: expected --data DIR; `tfadvseg data phantom DIR` draws some")

    from tfadvseg.crossval.folder import SweepFolder
    from tfadvseg.crossval.material import read_material
    from tfadvseg.crossval.plan import Wanted, plan_table
    from tfadvseg.crossval.planning import make_plan
    from tfadvseg.crossval.sweep import check_gpus
    from tfadvseg.progress import bar

    console, folder = terminal(), SweepFolder(out)
    folder.check()
    check_folder(out)
    if not dry_run:
        folder.check_idle()
    check_gpus(devices)
    pool = not {*USE_UNLABELLED}.isdisjoint(compared)
    material = read_material(base, folds, pool=pool, progress=bar(console, "Reading files"))
    plan = make_plan(material, Wanted(folds, fractions, compared, segmenters, seeds))
    folder.check_same(plan)
    console.print(plan_table(plan))
    console.print(plan.summary())
    act = _estimate if dry_run else _make
    act(plan, folder, jobs or len(devices) or 1, devices, console)


def _estimate(
    plan: Plan, folder: SweepFolder, jobs: int, gpus: tuple[str, ...], console: Console
) -> None:
    from tfadvseg.crossval.sweep import duration

    with quiet_tensorflow():
        from tfadvseg.crossval.timing import estimate
    what = "Timing a few steps of each recipe"
    if not console.is_terminal:  # shows no status
        console.print(f"{what} ...")
    with console.status(what):
        time = estimate(plan, folder)
    # A run that is measured alone has the whole machine; finished ones shared it.
    at_once = jobs if time.finished else max(1, len(gpus))
    known = f"from runs finished here: {time.finished}" if time.finished else "by a few steps"
    console.print(f"Time left: about {duration(time.seconds / at_once)} ({known}).")


def _make(
    plan: Plan, folder: SweepFolder, jobs: int, gpus: tuple[str, ...], console: Console
) -> None:
    from tfadvseg.crossval.sweep import run_sweep
    from tfadvseg.progress import bar

    failures = run_sweep(plan, folder.path, jobs=jobs, gpus=gpus, console=console)
    with quiet_tensorflow():
        from tfadvseg.report.sweep_report import write_sweep_report
    for line in write_sweep_report(folder.path, progress=bar(console, "Drawing")):
        console.print(line)
    console.print(f"Sweep: {folder.path} (plan.json, runs/, report.html, results.csv, tables/)")
    if failures:
        name, error = next(iter(failures.items()))
        raise TrainingError(
            f"{len(failures)} of {len(plan.trainings)} runs failed, and the same call tries them "
            f"again; {folder.path / 'failures.json'} says why, for example {name}: {error}"
        )


def _fractions(text: str) -> tuple[Fraction, ...]:
    fractions = []
    for item in _items(text):
        whole = re.fullmatch(r"(\d{1,6}(?:/\d{1,6})?|\d?\.\d{1,6})", item)
        value = Fraction(item) if whole and not re.search(r"/0+$", item) else Fraction(0)
        if not 0 < value <= 1:
            raise InputError(
                f"--label-fractions: expected fractions above 0 and at most 1, such as 1,1/2,0.25, "
                f"received {item!r}"
            )
        fractions.append(value)
    return tuple(fractions)


def _names(option: str, text: str, choices: tuple[str, ...]) -> tuple[str, ...]:
    limits = {"choices": choices, "low": None, "high": None, "positive": False}
    for name in _items(text):
        check_range(option, name, limits)
    return tuple(dict.fromkeys(_items(text)))


def _devices(text: str | None) -> tuple[str, ...]:
    devices = () if text is None else tuple(_items(text))
    if any(not re.fullmatch(r"\d+|(GPU|MIG)-[\w/-]+", device) for device in devices):
        raise InputError(f"--gpus: expected numbers as nvidia-smi gives them, received {text!r}")
    return devices


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",")]
