"""Whether TensorRT's parser takes an ONNX graph, as far as one can tell without it.

The rules are those of `docs/operators.md` of onnx-tensorrt, release 10.1, and of the conversions
in `NvInfer.h`, release 11.1, for the operators that graphs of ours may use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tfadvseg.errors import ExportError

# Absent on purpose: TopK, which ends below 3840 values, and all whose output's size is in the data.
OPERATORS = frozenset(
    """
    Abs Add And ArgMax Cast Ceil Clip Concat Constant ConstantOfShape Conv ConvTranspose
    DequantizeLinear Div Einsum Equal Erf Exp Expand Flatten Floor Gather Gemm GlobalAveragePool
    Greater GreaterOrEqual Identity LeakyRelu Less LessOrEqual MatMul Max MaxPool Min Mul Neg Not Or
    Pad Pow QuantizeLinear Range Reciprocal ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu
    Reshape Resize Shape Sigmoid Slice Softmax Split Sqrt Squeeze Sub Tile Transpose Unsqueeze Where
    """.split()
)
TYPES = ("FLOAT", "FLOAT16", "INT32", "INT64", "INT8", "BOOL")
RESIZES = (b"half_pixel", b"pytorch_half_pixel", b"asymmetric", b"align_corners")
# Which inputs say a size. TensorRT knows sizes before it computes: from those of the images alone.
SIZES = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Pad": (1,),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (2, 3),
    "Slice": (1, 2),
    "Tile": (1,),
}
AXES = {"ReduceSum": 1, "Unsqueeze": 1, "Squeeze": 1, "Slice": 3}  # which input; must be constant


def check_operators(model: Any) -> None:
    """Refuses a graph that TensorRT would refuse.

    Args:
        model: of ONNX.

    Raises:
        ExportError: if it has an operator, a type or an attribute that TensorRT does not take.
    """
    graph = _Graph(model.graph)
    faults = sorted({fault for node in model.graph.node for fault in graph.faults(node)})
    faults += sorted({f"constants of type {kind}" for kind in graph.types() if kind not in TYPES})
    if faults:
        raise ExportError(f"TensorRT does not take this model's graph: {'; '.join(faults)}")


class _Graph:
    def __init__(self, graph: Any):
        self.constants = {one.name: one for one in graph.initializer}
        self.makers = {name: node for node in graph.node for name in node.output}
        self.inputs = {one.name for one in graph.input} - set(self.constants)
        self.outputs = {one.name for one in graph.output}

    def types(self) -> Iterator[str]:
        from onnx import TensorProto

        return (TensorProto.DataType.Name(one.data_type) for one in self.constants.values())

    def faults(self, node: Any) -> Iterator[str]:
        kind = node.op_type
        names = (node.input[i] for i in SIZES.get(kind, ()) if i < len(node.input))
        for source in sorted(self._values(names)):
            yield f"{kind} to a size that the values of {source} say"
        if node.domain or kind not in OPERATORS:
            yield f"operator {node.domain + ':' if node.domain else ''}{kind}"
        elif kind in AXES and len(node.input) > AXES[kind]:
            if node.input[AXES[kind]] not in self.constants:
                yield f"{kind} over axes that are not constant"
        elif kind == "Resize":
            yield from self._resize(node)
        elif kind == "Cast":
            yield from self._cast(node)
        elif kind in ("QuantizeLinear", "DequantizeLinear"):
            yield from self._quantisation(node)

    def _values(self, names: Iterable[str]) -> set[str]:
        """The graph's inputs whose values, not sizes alone, tensors are computed from."""
        waiting, seen = list(names), set()
        while waiting:
            name = waiting.pop()
            maker = self.makers.get(name)
            if name not in seen and maker is not None and maker.op_type != "Shape":
                waiting += maker.input
            seen.add(name)
        return seen & self.inputs

    def _resize(self, node: Any) -> Iterator[str]:
        given = _attributes(node)
        place = given.get("coordinate_transformation_mode", b"half_pixel")
        if given.get("mode", b"nearest") not in (b"nearest", b"linear"):
            yield f"Resize of mode {given['mode'].decode()}"
        if place not in RESIZES or given.get("antialias"):
            yield f"Resize by {place.decode()}, or antialiased"

    def _cast(self, node: Any) -> Iterator[str]:
        """UINT8 is for inputs and outputs alone, and no integer converts to it."""
        from onnx import TensorProto

        target = _attributes(node)["to"]
        if target == TensorProto.UINT8:
            maker = self.makers.get(node.input[0])
            floats = maker is not None and maker.op_type == "Cast"
            floats = floats and _attributes(maker)["to"] == TensorProto.FLOAT
            if not floats or not self.outputs.issuperset(node.output):
                yield "UINT8 that is not an output made from FLOAT"
        elif TensorProto.DataType.Name(target) not in TYPES:
            yield f"Cast to {TensorProto.DataType.Name(target)}"

    def _quantisation(self, node: Any) -> Iterator[str]:
        from onnx import TensorProto, numpy_helper

        zero = self.constants.get(node.input[2]) if len(node.input) > 2 else None
        if zero is None or zero.data_type != TensorProto.INT8:
            yield f"{node.op_type} without a constant zero point of INT8"
        elif numpy_helper.to_array(zero).any():
            yield f"{node.op_type} with a zero point other than 0"


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {one.name: helper.get_attribute_value(one) for one in node.attribute}
