"""A run as a model repository for Triton Inference Server."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np

from tfadvseg.data.formats import soundness
from tfadvseg.errors import InputError
from tfadvseg.export.description import chain_specs, describe, write_description
from tfadvseg.export.onnx_model import require_onnx, write_onnx
from tfadvseg.export.parity import Parity
from tfadvseg.export.samples import load_for_export
from tfadvseg.export.triton_config import (
    Network,
    Tensors,
    ensemble_config,
    network_config,
    piece_config,
)
from tfadvseg.inference.predictor import Predictor

FILES = {"dtype": "bytes", "shape": [None]}
# Copied, never imported: only Triton can.
MODELS = Path(__file__).parent / "triton_models"


def export_triton(
    run: Path,
    out: Path,
    *,
    backend: str = "onnxruntime",
    device: str | None = None,
    max_batch: int = 8,
    plan: Path | None = None,
    fp16: bool = False,
    checkpoint: str = "best",
    confidence: bool = False,
    data: Path | None = None,
) -> tuple[Path, Parity | None]:
    """Writes a model repository, which appears whole.

    Its models are named after the folder: NAME is the network, from `images` to `mask`;
    NAME_image_bytes is an ensemble around it that takes PNG and JPEG files and answers with PNG
    files, through NAME_decode and NAME_encode, for networks of 1 or 3 channels.

    Args:
        run: the run folder.
        out: the repository; nothing may be there yet.
        backend: a key of `triton_config.BACKENDS`: what computes the network.
        device: `cpu`, `gpu` or `auto` (a GPU where Triton has one), for the network; by default
            `gpu` for TensorRT, else `auto`.
        max_batch: slices that are computed together, at least 1.
        plan: for backend `tensorrt`, the engine that `trtexec` or `export tensorrt` built.
        fp16: let the networks compute with 16 bits, as in `export_onnx`.
        checkpoint: `best` or `last`.
        confidence: answer with D's confidence too.
        data: a folder with images to check the export with; None for the run's own.

    Returns:
        The repository, and how near ONNX Runtime is to the run's own predictor; None for a plan,
        which is as good as its own export found it.

    Raises:
        InputError: if options do not go together, or a file, a package or the run is missing.
        ExportError: if the export says something else than the run; nothing is left then.
    """
    device = _check_options(backend, device, plan, fp16=fp16)
    _check_place(out)
    if plan is None:
        require_onnx()
    predictor, samples = load_for_export(run, checkpoint, confidence=confidence, data=data)
    chain = chain_specs(predictor, confidence=confidence)
    inputs, outputs = chain["inputs"], chain["outputs"]
    if plan is not None:
        _check_plan(plan, outputs)
    network = Network(backend, device, inputs, outputs, max_batch, fp16)
    with _repository(out) as writing:
        folder = writing / out.name
        (folder / "1").mkdir(parents=True)
        parity = None
        if plan is not None:
            shutil.copyfile(plan, folder / "1" / "model.plan")
        else:
            file = folder / "1" / "model.onnx"
            _, parity = write_onnx(file, predictor, samples, confidence=confidence, fp16=fp16)
        if backend == "python":
            shutil.copyfile(MODELS / "network.py", folder / "1" / "model.py")
        _describe_network(folder, network, predictor, samples[0].voxels.shape[:2])
        if predictor.config.channels in (1, 3):
            _write_ensemble(writing, out.name, inputs, outputs)
        about = describe(run, checkpoint, predictor.config, {"serving_default": chain}, parity)
        write_description(folder, run, out.name, 1, about)
    return out, parity


def _check_options(backend: str, device: str | None, plan: Path | None, *, fp16: bool) -> str:
    """Refuses what does not go together; says on which device."""
    if (plan is None) == (backend == "tensorrt"):
        raise InputError(
            "--backend tensorrt serves an engine of TensorRT; give it as --plan FILE"
            if plan is None
            else f"--plan is for --backend tensorrt, received --backend {backend}; drop one of them"
        )
    if plan is not None and not plan.is_file():
        raise InputError(
            f"--plan {plan}: no such file; `tfadvseg export tensorrt` tells how to make it"
        )
    if plan is not None and fp16:
        raise InputError("--fp16: a plan has its precision already; drop the option")
    if "tensorrt" in backend and device not in (None, "gpu"):
        raise InputError(f"--device {device}: TensorRT needs a GPU; drop one of the options")
    return device or ("gpu" if "tensorrt" in backend else "auto")


def _check_place(out: Path) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", out.name):
        raise InputError(
            f"--out {out}: its last part names Triton's models; expected letters, digits, _, . "
            "and - alone"
        )
    if out.exists():
        raise InputError(
            f"{out} is there already; Triton reads a repository at any time, so none is changed: "
            "give another folder, and start Triton with that"
        )


def _check_plan(plan: Path, outputs: Tensors) -> None:
    """Where the plan's description lies beside it, it has to say the same outputs."""
    about = plan.with_name("model.json")
    if about.is_file():
        found = json.loads(about.read_text(encoding="utf-8"))["signatures"]["serving_default"]
        if set(found["outputs"]) != set(outputs):
            raise InputError(
                f"--plan {plan} answers with {', '.join(sorted(found['outputs']))}; expected "
                f"{', '.join(sorted(outputs))}; give --confidence to both exports or to none"
            )


