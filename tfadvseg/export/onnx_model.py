"""A run as an ONNX model, for ONNX Runtime, OpenVINO, TensorRT and Triton."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfadvseg.errors import InputError
from tfadvseg.export.description import describe, write_description
from tfadvseg.export.parity import EXACT, HALF_PRECISION, Parity, check_function
from tfadvseg.export.precision import half_precision
from tfadvseg.export.samples import Sample, load_for_export
from tfadvseg.export.servable import Servable
from tfadvseg.export.versions import new_version
from tfadvseg.inference import Predictor

OPSET = 17


def export_onnx(
    run: Path,
    out: Path,
    *,
    checkpoint: str = "best",
    confidence: bool = False,
    fp16: bool = False,
    data: Path | None = None,
) -> tuple[Path, Parity]:
    """Writes the next version of a model as `<version>/model.onnx`, with the whole chain inside.

    Inputs and outputs are those of the SavedModel's `serving_default`, of any batch, height and
    width; models with a pixel size take `spacing_mm` (2,) for all of a batch.

    Args:
        run: the run folder.
        out: the folder of the model's versions; its name is the model's.
        checkpoint: `best` or `last`.
        confidence: answer with D's confidence too.
        fp16: let the networks compute with 16 bits; the chain around them and all inputs and
            outputs keep 32.
        data: a folder with images to check the export with; None for the run's own.

    Returns:
        The folder of the version, and how near ONNX Runtime is to the run's own predictor.

    Raises:
        InputError: if a package, the run, its model, its discriminator or its data is missing.
        ExportError: if the export says something else than the run; nothing is left then.
    """
    onnx, runtime = require_onnx()
    predictor, samples = load_for_export(run, checkpoint, confidence=confidence, data=data)
    served = half_precision(predictor) if fp16 else predictor
    model = to_onnx(served, confidence=confidence)
    with new_version(out) as version:
        file = version.writing / "model.onnx"
        onnx.save(model, file)
        onnx.checker.check_model(file, full_check=True)
        session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        tolerance = HALF_PRECISION if fp16 else EXACT
        parity = check_function(asking(session), predictor, samples, tolerance)
        specs = {"serving_default": specs_of(model)}
        about = describe(run, checkpoint, predictor.config, specs, parity)
        write_description(version.writing, run, out.name, version.number, about)
    return version.path, parity


def require_onnx() -> tuple[Any, Any]:
    """The packages `onnx` and `onnxruntime`.

    Raises:
        InputError: if one of them, or tf2onnx, is not installed.
    """
    try:
        import onnx
        import onnxruntime
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise InputError(
            f'ONNX needs {error.name}, which is not installed; pip install "tfadvseg[onnx]"'
        ) from error
    return onnx, onnxruntime


def to_onnx(predictor: Predictor, *, confidence: bool) -> Any:
    """The chain of a predictor as an ONNX model with named inputs and outputs."""
    import tf2onnx

    servable = Servable(predictor, confidence=confidence)
    specs = servable.slice_specs()
    function = tf.function(servable.slices, input_signature=specs)
    return tf2onnx.convert.from_function(function, input_signature=specs, opset=OPSET)[0]


def asking(session: Any) -> Callable[[Sample], Mapping[str, np.ndarray]]:
    """A function of slices that a session of ONNX Runtime computes."""
    names = [output.name for output in session.get_outputs()]
    takes_spacing = any(one.name == "spacing_mm" for one in session.get_inputs())

    def ask(sample: Sample) -> Mapping[str, np.ndarray]:
        return dict(zip(names, session.run(names, sample.inputs(takes_spacing)), strict=True))

    return ask


def specs_of(model: Any) -> dict[str, Any]:
    """Inputs and outputs of an ONNX model, as `model.json` has them."""
    from onnx import helper

    def told(values: Any) -> dict[str, Any]:
        return {
            value.name: {
                "dtype": helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
                "shape": [
                    side.dim_value if side.HasField("dim_value") else None
                    for side in value.type.tensor_type.shape.dim
                ],
            }
            for value in values
        }

    return {"inputs": told(model.graph.input), "outputs": told(model.graph.output)}
