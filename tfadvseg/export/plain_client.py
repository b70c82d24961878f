"""Asks a SavedModel as a process that knows TensorFlow and nothing of this package.

Usage: python plain_client.py SAVED_MODEL FOLDER

FOLDER holds `<number>.npz`, each the inputs of one call and, as `signature`, the name of the
signature; the answers are written beside them as `<number>.answer.npz`. Encoded images come and go
as arrays of bytes, one image an array: `image_bytes/0`, `image_bytes/1`, ...
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf


def main() -> None:
    """Answers every call."""
    signatures = tf.saved_model.load(sys.argv[1]).signatures
    for file in sorted(Path(sys.argv[2]).glob("*.npz")):
        call = dict(np.load(file))
        signature = signatures[str(call.pop("signature"))]
        answers = signature(**{name: tf.constant(value) for name, value in gathered(call).items()})
        np.savez(file.with_suffix(".answer"), **spread(answers))


def gathered(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Puts the files of an input of strings into one list."""
    inputs: dict[str, Any] = {}
    files: dict[str, list[bytes]] = {}
    for name, array in arrays.items():
        text, _, number = name.partition("/")
        if number:
            files.setdefault(text, []).append(array.tobytes())
        else:
            inputs[name] = array
    return {**inputs, **files}


def spread(answers: dict[str, tf.Tensor]) -> dict[str, Any]:
    """The reverse, for what is answered."""
    arrays: dict[str, Any] = {}
    for name, tensor in answers.items():
        if tensor.dtype == tf.string:
            for number, content in enumerate(tensor.numpy()):
                arrays[f"{name}/{number}"] = np.frombuffer(content, np.uint8)
        else:
            arrays[name] = tensor.numpy()
    return arrays


if __name__ == "__main__":
    main()
