"""Networks that compute with 16 bits; what stands around them keeps 32."""

from __future__ import annotations

import keras

from tfadvseg.inference.predictor import Predictor
from tfadvseg.models import AdversarialSegmenter


def half_precision(predictor: Predictor) -> Predictor:
    """A predictor whose networks have weights and activations of 16 bits.

    Stored values, grids and the logits stay at 32: half has no digits for them.
    """
    segmenter, discriminator = predictor.model.predicting, predictor.model.discriminator
    model = AdversarialSegmenter(
        _half(segmenter), None if discriminator is None else _half(discriminator)
    )
    return Predictor(model, predictor.config)


def _half(network: keras.Model) -> keras.Model:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float16")
    try:
        copy = type(network).from_config(network.get_config())
    finally:
        keras.config.set_dtype_policy(before)
    copy.set_weights(network.get_weights())
    return copy
