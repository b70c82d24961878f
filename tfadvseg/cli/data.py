"""The command `tfadvseg data`."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def data() -> None:
    """Make data folders."""


@data.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--patients", default=20, show_default=True, help="Number of patients, at least 3.")
@click.option("--slices", default=8, show_default=True, help="Slices of each patient.")
@click.option("--size", default=128, show_default=True, help="Side of the slices in pixels.")
@click.option("--seed", default=0, show_default=True, help="Seed of the anatomy and the noise.")
def phantom(folder: Path, patients: int, slices: int, size: int, seed: int) -> None:
    """Draw synthetic chest CT angiography into FOLDER, a new data folder.

    Classes: aorta and pulmonary artery. cases.csv splits the patients into train, val and test.
    """
    from tfadvseg.data.phantom import write_phantom

    with click.progressbar(length=patients, label="Drawing patients") as progress:
        write_phantom(
            folder,
            patients=patients,
            slices=slices,
            size=size,
            seed=seed,
            progress=lambda done: progress.update(1),
        )
    click.echo(f"Wrote {patients * slices} slices of {patients} patients to {folder}")
