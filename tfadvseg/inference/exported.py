"""The predictor of an exported model, in the engine that its files are for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfadvseg.config import Config
from tfadvseg.data.geometry import slicing
from tfadvseg.data.image import Image
from tfadvseg.errors import InputError
from tfadvseg.inference.engines import loader
from tfadvseg.inference.engines.signature import GraphRefusal, Signature, slice_inputs
from tfadvseg.inference.export_folder import ExportFolder
from tfadvseg.inference.predictor import Prediction, SlicePredictor


class ExportedPredictor(SlicePredictor):
    """An exported model.

    Args:
        signature: `serving_default` of the model.
        config: how it sees images.
    """

    def __init__(self, signature: Signature, config: Config):
        super().__init__(config)
        self.signature = signature

    @classmethod
    def load(cls, version: Path, engine: str | None = None) -> ExportedPredictor:
        """Loads a version of an exported model.

        Args:
            version: its folder.
            engine: one of those that its files are for; None for that which it was exported for.

        Raises:
            InputError: if this program did not export it, or the engine cannot compute here.
        """
        folder = ExportFolder(version)
        config = folder.read_config()
        if "tftrt" in folder.read_description() and not is_tensorrt_build():
            raise InputError(
                f"{version} was exported by `tfadvseg export tftrt` for TensorFlow up to 2.17, and "
                f"TensorFlow {tf.__version__} cannot load its engines; give the run, or another "
                "export"
            )
        load = loader(engine or folder.engine)
        return cls(load(version)["serving_default"], config)

    @property
    def has_confidence(self) -> bool:
        """Whether it was exported with D's confidence."""
        return "confidence" in self.signature.outputs

    def check(self, image: Image) -> None:
        super().check(image)
        if self.signature.sizes is not None:
            slices = slicing(image.geometry, self.config.slice_axis).cut(image.voxels)
            with _refused_as_input():
                self.signature.sizes.check(*slices.shape[1:3])

    def _compute(self, slices: np.ndarray, spacing: np.ndarray) -> Prediction:
        inputs = slice_inputs(self.signature.inputs, slices, spacing)
        with _refused_as_input():
            answer = self.signature.call(inputs)
        return Prediction(answer["mask"], answer["probabilities"], answer.get("confidence"))


def is_tensorrt_build() -> bool:
    """Whether this TensorFlow was built with TensorRT, as none is from 2.18 on."""
    return bool(tf.sysconfig.get_build_info().get("is_tensorrt_build"))


@contextmanager
def _refused_as_input() -> Iterator[None]:
    try:
        yield
    except GraphRefusal as error:
        raise InputError(str(error)) from error
