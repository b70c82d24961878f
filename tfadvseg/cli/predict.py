"""The command `tfadvseg predict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from tfadvseg.cli.options import CHECKPOINT, check_folder, quiet_tensorflow, terminal
from tfadvseg.errors import InputError
from tfadvseg.inference.engines import MODEL_FILES
from tfadvseg.inference.export_folder import ExportFolder
from tfadvseg.run_folder import RunFolder

if TYPE_CHECKING:
    from tfadvseg.data.image import Source
    from tfadvseg.inference.predictor import SlicePredictor
    from tfadvseg.inference.quality import Calibration


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the masks.")
@CHECKPOINT
@click.option("--overlay", is_flag=True, help="Also draw the contours on the images.")
@click.option(
    "--confidence",
    is_flag=True,
    help="Also write the probability that each pixel is right, and the Dice to expect.",
)
@click.option("--probabilities", is_flag=True, help="Also write the probability of every class.")
@click.option(
    "--format",
    type=click.Choice(["same", "nifti", "dicom-seg"]),
    default="same",
    show_default=True,
    help="Of the masks: as the image (DICOM gives NIfTI), NIfTI, or DICOM Segmentation.",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", *MODEL_FILES]),
    help="What computes: TensorFlow, or what MODEL was exported for; auto: the fastest one here.",
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
    engine: str | None,
    series: str | None,
) -> None:
    """Segment INPUTS, image files or folders of them, with MODEL: a run folder or an export.

    A mask holds class indices and has the name, the grid and the format of its image: PNG for
    pictures, NIfTI for DICOM. A folder of DICOM files is one image.
    """
    exported = ExportFolder.find(model)
    config = exported.read_config() if exported else RunFolder(model).read_config()
    if exported and checkpoint != "best":
        raise InputError(
            f"--checkpoint {checkpoint}: {model} was exported and holds one model; give the run"
        )
    if exported and engine not in (None, "auto", *exported.engines):
        raise InputError(
            f"--engine {engine}: {model} was exported for {' and '.join(exported.engines)}; drop "
            "the option, or give the run"
        )
    check_folder(out)
    calibration = _calibration(model, exported, checkpoint) if confidence else None
    with quiet_tensorflow():
        from tfadvseg.inference import files
        from tfadvseg.inference.summary import QUALITY
    from tfadvseg.progress import bar
    from tfadvseg.reporting import prediction_table

    console = terminal()
    outputs = files.Outputs(out, format, overlay, calibration, probabilities)
    channels = config.channels or 1
    sources = files.find_inputs(inputs, outputs, channels=channels, series=series)
    predictor = (
        _of_export(exported, engine, console)
        if exported
        else _of_run(model, checkpoint, engine or "tensorflow", sources, console)
    )
    if calibration and calibration.needs_confidence and not predictor.has_confidence:
        raise InputError(
            f"--confidence: {model} was exported without the discriminator, whose confidence is "
            "part of the evidence; drop the option, or export it with --confidence"
        )
    rows = files.predict_files(predictor, sources, outputs, bar(console, "Predicting"))
    console.print(prediction_table(rows, config.classes or ()))
    console.print(f"Masks: {out}")
    if overlay:
        console.print(f"Overlays: {out / 'overlay'}")
    if confidence:
        console.print(
            "Probability of being right of each pixel (pictures: 0 to 255 for 0 to 1): "
            f"{out / 'confidence'}"
        )
        console.print(f"Predicted Dice: {out / QUALITY}")
    if probabilities:
        console.print(f"Probabilities of each class, likewise: {out / 'probabilities'}")


def _calibration(model: Path, exported: ExportFolder | None, checkpoint: str) -> Calibration:
    """What the maps of a model are made with."""
    from tfadvseg.inference.quality import Calibration

    if exported is None:
        if checkpoint != "best":
            raise InputError(
                f"--checkpoint {checkpoint}: --confidence knows how often the best model of "
                f"{model} is right, no other; drop one of the two"
            )
        return Calibration.read(model)
    told = exported.read_description().get("calibration")
    if told is None:
        raise InputError(
            f"--confidence: {model} does not say how often it is right; drop the option, or export "
            "it again from the best model of a run with calibration.json"
        )
    return Calibration.from_json(told)


def _of_export(exported: ExportFolder, engine: str | None, console: Console) -> SlicePredictor:
    """The predictor of an exported model; `auto` takes the first engine that can compute here."""
    from tfadvseg.inference.exported import ExportedPredictor

    *first, last = exported.engines if engine == "auto" else [engine or exported.engine]
    for name in first:
        try:
            return ExportedPredictor.load(exported.path, name)
        except InputError as error:
            console.print(f"Engine {name} is not used: {error}")
    return ExportedPredictor.load(exported.path, last)


def _of_run(
    run: Path,
    checkpoint: str,
    engine: str,
    sources: Sequence[Source],
    console: Console,
) -> SlicePredictor:
    """The predictor of a run in an engine, which is tried on the images when it is new."""
    from tfadvseg.export.conversions import Conversions
    from tfadvseg.export.fastest import fastest

    conversions = Conversions(run, checkpoint, sources)
    with console.status("Loading; an engine that is new to the model is compared with the run"):
        if engine == "auto":
            return fastest(conversions, console.print)
        return conversions.load(engine)
