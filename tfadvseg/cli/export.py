"""The commands `tfadvseg export`."""

from __future__ import annotations

from pathlib import Path

import click

from tfadvseg.cli.options import CHECKPOINT, RUN, quiet_tensorflow, terminal
from tfadvseg.run_folder import RunFolder


@click.group()
def export() -> None:
    """Turn a run into a model that other programs serve."""


@export.command()
@RUN
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the model's versions, such as saved_models/heart; its name is the model's.",
)
@CHECKPOINT
@click.option("--confidence", is_flag=True, help="Also answer with the discriminator's confidence.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder with images to check the export with, if the run's own is not there.",
)
def savedmodel(run: Path, out: Path, checkpoint: str, confidence: bool, data: Path | None) -> None:
    """Write RUN as the next version of a SavedModel, for TensorFlow Serving.

    It takes images as they are and answers with masks on their grid. Before it is left behind, a
    fresh process compares it with RUN on real images.
    """
    RunFolder(run).read_config()
    console = terminal()
    with quiet_tensorflow():
        from tfadvseg.export.saved_model import export_saved_model
    with console.status("Exporting and comparing"):
        version, parity = export_saved_model(
            run, out, checkpoint=checkpoint, confidence=confidence, data=data
        )
    console.print(f"Compared with the run: {parity}.")
    console.print(f"Wrote {version} (model card: {version / 'assets.extra' / 'model_card.md'})")
