"""SavedModels in TensorFlow itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tfadvseg.exact import exactly
from tfadvseg.inference.engines.signature import Arrays, GraphRefusal, Signature, Signatures


def release() -> str:
    """Which release computes."""
    return str(tf.__version__)


def load(folder: Path) -> Signatures:
    """Loads a SavedModel with all its signatures.

    Raises:
        ValueError: if it has none.
    """
    content = (folder / "saved_model.pb").read_bytes()
    definitions = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0].signature_def
    model = tf.saved_model.load(str(folder))
    if not model.signatures:
        raise ValueError("the SavedModel has no signature")
    return {name: _signature(model, name, definitions[name]) for name in model.signatures}


def _signature(model: Any, name: str, definition: meta_graph_pb2.SignatureDef) -> Signature:
    inputs, outputs = _specs(definition.inputs), _specs(definition.outputs)

    def call(arrays: Arrays) -> Arrays:
        # The function alone would not keep the variables alive: the model does.
        function = model.signatures[name]
        tensors = {key: tf.constant(array, inputs[key].dtype) for key, array in arrays.items()}
        try:
            with exactly():
                return {key: tensor.numpy() for key, tensor in function(**tensors).items()}
        except tf.errors.OpError as error:
            raise GraphRefusal(error.error_code, _told(error.message)) from error

    return Signature(inputs, outputs, call)


def _specs(infos: Mapping[str, meta_graph_pb2.TensorInfo]) -> dict[str, tf.TensorSpec]:
    return {
        key: tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype), info.name)
        for key, info in sorted(infos.items())
    }


def _told(message: str) -> str:
    """What an operation said, without where in the graph and which Python lines built it."""
    message = message.rpartition("<stack traces unavailable>\n")[2]
    return message.partition("\n\t [[")[0].partition(" [Op:")[0].strip()
