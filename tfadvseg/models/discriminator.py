"""The fully convolutional discriminator D, after DCGAN, without pooling and batch norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from tfadvseg.models.layers import CropLike, Enlarge


def layers_for(extent: float, base_filters: int) -> tuple[int, ...]:
    """Filters of a D whose map still tells structures of a size apart.

    One value of the map covers no more than a structure, but 16 pixels a side at least and 64, as
    the paper's, at most: D has four to six layers with stride 2, the last one included. Where S has
    32 filters, they are the paper's first ones.

    Args:
        extent: diameter of the smallest structure, in pixels.
        base_filters: of S.

    Returns:
        The filters of all layers but the last.
    """
    halvings = min(max(math.floor(math.log2(max(extent, 1.0))), 4), 6)
    return tuple(min(2 * base_filters * 2**layer, 512) for layer in range(halvings - 1))


@keras.saving.register_keras_serializable("tfadvseg")
class Discriminator(keras.Model):
    """Tells label maps from predictions, pixel by pixel (paper, section 3.2).

    4x4 convolutions with LeakyReLU 0.2 between them; the map is brought back to the size of the
    input bilinearly. Its logits become the paper's confidence by a sigmoid.

    Args:
        num_classes: C, channels of the maps that it judges.
        filters: filters of its layers but the last, which has 1.
        strides: stride of all layers, or of each, the last one included.
        spectral_norm: keep the spectral norm of every kernel at 1 (Miyato et al. 2018,
            arXiv:1802.05957), which `constrain` does after every update.

    Shapes:
        class map (N, H, W, C) float -> logits (N, H, W, 1) float32.

    Raises:
        ValueError: if the numbers of filters and strides do not fit.
    """

    def __init__(
        self,
        num_classes: int,
        filters: Sequence[int] = (64, 128, 256, 512, 512),
        strides: int | Sequence[int] = 2,
        spectral_norm: bool = False,
        **kwargs: Any,
    ):
        layers = [*filters, 1]
        steps = [strides] * len(layers) if isinstance(strides, int) else list(strides)
        if len(steps) != len(layers):
            raise ValueError(f"strides: expected {len(layers)}, one a layer, received {len(steps)}")

        # === Functional Model ===
        inputs = x = keras.Input((None, None, num_classes), name="class_map")
        for i, (width, stride) in enumerate(zip(layers, steps, strict=True), start=1):
            last = i == len(layers)
            convolution = keras.layers.Conv2D(
                width,
                4,
                strides=stride,
                padding="same",
                dtype="float32" if last else None,
                name=f"conv{i}",
            )
            x = _normalised(convolution)(x) if spectral_norm else convolution(x)
            if not last:
                x = keras.layers.LeakyReLU(negative_slope=0.2, name=f"leaky_relu{i}")(x)
        x = Enlarge(math.prod(steps), dtype="float32", name="enlarge")(x)
        outputs = CropLike(dtype="float32", name="logits")(x, inputs)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.num_classes = num_classes
        self.filters = tuple(filters)
        self.strides = steps
        self.spectral_norm = spectral_norm

    @property
    def reduction(self) -> int:
        """How many pixels of the input, a side, share one value of the map."""
        return math.prod(self.strides)

    def constrain(self) -> None:
        """Brings the kernels back to spectral norm 1, if that is wanted.

        Keras does it within a pass in training mode; D's three passes of a step shall see the same
        weights, so it is done here, and D always runs in inference mode.
        """
        for layer in self.layers:
            if isinstance(layer, keras.layers.SpectralNormalization):
                vector, kernel = layer.normalized_weights()
                layer.vector_u.assign(vector)
                layer.kernel.assign(kernel)

    def get_config(self) -> dict[str, Any]:
        return {
            "num_classes": self.num_classes,
            "filters": list(self.filters),
            "strides": list(self.strides),
            "spectral_norm": self.spectral_norm,
            "name": self.name,
        }


def _normalised(convolution: keras.layers.Conv2D) -> keras.layers.SpectralNormalization:
    """The layer with the arithmetic that it has by itself."""
    policy = convolution.dtype_policy
    return keras.layers.SpectralNormalization(convolution, dtype=policy, name=convolution.name)
