"""How far to trust a prediction: the chance that each pixel is right, and the Dice to expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfadvseg import calibration
from tfadvseg.errors import InputError
from tfadvseg.run_folder import RunFolder

if TYPE_CHECKING:  # it needs TensorFlow
    from tfadvseg.inference.predictor import Prediction

CALIBRATION = "calibration.json"
LIKELY = 0.5  # chance that a class is present, from which on its Dice is told


@dataclass(frozen=True)
class Calibration:
    """What brings the answers of a model's networks to probabilities of being right.

    Attributes:
        coefficients: (C, 3) of each predicted class, see `tfadvseg.calibration`.
        unseen: (C,) share of the pixels outside the window of the networks that each class has.
        presence: (C, 2) of P(present) of each class, likewise; None where it was never fitted.
        without: validation patient to the same, found without him: to judge him fairly.
    """

    coefficients: np.ndarray
    unseen: np.ndarray
    presence: np.ndarray | None = None
    without: Mapping[str, Calibration] = field(default_factory=dict)

    @classmethod
    def read(cls, run: Path) -> Calibration:
        """The calibration of the best model of a run.

        Raises:
            InputError: if there is none, or it is damaged.
        """
        file, folder = run / CALIBRATION, RunFolder(run)
        folder.read_config()  # refuses what is no run
        if not file.is_file():
            mend = f"make it with tfadvseg evaluate {run} --split val"
            if not folder.read_json("split.json")["val"]:
                mend = "it takes validation patients: train with val_patients"
            raise InputError(
                f"{file}: not there, and nothing else says how often {run} is right; {mend}"
            )
        try:
            return cls.from_json(folder.read_json(CALIBRATION))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{file}: expected what tfadvseg fit writes, it is damaged; delete it and make it "
                f"again with tfadvseg evaluate {run} --split val"
            ) from error

    @classmethod
    def find(cls, run: Path, checkpoint: str = "best") -> Calibration | None:
        """The calibration of a model of a run, `best` or `last`; None where there is none."""
        has_one = checkpoint == "best" and (run / CALIBRATION).is_file()
        return cls.read(run) if has_one else None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Calibration:
        """Reads what `to_json` gave."""
        without: dict[str, Calibration] = {}
        for fold in content.get("without", ()):
            without |= dict.fromkeys(fold["patients"], cls.from_json(fold))
        coefficients, unseen = (
            np.array(content[name], np.float64) for name in ("coefficients", "unseen")
        )
        presence = content.get("presence")
        fitted = None if presence is None else np.array(presence, np.float64)
        return cls(coefficients, unseen, fitted, without)

    def to_json(self) -> dict[str, Any]:
        """The content of `calibration.json`, but for what names patients."""
        content = {"coefficients": self.coefficients.tolist(), "unseen": self.unseen.tolist()}
        return content if self.presence is None else {**content, "presence": self.presence.tolist()}

    def write(self, run: Path) -> None:
        """Writes the file that `read` reads."""
        folds: dict[int, list[str]] = {}
        for patient, fold in self.without.items():
            folds.setdefault(id(fold), []).append(patient)
        without = [
            {"patients": patients, **self.without[patients[0]].to_json()}
            for patients in folds.values()
        ]
        RunFolder(run).write_json(CALIBRATION, {**self.to_json(), "without": without})

    def fair_to(self, patient: str) -> Calibration:
        """That which was found without a patient, to judge him by."""
        return self.without.get(patient, self)

    def judges(self, patient: str) -> bool:
        """Whether anybody else is left to tell how right the model is about a patient."""
        return patient not in self.without or len(self.without) > 1

    def chance_present(self, expected: np.ndarray) -> np.ndarray:
        """P(present) of every class, (C,), from the pixels (C,) that are to be expected."""
        fitted = np.tile(calibration.LONE, (len(expected), 1))
        return calibration.chance_present(
            fitted if self.presence is None else self.presence, expected
        )

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
    return np.all(probabilities[..., 1:] == 0, axis=-1)


class CaseQuality:
    """What may be expected of the mask of a case, added up slices by slices.

    A pixel's class is right with the chance P. If it is wrong, the other classes share the rest as
    S's probabilities p of them do. From that follow the counts of Dice that may be expected:

        P(c) = P                                              c the predicted class
        P(c) = (1 - P) p_c / sum over the other classes of p  c another class
        Dice_c = 2 TP / (predicted + true)     TP: sum of P over the pixels predicted as c,
                                               predicted: their number,
                                               true: sum of P(c) over all pixels

    A class that was not predicted has Dice 0 if it is present, and none if it is not. It counts as
    much as it is likely to be present, which `Calibration.chance_present` tells of `true`.

    Args:
        calibration: of the model.
    """

    def __init__(self, calibration: Calibration):
        self._calibration = calibration
        self._predicted, self._right, self._true = np.zeros((3, len(calibration.unseen)))

    def add(self, prediction: Prediction) -> np.ndarray:
        """Adds slices; returns the chance that each pixel is right, (N, H, W)."""
        chances, classes = self._calibration.chance_right(prediction), prediction.masks.ravel()
        others = np.maximum(prediction.probabilities.reshape(len(classes), -1), 0)
        outside = np.count_nonzero(unseen(others))
        np.put_along_axis(others, classes[:, np.newaxis], 0, axis=-1)
        wrong = (1 - chances.ravel()) / np.maximum(others.sum(axis=-1), np.finfo(np.float32).tiny)
        right = np.bincount(classes, chances.ravel(), minlength=len(self._right))
        self._predicted += np.bincount(classes, minlength=len(self._right))
        self._right += right
        self._true += right + wrong @ others
        self._true[1:] += outside * self._calibration.unseen[1:]
        return chances

    def confidence(self) -> float:
        """The share of the pixels that may be expected to be right."""
        return float(self._right.sum() / self._predicted.sum())

    def dice(self, names: Sequence[str]) -> dict[str, Any]:
        """The Dice to expect: of each foreground class by its name, and their mean.

        None where a class is less likely to be present than not; as mean where all of them are.
        """
        dice = 2 * self._right / np.maximum(self._predicted + self._true, np.finfo(float).tiny)
        present = self._calibration.chance_present(self._true)
        counts = np.where(self._predicted > 0, 1.0, present)[1:]
        per_class = {
            name: float(value) if count >= LIKELY else None
            for name, value, count in zip(names[1:], dice[1:], counts, strict=True)
        }
        known = counts.max() >= LIKELY
        foreground = float(np.average(dice[1:], weights=counts)) if known else None
        return {"foreground": foreground, "per_class": per_class}

    @property
    def expected(self) -> np.ndarray:
        """(C,) pixels of each class that are to be expected."""
        return self._true
