"""What surrounds the networks in prediction."""

import numpy as np
import tensorflow as tf

rounded = tf.config.experimental.tensor_float_32_execution_enabled


def test_nothing_is_rounded_to_tensor_float_32(predictor, monkeypatch):
    """The GPU's own choice; it is left as it was for others."""
    found, predict = [], predictor._predict

    def spy(*inputs):
        found.append(rounded())
        return predict(*inputs)

    monkeypatch.setattr(predictor, "_predict", spy)
    assert rounded()
    predictor(np.zeros((1, 9, 9, 1)))
    assert found == [False] and rounded()
