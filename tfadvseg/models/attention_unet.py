"""Attention U-Net (Oktay et al. 2018, arXiv:1804.03999), which the paper's Table 2 compares."""

from __future__ import annotations

from typing import Any

import keras

from tfadvseg.models.layers import ResizeLike
from tfadvseg.models.unet import UNet


@keras.saving.register_keras_serializable("tfadvseg")
class AttentionUNet(UNet):
    """A `UNet` whose skip connections pass additive attention gates.

    The gate of Oktay et al., Eq. (1) and (2): alpha = sigmoid(psi(relu(W_x x + W_g g))), where
    the skip connection x is brought to the coarser resolution of the gating signal g, and alpha
    is interpolated back to scale x. Arguments and shapes as in `UNet`.
    """

    @staticmethod
    def gate(skip: Any, coarse: Any, filters: int, name: str) -> Any:
        """The skip connection, scaled by its attention coefficients."""
        theta = keras.layers.Conv2D(
            filters, 2, strides=2, use_bias=False, name=f"{name}_gate_skip"
        )(skip)
        phi = keras.layers.Conv2D(filters, 1, name=f"{name}_gate_signal")(coarse)
        x = keras.layers.ReLU(name=f"{name}_gate_relu")(
            keras.layers.Add(name=f"{name}_gate_add")([theta, phi])
        )
        alpha = keras.layers.Conv2D(1, 1, activation="sigmoid", name=f"{name}_gate_psi")(x)
        alpha = ResizeLike(name=f"{name}_gate_alpha")(alpha, skip)
        return keras.layers.Multiply(name=f"{name}_gate")([skip, alpha])
