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
@click.option("--probabilities", is_flag=True, help="Also write the probability of every class.")
@click.option(
    "--format",
    type=click.Choice(["same", "nifti", "dicom-seg"]),
    default="same",
    show_default=True,
    help="Of the masks: as the image (DICOM gives NIfTI), NIfTI, or DICOM Segmentation.",
)
@click.option("--series", help="Which series of a DICOM folder: its number, description or UID.")
def predict(
    model: Path,
    inputs: tuple[Path, ...],
    out: Path,
    checkpoint: str,
    overlay: bool,
    confidence: bool,
    probabilities: bool,
    format: str,
    series: str | None,
) -> None:
    """Segment INPUTS, image files or folders of them, with the run folder MODEL.

    A mask holds class indices and has the name, the grid and the format of its image: PNG for
    pictures, NIfTI for DICOM. A folder of DICOM files is one image.
    """
    config = RunFolder(model).read_config()
    if confidence and config.recipe == "supervised":
        raise InputError(
            f"--confidence: {model} was trained with recipe supervised and has no discriminator; "
            "drop the option, or use a run of another recipe"
        )
    with quiet_tensorflow():
        from tfadvseg.inference import files
        from tfadvseg.inference.predictor import Predictor
    from tfadvseg.progress import bar
    from tfadvseg.reporting import prediction_table

    console = terminal()
    outputs = files.Outputs(out, format, overlay, confidence, probabilities)
    channels = config.channels or 1
    sources = files.find_inputs(inputs, outputs, channels=channels, series=series)
    predictor = Predictor.load(model, checkpoint)
    rows = files.predict_files(predictor, sources, outputs, bar(console, "Predicting"))
    console.print(prediction_table(rows, config.classes or ()))
    console.print(f"Masks: {out}")
    if overlay:
        console.print(f"Overlays: {out / 'overlay'}")
    if confidence:
        console.print(f"Confidence maps (pictures: 0 to 255 for 0 to 1): {out / 'confidence'}")
    if probabilities:
        console.print(f"Probabilities of each class, likewise: {out / 'probabilities'}")
