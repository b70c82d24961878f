"""How well a model knows how good it is: of each pixel, and of each case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from tfadvseg.data.geometry import slicing
from tfadvseg.data.image import Image
from tfadvseg.inference.predictor import Prediction, SlicePredictor
from tfadvseg.inference.quality import Calibration, CaseQuality
from tfadvseg.metrics import mean
from tfadvseg.reliability import Reliability

FEWEST = 3  # cases; two always lie on a line


class SelfAssessment:
    """Compares what a model says of its predictions with the truth.

    Args:
        predictor: the model.
        calibration: of the model. Validation patients are judged by what was found without them.
    """

    def __init__(self, predictor: SlicePredictor, calibration: Calibration):
        self._predictor, self._calibration = predictor, calibration
        names = predictor.config.classes or ()
        self._before, self._after = Reliability(names), Reliability(names)
        self._judged = True

    def segment(
        self, image: Image, truth: np.ndarray, patient: str
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Predicts the mask of an image, (Z, Y, X) uint8, and what to expect of it.

        Args:
            image: of a case.
            truth: (Z, Y, X), its true mask; plays no part in what is expected.
            patient: whose it is.

        Returns:
            The mask, and `predicted_dice` as in `metrics.json`.
        """
        config, calibration = self._predictor.config, self._calibration.fair_to(patient)
        self._judged &= self._calibration.judges(patient)
        cut, mask = slicing(image.geometry, config.slice_axis), np.empty(truth.shape, np.uint8)
        slices, labels, expected = cut.cut(mask), cut.cut(truth), CaseQuality(calibration)
        for part, prediction in self._predictor.stream(image):
            slices[part] = prediction.masks
            self._count(prediction, expected.add(prediction), labels[part])
        return mask, {"predicted_dice": expected.dice(config.classes or ())}

    def _count(self, prediction: Prediction, chances: np.ndarray, labels: np.ndarray) -> None:
        counted = labels != self._predictor.config.ignored()
        classes = prediction.masks[counted].astype(np.intp)
        right = classes == labels[counted]
        said = prediction.probabilities.max(axis=-1)
        self._before.add(said[counted], classes, right)
        self._after.add(chances[counted], classes, right)

    def to_json(self, per_case: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The blocks `calibration` and `quality` of `metrics.json`, for its `per_case`.

        The first has the calibration errors of S's own probability (`before`), and of P(right)
        (`after`): None on the only patient that it was found on.
        """
        after = self._after.to_json() if self._judged else None
        return {
            "calibration": {"before": self._before.to_json(), "after": after},
            "quality": quality(per_case, self._predictor.config.classes or ()),
        }


def quality(per_case: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """How predicted and true Dice of cases, each the mean over the foreground, go together.

    Args:
        per_case: as in `metrics.json`.
        names: of the classes, background first.

    Returns:
        Number of cases where both are defined, Pearson's and Spearman's correlation (None of
        fewer than three cases, or where one of both is constant), and mean absolute error.
    """
    pairs = [
        (
            case["predicted_dice"]["foreground"],
            mean([case["per_class"][n]["dice"] for n in names[1:]]),
        )
        for case in per_case
    ]
    known = np.array([pair for pair in pairs if None not in pair]).reshape(-1, 2)
    varied = len(known) >= FEWEST and np.ptp(known, axis=0).all()
    predicted, true = known.T
    return {
        "cases": len(known),
        "pearson": float(stats.pearsonr(predicted, true).statistic) if varied else None,
        "spearman": float(stats.spearmanr(predicted, true).statistic) if varied else None,
        "mean_absolute_error": mean(np.abs(predicted - true).tolist()),
    }
