"""A run as a SavedModel with TensorRT engines inside (TF-TRT)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfadvseg.errors import ExportError, InputError
from tfadvseg.exact import ENVIRONMENT
from tfadvseg.export import tftrt_process
from tfadvseg.export.description import describe, specs, write_description
from tfadvseg.export.parity import EXACT, HALF_PRECISION, Parity, check_saved_model
from tfadvseg.export.samples import Sample, load_for_export
from tfadvseg.export.servable import Servable, inputs_of
from tfadvseg.export.versions import new_version
from tfadvseg.run_folder import RunFolder

SIGNATURE = "serving_default"
LARGEST_BATCH = 16
PACKAGES = "pip install 'tensorflow[and-cuda]==2.17.1' tensorrt==8.6.1"


def export_tftrt(
    run: Path,
    out: Path,
    *,
    checkpoint: str = "best",
    confidence: bool = False,
    fp16: bool = False,
    python: Path | None = None,
    data: Path | None = None,
) -> tuple[Path, Parity, str]:
    """Writes the next version of a model, for TensorFlow Serving on GPUs up to 2.17.

    The run's SavedModel is written under this TensorFlow and converted under that of `python`. It
    keeps the signature `serving_default`. Engines are built for the sizes of the run's images, in
    batches of 1 to LARGEST_BATCH; TensorFlow computes what does not fit them.

    Args:
        run: the run folder.
        out: the folder of the model's versions; its name is the model's.
        checkpoint: `best` or `last`.
        confidence: answer with D's confidence too.
        fp16: let the engines compute with 16 bits.
        python: interpreter of an environment with TensorFlow 2.17 or older and the TensorRT that
            it was built for; None for this one.
        data: a folder with images to check the export with; None for the run's own.

    Returns:
        The folder of the version, how near it is to the run's own predictor, and what it is of.

    Raises:
        InputError: if that TensorFlow has no TensorRT or no GPU, or the run, its model, its
            discriminator or its data is missing.
        ExportError: if the conversion fails, makes no engine, or says something else than the
            run; nothing is left then.
    """
    if RunFolder(run).read_config().spacing_mm is not None:
        raise InputError(
            f"{run} was trained with spacing_mm, so its SavedModel takes a pixel size per image, "
            "in a loop that TF-TRT cannot convert; use `tfadvseg export tensorrt`"
        )
    interpreter = str(python or sys.executable)
    found = require_tftrt(interpreter)
    predictor, samples = load_for_export(run, checkpoint, confidence=confidence, data=data)
    servable = Servable(predictor, confidence=confidence)
    function = servable.signatures()[SIGNATURE]
    tolerance = HALF_PRECISION if fp16 else EXACT
    with new_version(out) as version, tempfile.TemporaryDirectory() as scratch:
        source, batches = Path(scratch) / "saved_model", Path(scratch) / "batches"
        tf.saved_model.save(servable, str(source), signatures={SIGNATURE: function})
        _write_batches(batches, samples)
        engines = _convert(interpreter, source, batches, fp16, version.writing)
        parity = check_saved_model(
            version.writing,
            predictor,
            samples,
            signatures=[SIGNATURE],
            python=interpreter,
            tolerance=tolerance,
        )
        extra = version.writing / "assets.extra"
        extra.mkdir()
        told = {SIGNATURE: specs(inputs_of(function), function.structured_outputs)}
        about = describe(run, checkpoint, predictor.config, told, parity)
        about["tftrt"] = {**found, "engines": engines, "precision": "fp16" if fp16 else "fp32"}
        write_description(extra, run, out.name, version.number, about)
    origin = f"{engines} engines for TensorRT {found['built_for']} in TensorFlow"
    return version.path, parity, f"{origin} {found['tensorflow']}"


def require_tftrt(python: str) -> dict[str, Any]:
    """Asks an interpreter's TensorFlow, in a process, whether it can convert.

    Args:
        python: the interpreter.

    Returns:
        What `tftrt_process.probe` found.

    Raises:
        InputError: if something is missing; it says what.
    """
    try:
        found = _call(python, "probe")
    except (OSError, ExportError) as error:
        raise InputError(
            f"--python {python}: expected an interpreter with TensorFlow 2.17 or older: {error}"
        ) from error
    missing = []
    if found["built_for"] is None:
        missing.append(
            f"a TensorFlow with TensorRT ({found['tensorflow']} was built without it; 2.17 is the "
            "last that was built with it)"
        )
    elif not found["finds"]:
        missing.append(
            f"TensorRT {found['built_for']}, which TensorFlow {found['tensorflow']} was built for "
            "(libnvinfer was not found)"
        )
    if not found["gpus"]:
        missing.append("an NVIDIA GPU (TensorFlow sees none)")
    if missing:
        raise InputError(
            f"TF-TRT needs {' and '.join(missing)}; on a machine with the GPU, in an environment "
            f"of Python 3.9 to 3.11: {PACKAGES}; then give its interpreter as --python"
        )
    return found


def _write_batches(folder: Path, samples: Sequence[Sample]) -> None:
    """Real slices in the smallest and the largest batch that engines are built for."""
    folder.mkdir()
    for number, sample in enumerate(samples):
        images = sample.voxels[np.newaxis].astype(np.float32)
        for size in (1, LARGEST_BATCH):
            np.savez(folder / f"{number:04d}-{size}.npz", images=np.repeat(images, size, axis=0))


def _convert(python: str, source: Path, batches: Path, fp16: bool, target: Path) -> int:
    precision = "FP16" if fp16 else "FP32"
    engines = int(_call(python, "convert", source, batches, precision, target)["engines"])
    if not engines:
        raise ExportError(
            "TF-TRT found nothing in the model that it converts; nothing was exported"
        )
    return engines


def _call(python: str, *arguments: object) -> dict[str, Any]:
    command = [python, tftrt_process.__file__, *map(str, arguments)]
    environment = os.environ | ENVIRONMENT
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", env=environment
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise ExportError(f"TF-TRT failed: {lines[-1]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))
