"""What an engine makes of a model's files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

Arrays = dict[str, np.ndarray]
PREDICT = "tensorflow/serving/predict"
INVALID_ARGUMENT = 3


class GraphRefusal(Exception):
    """A graph does not take what it was asked.

    Args:
        code: TensorFlow's, which are gRPC's status codes.
        message: what it said.
    """

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Sizes:
    """The sizes that an engine was built for.

    Attributes:
        least: batch, height and width.
        most: likewise.
    """

    least: tuple[int, int, int]
    most: tuple[int, int, int]

    def check(self, height: int, width: int) -> None:
        """Refuses images of other sizes.

        Raises:
            GraphRefusal: if one side is too small or too large.
        """
        (_, *low), (_, *high) = self.least, self.most
        if not (low[0] <= height <= high[0] and low[1] <= width <= high[1]):
            raise GraphRefusal(
                INVALID_ARGUMENT,
                f"the engine takes images from {low[0]}x{low[1]} to {high[0]}x{high[1]} pixels, "
                f"received {height}x{width}; use another engine, or export it again with other "
                "--min and --max",
            )


@dataclass(frozen=True)
class Signature:
    """One way to call a model.

    Attributes:
        inputs: specs by name, whose own names are those in the graph.
        outputs: likewise.
        call: computes the outputs, in any thread.
        sizes: of the images that it takes; None for any.
    """

    inputs: Mapping[str, tf.TensorSpec]
    outputs: Mapping[str, tf.TensorSpec]
    call: Callable[[Arrays], Arrays]
    sizes: Sizes | None = None

    @property
    def takes_batches(self) -> bool:
        """Whether all that goes in and comes out has a first axis of any size."""
        specs = [*self.inputs.values(), *self.outputs.values()]
        return all(spec.shape.rank and spec.shape[0] is None for spec in specs)

    def definition(self) -> meta_graph_pb2.SignatureDef:
        """The signature as clients of TensorFlow Serving read it."""
        return meta_graph_pb2.SignatureDef(
            inputs={name: _info(spec) for name, spec in self.inputs.items()},
            outputs={name: _info(spec) for name, spec in self.outputs.items()},
            method_name=PREDICT,
        )


Signatures = dict[str, Signature]


def slice_inputs(
    specs: Mapping[str, tf.TensorSpec], slices: np.ndarray, spacing_mm: np.ndarray | None
) -> Arrays:
    """The inputs of an exported chain for slices of one pixel size.

    Args:
        specs: of its inputs: `images`, and `spacing_mm` of each slice or of all, where it asks.
        slices: (N, H, W, K) stored values.
        spacing_mm: (2,) height and width of a pixel; None only where the chain does not ask.
    """
    inputs, asked = {"images": slices.astype(np.float32, copy=False)}, specs.get("spacing_mm")
    if asked is not None:
        spacing = np.asarray(spacing_mm, np.float32)
        one_each = asked.shape.rank == 2
        inputs["spacing_mm"] = np.tile(spacing, (len(slices), 1)) if one_each else spacing
    return inputs


def _info(spec: tf.TensorSpec) -> meta_graph_pb2.TensorInfo:
    return meta_graph_pb2.TensorInfo(
        name=spec.name, dtype=spec.dtype.as_datatype_enum, tensor_shape=spec.shape.as_proto()
    )
