"""How often a model is right, found out on labelled patients that S did not train on."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from tfadvseg import calibration
from tfadvseg.data.folders.cases import Case
from tfadvseg.data.geometry import slicing
from tfadvseg.data.io import read_image, read_mask
from tfadvseg.inference.predictor import Prediction, SlicePredictor
from tfadvseg.inference.quality import Calibration, unseen
from tfadvseg.progress import Progress, silent

FOLDS = 5  # of the patients, to judge each by the others
PRIOR = 100.0  # pixels; those of a patient err together, so that many of them tell little


def calibrate(
    predictor: SlicePredictor, cases: Sequence[Case], progress: Progress = silent
) -> Calibration:
    """Fits the calibration of a model, on all patients and without those of each fold.

    Args:
        predictor: the model.
        cases: of the validation patients, all with a mask.
        progress: wraps the cases to show how far it has come.
    """
    config = predictor.config
    patients = list(dict.fromkeys(case.patient for case in cases))
    observed = _Observed(len(config.classes or ()), len(patients), config.ignored(), config.seed)
    for case in progress(cases, len(cases)):
        image, mask = read_image(case.image), read_mask(case.truth).voxels
        truth = slicing(image.geometry, config.slice_axis).cut(mask)
        for part, prediction in predictor.stream(image):
            observed.add(prediction, truth[part], patients.index(case.patient))
    whole = observed.fit()
    without: dict[str, Calibration] = {}
    for start in range(min(FOLDS, len(patients))):
        fold = range(start, len(patients), FOLDS)
        without |= dict.fromkeys([patients[index] for index in fold], observed.fit(fold))
    return Calibration(whole.coefficients, whole.unseen, without)


class _Observed:
    """What was seen of patients: a sample of pixels, and classes outside the window."""

    def __init__(self, classes: int, patients: int, ignored: int, seed: int):
        self._sampler, self._ignored = calibration.Sampler(classes, seed), ignored
        self._labels, self._outside = np.zeros((2, patients, classes), np.int64)

    def add(self, prediction: Prediction, masks: np.ndarray, patient: int) -> None:
        outside = unseen(prediction.probabilities)
        inside_masks = np.where(outside, self._ignored, masks)
        self._sampler.add(
            calibration.judged(
                prediction.probabilities, prediction.confidence, inside_masks, self._ignored
            ),
            patient,
        )
        self._labels[patient] += self._count(masks)
        self._outside[patient] += self._count(masks[outside])

    def fit(self, left_out: Collection[int] = ()) -> Calibration:
        """The calibration on all patients but some."""
        kept = np.setdiff1d(np.arange(len(self._labels)), list(left_out))
        labels, outside = self._labels[kept].sum(axis=0), self._outside[kept].sum(axis=0)
        # The shares of the classes everywhere count as one pixel: they stand where none was seen.
        share = labels / labels.sum() if labels.any() else np.eye(len(labels))[0]
        coefficients = calibration.fit(self._sampler.sample(left_out), len(labels), PRIOR)
        return Calibration(coefficients, (outside + share) / (outside.sum() + 1))

    def _count(self, masks: np.ndarray) -> np.ndarray:
        counted = masks[masks != self._ignored]
        return np.bincount(counted, minlength=self._labels.shape[1])
