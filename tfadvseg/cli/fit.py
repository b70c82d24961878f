"""The command `tfadvseg fit`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from tfadvseg import recipes
from tfadvseg.cli.options import check_folder, quiet_tensorflow, terminal
from tfadvseg.config import Config, parse_assignment, read_settings
from tfadvseg.errors import InputError
from tfadvseg.run_folder import RunFolder

# What a run fills in from its data where it is not given, see `preparation.prepare`.
DATA_DECIDES = ("classes", "ignore_label", "window", "steps", "discriminator_filters")


@click.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.option("--data", help="Data folder: images/, masks/, cases.csv, dataset.json.")
@click.option("--unlabelled", help="Folder with further images that have no masks.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder to make.")
@click.option(
    "--recipe",
    metavar="|".join(recipes.RECIPES),
    help="S alone; S and D on labelled images; the paper's method; ours, with its own thresholds.",
)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Any setting.")
@click.option(
    "--keep-identifiers", is_flag=True, help="Name patients by their DICOM PatientID, unhashed."
)
@click.option(
    "--exclude-outliers",
    is_flag=True,
    help="Leave unlabelled patients out who are unlike the labelled ones.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out after an interruption.")
@click.option("--overwrite", is_flag=True, help="Replace the run in --out.")
def fit(
    config: Path | None,
    data: str | None,
    unlabelled: str | None,
    out: Path | None,
    recipe: str | None,
    settings: tuple[str, ...],
    keep_identifiers: bool,
    exclude_outliers: bool,
    resume: bool,
    overwrite: bool,
) -> None:
    """Train on a data folder by CONFIG, a YAML file of settings.

    Without arguments, train on a generated phantom, drawn beside the run folder. Every setting
    is explained in docs/configuration.md.
    """
    if resume and overwrite:
        raise InputError("--resume and --overwrite: expected one of them, received both; drop one")
    options = {"data": data, "unlabelled": unlabelled, "recipe": recipe}
    given = read_settings(config) if config else {}
    given |= {name: value for name, value in options.items() if value is not None}
    flags = {"keep_identifiers": keep_identifiers, "exclude_outliers": exclude_outliers}
    given |= {name: True for name, wanted in flags.items() if wanted}
    given |= dict(parse_assignment(text) for text in settings)
    if not given.get("data") and not config and not resume:
        given = {**_defaults_beside(given), **given}
    wanted = Config.from_mapping(given)
    out = out or Path("runs") / (Path(wanted.data).resolve().name if wanted.data else "phantom")
    if resume:
        _check_same(out, given, wanted)
    RunFolder(out).check(resume=resume, overwrite=overwrite)
    check_folder(out)

    with quiet_tensorflow():
        from tfadvseg import training
    from tfadvseg.reporting import print_scores

    console = terminal()
    result = training.fit(wanted, out, resume=resume, overwrite=overwrite, console=console)
    if result is not None:
        print_scores(console, result)
    console.print(
        f"Run folder: {out} (best.keras, last.keras, history.csv, metrics.json, report.html)"
    )
    console.print(f"Curves and pictures: tensorboard --logdir {out / 'tensorboard'}")


def _defaults_beside(given: dict[str, Any]) -> dict[str, Any]:
    """The settings of the phantom, without those that exclude one that is given."""
    defaults = read_settings(Path(str(files("tfadvseg") / "phantom.yaml")))
    for pair in (("steps", "epochs"), ("labelled_patients", "labelled_fraction")):
        if any(given.get(name) is not None for name in pair):
            defaults = {name: value for name, value in defaults.items() if name not in pair}
    return defaults


def _check_same(out: Path, given: dict[str, Any], wanted: Config) -> None:
    """Refuses settings that differ from those that the run began with."""
    saved = RunFolder(out).read_config()
    for name in given:
        was, now = getattr(saved, name), getattr(wanted, name)
        filled_in = now is None and name in (*DATA_DECIDES, *recipes.defaults(saved.recipe))
        if name != "epochs" and not filled_in and was != now:  # `training.fit` counts epochs
            raise InputError(
                f"--resume: {name} is {was!r} in {out}, received {now!r}; a run goes on with its "
                "own settings: drop it, or start another run"
            )
