"""The predictor of an exported model, in the engine that its files are for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfadvseg.config import Config
from tfadvseg.inference.engines import loader
from tfadvseg.inference.engines.signature import Signature
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
    def load(cls, version: Path, precision: str | None = None) -> ExportedPredictor:
        """Loads a version of an exported model.

        Args:
            version: its folder.
            precision: in which engine openvino computes, see `loader`.

        Raises:
            InputError: if this program did not export it, or the engine's package is not installed.
        """
        folder = ExportFolder(version)
        config = folder.read_config()
        return cls(loader(folder.engine, precision)(version)["serving_default"], config)

    @property
    def has_confidence(self) -> bool:
        """Whether it was exported with D's confidence."""
        return "confidence" in self.signature.outputs

    def _compute(self, slices: np.ndarray, spacing: np.ndarray) -> Prediction:
        inputs = {"images": slices}
        wanted = self.signature.inputs.get("spacing_mm")
        if wanted is not None:  # one for each slice, or one for all
            inputs["spacing_mm"] = np.tile(spacing, (len(slices), 1))
            if wanted.shape.rank == 1:
                inputs["spacing_mm"] = spacing
        answer = self.signature.call(inputs)
        return Prediction(answer["mask"], answer["probabilities"], answer.get("confidence"))
