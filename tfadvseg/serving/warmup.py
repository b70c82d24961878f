"""The warm-up requests that an exported model brings along."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tfadvseg.inference.engines.signature import Signatures

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
DEFAULT_SIGNATURE = "serving_default"
MOST_RECORDS = 1000  # as in TensorFlow Serving


def warm_up(folder: Path, signatures: Signatures) -> int:
    """Makes the predict requests of a version's file of warm-up requests.

    The first call of a graph is slow, and shall not be a client's.

    Args:
        folder: of the version.
        signatures: loaded from there.

    Returns:
        How many requests there were; records of other kinds than predict are passed over.

    Raises:
        GraphRefusal: if a request fails; also what TensorFlow raises if the file is damaged.
    """
    if not (folder / WARMUP_FILE).is_file():
        return 0
    made = 0
    records = tf.data.TFRecordDataset(str(folder / WARMUP_FILE)).take(MOST_RECORDS)
    for record in records.as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        if log.HasField("predict_log"):
            request = log.predict_log.request
            name = request.model_spec.signature_name or DEFAULT_SIGNATURE
            inputs = {key: tf.make_ndarray(proto) for key, proto in request.inputs.items()}
            signatures[name].call(inputs)
            made += 1
    return made
