"""The ONNX that TensorRT builds an engine from: its types say the precision of every step.

A strongly typed network computes each operator in the types of its tensors. TensorRT 10 does so on
demand and TensorRT 11 always; neither may then choose a precision of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfadvseg.config import DEFAULT_WINDOW
from tfadvseg.errors import InputError
from tfadvseg.export.onnx_model import to_onnx
from tfadvseg.export.precision import half_precision
from tfadvseg.inference.predictor import Predictor
from tfadvseg.windows import limits

_CONVOLUTIONS = ("Conv", "ConvTranspose")


def to_tensorrt_onnx(predictor: Predictor, *, confidence: bool, fp16: bool = False) -> Any:
    """The chain of a predictor as ONNX, without what TensorRT cannot do.

    Args:
        predictor: of the run.
        confidence: answer with D's confidence too.
        fp16: let the networks compute with 16 bits; the chain around them keeps 32.

    Raises:
        InputError: if the size of what the networks see depends on a pixel size, and the window on
            what they see: TensorRT knows sizes before it computes.
    """
    config = predictor.config
    if config.spacing_mm is not None and isinstance(limits(config.window or DEFAULT_WINDOW), str):
        raise InputError(
            f"the model was trained with spacing_mm and window {config.window}, which is measured "
            "on a part of the image that the pixel size decides; TensorRT cannot cut it out: use "
            "another engine or export, or train with a window of two values"
        )
    served = half_precision(predictor) if fp16 else Predictor(predictor.model, predictor.config)
    served.chain.preprocessing = dataclasses.replace(served.chain.preprocessing, bisects=True)
    model = to_onnx(served, confidence=confidence)
    _convert_mask_over_float(model)
    return model


def quantise(model: Any, inputs: Sequence[dict[str, np.ndarray]]) -> Any:
    """Lets the segmenter's convolutions compute with 8 bits.

    What goes into each of them, and its weights, pass through QuantizeLinear and DequantizeLinear:
    symmetric, as TensorRT wants it, and for weights a scale per channel. All else keeps 32 bits.

    Args:
        model: of ONNX, with 32 bits.
        inputs: real images by name, whose activations set the scales.

    Returns:
        Another model.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch) / "float.onnx", Path(scratch) / "int8.onnx"
        onnx.save(model, source)
        with _quiet():
            quantize_static(
                source,
                target,
                _Reader(inputs),
                quant_format=QuantFormat.QDQ,
                nodes_to_quantize=_segmenter(model),
                op_types_to_quantize=list(_CONVOLUTIONS),
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                extra_options={
                    "ActivationSymmetric": True,
                    "WeightSymmetric": True,
                    "AddQDQPairToWeight": True,  # TensorRT folds the weights itself
                    "DedicatedQDQPair": True,
                    "QuantizeBias": False,
                    "OpTypesToExcludeOutputQuantization": list(_CONVOLUTIONS),
                },
            )
        return onnx.load(target)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the advice of ONNX Runtime off the terminal: to fold constants, which is done."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


class _Reader:
    """Images one after the other, as ONNX Runtime's calibration asks for them."""

    def __init__(self, inputs: Sequence[dict[str, np.ndarray]]):
        self._left: Iterator[dict[str, np.ndarray]] = iter(inputs)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._left, None)


def _segmenter(model: Any) -> list[str]:
    """The convolutions that the mask comes from; the discriminator's are not among them."""
    makers = {name: node for node in model.graph.node for name in node.output}
    waiting, seen, found = ["mask"], set(), []
    while waiting:
        name = waiting.pop()
        if name in makers and name not in seen:
            seen.add(name)
            waiting += makers[name].input
            if makers[name].op_type in _CONVOLUTIONS:
                found.append(makers[name].name)
    return found


def _convert_mask_over_float(model: Any) -> None:
    """TensorRT makes UINT8 from FLOAT alone, and a class index is whole in both."""
    from onnx import TensorProto, helper

    for position, node in enumerate(model.graph.node):
        if list(node.output) == ["mask"]:
            between = helper.make_node(
                "Cast", list(node.input), ["mask_float"], to=TensorProto.FLOAT
            )
            node.input[0] = "mask_float"
            model.graph.node.insert(position, between)
            return
