"""Requests that a server answers before it takes others, so that the first client does not wait."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from tfadvseg.export.servable import inputs_of

FILE = "tf_serving_warmup_requests"


def write_warmup(folder: Path, signatures: Mapping[str, Any], size: tuple[int, int]) -> None:
    """Writes one request a signature, a file of records of `PredictionLog`.

    The image is a ramp of grey: nothing of a patient goes along.

    Args:
        folder: the `assets.extra` of a version.
        signatures: concrete functions by name.
        size: height and width of the image.
    """
    with tf.io.TFRecordWriter(str(folder / FILE)) as writer:
        for name, function in signatures.items():
            request = predict_pb2.PredictRequest()
            request.model_spec.signature_name = name
            for key, spec in inputs_of(function).items():
                value = tf.constant(_example(spec, size), spec.dtype)
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())


def _example(spec: tf.TensorSpec, size: tuple[int, int]) -> Any:
    """A batch of one for an input."""
    channels = spec.shape[-1] if spec.shape.rank == 4 else 1
    ramp = np.broadcast_to(np.linspace(0, 255, size[1]), size)
    if spec.dtype == tf.string:
        return [tf.io.encode_png(ramp.astype(np.uint8)[..., np.newaxis]).numpy()]
    if spec.shape.rank == 4:
        return np.repeat(ramp[np.newaxis, ..., np.newaxis], channels, axis=-1)
    return np.ones([1, *spec.shape[1:]])
