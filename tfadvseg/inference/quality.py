"""How far to trust a prediction: the probability that each of its pixels is right."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfadvseg import calibration
from tfadvseg.errors import InputError
from tfadvseg.inference.predictor import Prediction

CALIBRATION = "calibration.json"


@dataclass(frozen=True)
class Calibration:
    """What brings the answers of a model's networks to probabilities of being right.

    Attributes:
        coefficients: (C, 3) of each predicted class, see `tfadvseg.calibration`.
        unseen: (C,) share of the pixels outside the window of the networks that each class has.
        without: validation patient to the same, found without him: to judge him fairly.
    """

    coefficients: np.ndarray
    unseen: np.ndarray
    without: Mapping[str, Calibration] = field(default_factory=dict)

    @classmethod
    def read(cls, run: Path) -> Calibration:
        """The calibration of the best model of a run.

        Raises:
            InputError: if there is none.
        """
        file = run / CALIBRATION
        if not file.is_file():
            raise InputError(
                f"{run}: no {CALIBRATION}, which says how often the model is right; make it with "
                f"tfadvseg evaluate {run} --split val, which takes validation patients"
            )
        return cls.from_json(json.loads(file.read_text(encoding="utf-8")))

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Calibration:
        """Reads what `to_json` gave."""
        without = {
            patient: cls.from_json(fold)
            for fold in content.get("without", ())
            for patient in fold["patients"]
        }
        coefficients = np.array(content["coefficients"], np.float64)
        return cls(coefficients, np.array(content["unseen"], np.float64), without)

    def to_json(self) -> dict[str, Any]:
        """The content of `calibration.json`, less the patients."""
        return {"coefficients": self.coefficients.tolist(), "unseen": self.unseen.tolist()}

    @property
    def needs_confidence(self) -> bool:
        """Whether D's confidence is part of the evidence."""
        return bool(self.coefficients[:, 2].any())

    def chance_right(self, prediction: Prediction) -> np.ndarray:
        """The probability that each pixel's class is its true one.

        Args:
            prediction: (N, H, W) what the networks say of slices.

        Returns:
            (N, H, W) float32 in [0, 1]. Pixels outside the window that the networks saw, where
            every class but background has probability 0, are right as often as they were on the
            validation patients.

        Raises:
            InputError: if D's confidence is needed and the prediction is without.
        """
        if prediction.confidence is None and self.needs_confidence:
            raise InputError(
                "the probability of being right needs the discriminator's confidence, and this "
                "model answers without; export it with --confidence"
            )
        classes = prediction.masks.ravel()
        probabilities = prediction.probabilities.reshape(len(classes), -1)
        said = None if prediction.confidence is None else prediction.confidence.ravel()
        evidence = calibration.evidence(probabilities, classes, said)
        right = calibration.chances(self.coefficients, classes, evidence)
        right[unseen(probabilities)] = self.unseen[0]
        return right.reshape(prediction.masks.shape).astype(np.float32)


def unseen(probabilities: np.ndarray) -> np.ndarray:
    """Which pixels (..., C) lie outside the window: only there is every other class exactly 0."""
    return ~probabilities[..., 1:].any(axis=-1)
