"""U-Net (Ronneberger et al. 2015, arXiv:1505.04597), the segmenter S."""

from __future__ import annotations

from typing import Any

import keras

from tfadvseg.models.layers import CropLike, PadToMultiple, ResizeLike, normalisation


@keras.saving.register_keras_serializable("tfadvseg")
class UNet(keras.Model):
    """A U-Net for images of any size: padded inside to what the depth needs, cropped back.

    Args:
        num_classes: C, background included; at least 2.
        channels: K, image channels.
        base_filters: filters of the first level; each level down doubles them.
        depth: how often the resolution is halved.
        norm: `instance`, `group` or `batch`. Only `batch` keeps statistics of the batches.
        upsampling: `transposed` convolution, or `bilinear` and a 1x1 convolution.

    Shapes:
        image (N, H, W, K) float in [0, 1] -> logits (N, H, W, C) float32.

    Raises:
        ValueError: if an argument is out of its range.
    """

    def __init__(
        self,
        num_classes: int,
        channels: int = 1,
        base_filters: int = 64,
        depth: int = 4,
        norm: str = "batch",
        upsampling: str = "transposed",
        **kwargs: Any,
    ):
        if num_classes < 2:
            raise ValueError(f"num_classes: expected at least 2, received {num_classes}")
        if upsampling not in ("transposed", "bilinear"):
            raise ValueError(
                f"upsampling: expected transposed or bilinear, received {upsampling!r}"
            )

        # === Functional Model ===
        inputs = keras.Input((None, None, channels), name="image")
        x, skips = PadToMultiple(2**depth, name="pad")(inputs), []
        for level in range(depth):
            x = conv_block(x, base_filters * 2**level, norm, f"down{level}")
            skips.append(x)
            x = keras.layers.MaxPooling2D(name=f"down{level}_pool")(x)
        x = conv_block(x, base_filters * 2**depth, norm, "bottom")
        for level in reversed(range(depth)):
            filters, name = base_filters * 2**level, f"up{level}"
            skip = self.gate(skips[level], x, filters, name)
            x = upsample(x, skip, filters, upsampling, name)
            x = keras.layers.Concatenate(name=f"{name}_skip")([skip, x])
            x = conv_block(x, filters, norm, name)
        logits = keras.layers.Conv2D(num_classes, 1, dtype="float32", name="classes")(x)
        outputs = CropLike(dtype="float32", name="logits")(logits, inputs)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.num_classes = num_classes
        self.channels = channels
        self.base_filters = base_filters
        self.depth = depth
        self.norm = norm
        self.upsampling = upsampling

    @property
    def deepest(self) -> Any:
        """The activations at the bottom of the U: (N, H / 2^depth, W / 2^depth, filters)."""
        return self.get_layer("bottom_relu2").output

    @staticmethod
    def gate(skip: Any, coarse: Any, filters: int, name: str) -> Any:
        """What of the skip connection is passed on: here, all of it."""
        return skip

    def get_config(self) -> dict[str, Any]:
        return {
            "num_classes": self.num_classes,
            "channels": self.channels,
            "base_filters": self.base_filters,
            "depth": self.depth,
            "norm": self.norm,
            "upsampling": self.upsampling,
            "name": self.name,
        }


def conv_block(x: Any, filters: int, norm: str, name: str) -> Any:
    """Two 3x3 convolutions, each with normalisation and ReLU."""
    for i in (1, 2):
        x = keras.layers.Conv2D(
            filters,
            3,
            padding="same",
            use_bias=False,  # the normalisation's offset takes its place
            kernel_initializer="he_normal",
            name=f"{name}_conv{i}",
        )(x)
        x = normalisation(norm, filters, f"{name}_norm{i}")(x)
        x = keras.layers.ReLU(name=f"{name}_relu{i}")(x)
    return x


def upsample(x: Any, like: Any, filters: int, upsampling: str, name: str) -> Any:
    """Doubles the resolution, to that of `like`."""
    if upsampling == "transposed":
        return keras.layers.Conv2DTranspose(filters, 2, strides=2, name=f"{name}_upsample")(x)
    x = ResizeLike(name=f"{name}_resize")(x, like)
    return keras.layers.Conv2D(filters, 1, name=f"{name}_upsample")(x)
