"""The commands `tfadvseg export`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from tfadvseg.cli.options import CHECKPOINT, RUN, quiet_tensorflow, terminal
from tfadvseg.run_folder import RunFolder


@click.group()
def export() -> None:
    """Turn a run into a model that other programs serve."""


OUT = click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the model's versions, such as saved_models/heart; its name is the model's.",
)
CONFIDENCE = click.option(
    "--confidence", is_flag=True, help="Also answer with the discriminator's confidence."
)
DATA = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder with images to check the export with, if the run's own is not there.",
)


@export.command()
@RUN
@OUT
@CHECKPOINT
@CONFIDENCE
@DATA
def savedmodel(run: Path, out: Path, **options: Any) -> None:
    """Write RUN as a SavedModel for TensorFlow Serving: OUT/<version>/.

    It takes images as they are and answers with masks on their grid. Before it is left behind, a
    fresh process compares it with RUN on real images.
    """
    RunFolder(run).read_config()
    with quiet_tensorflow():
        from tfadvseg.export.saved_model import export_saved_model
    card = Path("assets.extra") / "model_card.md"
    _export(partial(export_saved_model, run, out, **options), card)


@export.command()
@RUN
@OUT
@CHECKPOINT
@CONFIDENCE
@click.option("--fp16", is_flag=True, help="Let the networks compute with 16 bits.")
@DATA
def onnx(run: Path, out: Path, **options: Any) -> None:
    """Write RUN as an ONNX model: OUT/<version>/model.onnx.

    It takes images as they are and answers with probabilities and masks on their grid. Before it
    is left behind, ONNX Runtime's answers are compared with RUN's on real images.
    """
    RunFolder(run).read_config()
    with quiet_tensorflow():
        from tfadvseg.export.onnx_model import export_onnx
    _export(partial(export_onnx, run, out, **options), Path("model_card.md"))


@export.command()
@RUN
@OUT
@CHECKPOINT
@CONFIDENCE
@click.option("--int8", is_flag=True, help="Let the segmenter compute with 8 bits.")
@DATA
def openvino(run: Path, out: Path, **options: Any) -> None:
    """Write RUN as an OpenVINO model: OUT/<version>/model.xml.

    It takes images as they are and answers with probabilities and masks on their grid. Before it
    is left behind, OpenVINO's answers are compared with RUN's on real images. With --int8, Dice
    on the validation patients may fall by 0.5 points at most.
    """
    RunFolder(run).read_config()
    with quiet_tensorflow():
        from tfadvseg.export.openvino_model import export_openvino
    _export(partial(export_openvino, run, out, **options), Path("model_card.md"))


@export.command()
@RUN
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Model repository to write, such as triton/heart; its name is the model's.",
)
@click.option(
    "--backend",
    type=click.Choice(["onnxruntime", "onnxruntime-tensorrt", "tensorrt", "python"]),
    default="onnxruntime",
    show_default=True,
    help="What computes the network in Triton.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "gpu"]),
    help="Where it computes; gpu for TensorRT, else auto: a GPU where there is one.",
)
@click.option(
    "--max-batch",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Slices that are computed together.",
)
@click.option(
    "--plan",
    type=click.Path(path_type=Path),
    help="Engine of TensorRT, for --backend tensorrt.",
)
@click.option("--fp16", is_flag=True, help="Let the networks compute with 16 bits.")
@CHECKPOINT
@CONFIDENCE
@DATA
def triton(run: Path, out: Path, **options: Any) -> None:
    """Write RUN as a model repository for Triton Inference Server.

    NAME is the network and takes images as they are; NAME_image_bytes takes PNG and JPEG files.
    Before the repository is left behind, ONNX Runtime's answers are compared with RUN's on real
    images.
    """
    RunFolder(run).read_config()
    with quiet_tensorflow():
        from tfadvseg.export.triton import export_triton
    _export(partial(export_triton, run, out, **options), Path(out.name) / "model_card.md")


SIZES = [
    click.option(option, name, metavar="BxHxW", help=f"{what}, such as {size}.")
    for option, name, size, what in (
        ("--min", "least", "1x64x64", "Smallest batch, height and width"),
        ("--opt", "best", "8x256x256", "Batch, height and width that the engine is fastest at"),
        ("--max", "most", "16x512x512", "Largest batch, height and width"),
    )
]


def sizes(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options of an engine's optimisation profile."""
    for option in reversed(SIZES):
        command = option(command)
    return command


@export.command()
@RUN
@OUT
@CHECKPOINT
@CONFIDENCE
@click.option("--fp16", is_flag=True, help="Let the networks compute with 16 bits.")
@click.option("--int8", is_flag=True, help="Let the segmenter compute with 8 bits.")
@sizes
@click.option("--onnx-only", is_flag=True, help="Write the ONNX and a script that builds it.")
@DATA
def tensorrt(run: Path, out: Path, **options: Any) -> None:
    """Write RUN as a TensorRT engine: OUT/<version>/model.plan.

    It is built here, for this GPU and version of TensorRT. It takes images as they are and answers
    with probabilities and masks on their grid. Before it is left behind, its answers are compared
    with RUN's on real images. With --int8, Dice on the validation patients may fall by 0.5 points
    at most.
    """
    RunFolder(run).read_config()
    with quiet_tensorflow():
        from tfadvseg.export.tensorrt_engine import export_tensorrt
        from tfadvseg.export.tensorrt_profiles import read_size
    for name, option in (("least", "--min"), ("best", "--opt"), ("most", "--max")):
        options[name] = read_size(option, options[name])
    _export(partial(export_tensorrt, run, out, **options), Path("model_card.md"))


@export.command()
@RUN
@OUT
@CHECKPOINT
@CONFIDENCE
@click.option("--fp16", is_flag=True, help="Let the networks compute with 16 bits.")
@click.option(
    "--python",
    type=click.Path(path_type=Path),
    help="Interpreter with TensorFlow 2.17 or older and its TensorRT; the default is this one.",
)
@DATA
def tftrt(run: Path, out: Path, **options: Any) -> None:
    """Write RUN as a SavedModel with TensorRT inside (TF-TRT): OUT/<version>/.

    For TensorFlow Serving on GPUs, up to 2.17. RUN may have been trained under any TensorFlow: the
    conversion takes place in a process of --python. Before it is left behind, that process's
    answers are compared with RUN's on real images.
    """
    RunFolder(run).read_config()
    with quiet_tensorflow():
        from tfadvseg.export.tftrt import export_tftrt
    _export(partial(export_tftrt, run, out, **options), Path("assets.extra") / "model_card.md")


def _export(make: Callable[[], tuple[Any, ...]], card: Path) -> None:
    console = terminal()
    with console.status("Exporting and comparing"):
        version, parity, *more = make()
    if parity is not None:
        console.print(f"Compared with the run: {parity}.")
    for line in filter(None, more):
        console.print(f"{line}.")
    console.print(f"Wrote {version} (model card: {version / card})")
