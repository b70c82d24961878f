"""The command `tfadvseg predict`."""

from __future__ import annotations

from pathlib import Path

import click

from tfadvseg.cli.options import CHECKPOINT, quiet_tensorflow, terminal
from tfadvseg.errors import InputError
from tfadvseg.run_folder import RunFolder


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the masks.")
@CHECKPOINT
@click.option("--overlay", is_flag=True, help="Also draw the contours on the images.")
@click.option("--confidence", is_flag=True, help="Also write the discriminator's confidence maps.")
def predict(
    model: Path,
    inputs: tuple[Path, ...],
    out: Path,
    checkpoint: str,
    overlay: bool,
    confidence: bool,
) -> None:
    """Segment INPUTS, image files or folders of them, with the run folder MODEL.

    Every mask is a PNG of class indices with the name and the size of its image.
    """
    config = RunFolder(model).read_config()
    if confidence and config.recipe == "supervised":
        raise InputError(
            f"--confidence: {model} was trained with recipe supervised and has no discriminator; "
            "drop the option, or use a run of another recipe"
        )
    with quiet_tensorflow():
        from tfadvseg.inference import Predictor, files
    from tfadvseg.progress import bar
    from tfadvseg.reporting import prediction_table

    console = terminal()
    images = files.find_inputs(inputs, out)
    predictor = Predictor.load(model, checkpoint)
    rows = files.predict_files(
        predictor,
        images,
        out,
        overlay=overlay,
        confidence=confidence,
        progress=bar(console, "Predicting"),
    )
    console.print(prediction_table(rows, config.classes or ()))
    console.print(f"Masks: {out}")
    if overlay:
        console.print(f"Overlays: {out / 'overlay'}")
    if confidence:
        console.print(f"Confidence maps, 0 to 255 for 0 to 1: {out / 'confidence'}")
