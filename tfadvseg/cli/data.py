"""The command `tfadvseg data`."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import click

from tfadvseg.cli.options import check_folder, check_writable, terminal
from tfadvseg.errors import DataWarning
from tfadvseg.report import PAGE
from tfadvseg.run_folder import write_text


@click.group()
def data() -> None:
    """Make and check data folders."""


@data.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--patients", default=20, show_default=True, help="Number of patients, at least 3.")
@click.option("--slices", default=8, show_default=True, help="Slices of each patient.")
@click.option("--size", default=128, show_default=True, help="Side of the slices in pixels.")
@click.option("--seed", default=0, show_default=True, help="Seed of the anatomy and the noise.")
@click.option(
    "--format",
    type=click.Choice(["png", "nifti"]),
    default="png",
    show_default=True,
    help="Pictures, one a slice; or volumes in HU, one a patient.",
)
def phantom(folder: Path, patients: int, slices: int, size: int, seed: int, format: str) -> None:
    """Draw synthetic chest CT angiography into FOLDER, a new data folder.

    Classes: aorta and pulmonary artery. cases.csv splits the patients into train, val and test.
    """
    from tfadvseg.data.phantom import write_phantom

    check_folder(folder)
    with click.progressbar(length=patients, label="Drawing patients") as progress:
        write_phantom(
            folder,
            patients=patients,
            slices=slices,
            size=size,
            seed=seed,
            format=format,
            progress=lambda done: progress.update(1),
        )
    click.echo(f"Wrote {patients * slices} slices of {patients} patients to {folder}")


@data.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--unlabelled", type=click.Path(path_type=Path), help="Further images, no masks.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write all facts there.")
@click.option(
    "--report", type=click.Path(path_type=Path), help="Write a page with pictures there (HTML)."
)
@click.option("--patient-pattern", help="Regular expression whose group is the patient.")
@click.option("--series", help="Which series of DICOM folders: number, description or UID.")
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    help="Folds of the cross-validation to come, for which classes may be too rare.",
)
@click.option(
    "--keep-identifiers", is_flag=True, help="Name patients by their DICOM PatientID, unhashed."
)
@click.pass_context
def check(
    context: click.Context,
    folder: Path,
    unlabelled: Path | None,
    file: Path | None,
    report: Path | None,
    patient_pattern: str | None,
    series: str | None,
    folds: int,
    keep_identifiers: bool,
) -> None:
    """Read every file of FOLDER and say what it holds, what is wrong and what is odd.

    FOLDER is a data folder in any layout that fit reads. The exit status is 2 if an error has to
    be mended before training, and 0 if there are warnings only.
    """
    check_writable(file, '"unusable": ')
    check_writable(report, PAGE)
    from tfadvseg.config import Config
    from tfadvseg.data.checks.check import check_data, summary
    from tfadvseg.data.checks.findings import lines
    from tfadvseg.progress import bar
    from tfadvseg.report import check_report
    from tfadvseg.report.contact_sheet import contact_sheet

    console = terminal()
    config = Config(
        data=str(folder),
        unlabelled=None if unlabelled is None else str(unlabelled),
        patient_pattern=patient_pattern,
        series=series,
        keep_identifiers=keep_identifiers,
    )
    result = check_data(config, folds, bar(console, "Reading"))
    content = summary(result)
    if result.errors:
        click.echo(check_report.headline(content))
        for line in lines(result.errors):
            click.echo(f"Error: {line}", err=True)
    else:
        console.print(*check_report.tables(content))
        for line in lines(result.warnings):
            warnings.warn(line, DataWarning, stacklevel=2)
    if file is not None:
        write_text(file, json.dumps(content, indent=1) + "\n")
        click.echo(f"Wrote {file}")
    if report is not None:
        sheet = contact_sheet(result.facts, result.ignore_label, progress=bar(console, "Drawing"))
        write_text(report, check_report.check_page(content, sheet))
        click.echo(f"Wrote {report}")
    if result.errors:
        context.exit(2)
