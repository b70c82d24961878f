"""Float32 as it is, on GPUs too."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

# In the environment of another process, for TensorFlow and TensorRT alike.
ENVIRONMENT = {"NVIDIA_TF32_OVERRIDE": "0"}

_lock = threading.Lock()
_inside, _before = 0, True


@contextmanager
def exactly() -> Iterator[None]:
    """Keeps GPUs from rounding float32 to the 10 bits of TensorFloat-32; in any number of threads.

    Slices are sampled by matrix products. What is left of probabilities near 1 would be noise, and
    with it how sure a model says that it is.
    """
    global _inside, _before
    with _lock:
        if not _inside:
            _before = tf.config.experimental.tensor_float_32_execution_enabled()
            tf.config.experimental.enable_tensor_float_32_execution(False)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                tf.config.experimental.enable_tensor_float_32_execution(_before)