@contextmanager
def _repository(out: Path) -> Iterator[Path]:
    """A folder that is renamed to `out` when the block ends well."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        writing = Path(tempfile.mkdtemp(prefix=".writing-", dir=out.parent))
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); choose another") from error
    try:
        writing.chmod(0o755)  # a server may be another user
        yield writing
        writing.rename(out)
    finally:
        shutil.rmtree(writing, ignore_errors=True)


def _describe_network(
    folder: Path, network: Network, predictor: Predictor, size: tuple[int, int]
) -> None:
    """Writes the configuration of the network and what it refers to."""
    config = network_config(folder.name, network, size)
    (folder / "config.pbtxt").write_text(config, encoding="utf-8")
    classes = "".join(f"{name}\n" for name in predictor.config.classes or ())
    (folder / "labels.txt").write_text(classes, encoding="utf-8")
    if not network.batches:
        (folder / "warmup").mkdir()
        (folder / "warmup" / "spacing_mm").write_bytes(np.ones(2, np.float32).tobytes())


def _write_ensemble(root: Path, name: str, inputs: Tensors, outputs: Tensors) -> None:
    """Writes the models that make and take files, and the ensemble."""
    maps = {key: spec for key, spec in outputs.items() if key != "probabilities"}
    files = {f"{key}_bytes": FILES for key in maps}
    sent = {"image_bytes": FILES}
    _write_piece(root / f"{name}_decode", "decode", sent, {"images": inputs["images"]})
    _write_piece(root / f"{name}_encode", "encode", maps, files)
    spacing = {key: spec for key, spec in inputs.items() if key == "spacing_mm"}
    config = ensemble_config(
        f"{name}_image_bytes",
        {**sent, **spacing},
        files,
        {
            f"{name}_decode": (list(sent), ["images"]),
            name: (list(inputs), list(maps)),
            f"{name}_encode": (list(maps), list(files)),
        },
    )
    folder = root / f"{name}_image_bytes"
    (folder / "1").mkdir(parents=True)  # empty, but Triton serves versions
    (folder / "config.pbtxt").write_text(config, encoding="utf-8")


def _write_piece(folder: Path, kind: str, inputs: Tensors, outputs: Tensors) -> None:
    (folder / "1").mkdir(parents=True)
    shutil.copyfile(MODELS / f"{kind}.py", folder / "1" / "model.py")
    if kind == "decode":
        _copy(soundness, folder / "1")
    config = piece_config(folder.name, inputs, outputs)
    (folder / "config.pbtxt").write_text(config, encoding="utf-8")


def _copy(module: ModuleType, folder: Path) -> None:
    shutil.copyfile(inspect.getfile(module), folder / f"{module.__name__.rpartition('.')[2]}.py")
