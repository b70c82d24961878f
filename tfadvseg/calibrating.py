"""How often a model is right, found out on labelled patients that S did not train on."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from tfadvseg import calibration
from tfadvseg.data.folders.cases import Case
from tfadvseg.data.geometry import slicing
from tfadvseg.data.io import read_image, read_mask
from tfadvseg.inference.predictor import Prediction, SlicePredictor
from tfadvseg.inference.quality import Calibration, CaseQuality, unseen
from tfadvseg.progress import Progress, silent

FOLDS = 5  # of the patients, to judge each by the others


def calibrate(
    predictor: SlicePredictor, cases: Sequence[Case], progress: Progress = silent
) -> Calibration:
    """Fits the calibration of a model, on all patients and without those of each fold.

    It goes over the cases twice: what is to be expected of them takes the calibration of pixels.

    Args:
        predictor: the model.
        cases: of the validation patients, all with a mask.
        progress: wraps the cases to show how far it has come.
    """
    patients = list(dict.fromkeys(case.patient for case in cases))
    folds = [patients[start::FOLDS] for start in range(min(FOLDS, len(patients)))]
    observed = _observe(predictor, cases, patients, progress)
    whole, *apart = (observed.fit(map(patients.index, fold)) for fold in [[], *folds])
    fair = {patient: found for fold, found in zip(folds, apart, strict=True) for patient in fold}
    expected, present = _expect(predictor, cases, fair, progress)

    def finished(found: Calibration, left_out: Collection[str]) -> Calibration:
        kept = np.array([case.patient not in left_out for case in cases])
        presence = calibration.fit_presence(expected[kept], present[kept])
        return dataclasses.replace(found, presence=presence)

    without: dict[str, Calibration] = {}
    for fold, found in zip(folds, apart, strict=True):
        without |= dict.fromkeys(fold, finished(found, fold))
    return dataclasses.replace(finished(whole, ()), without=without)


def _observe(
    predictor: SlicePredictor, cases: Sequence[Case], patients: list[str], progress: Progress
) -> _Observed:
    """A sample of the pixels of all cases."""
    config = predictor.config
    observed = _Observed(len(config.classes or ()), len(patients), config.ignored(), config.seed)
    for case in progress(cases, len(cases)):
        image, mask = read_image(case.image), read_mask(case.truth).voxels
        truth = slicing(image.geometry, config.slice_axis).cut(mask)
        for part, prediction in predictor.stream(image):
            observed.add(prediction, truth[part], patients.index(case.patient))
    return observed


def _expect(
    predictor: SlicePredictor,
    cases: Sequence[Case],
    fair: Mapping[str, Calibration],
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of each class to be expected of each case, (N, C), and whether it has any."""
    expected, present = [], []
    for case in progress(cases, len(cases)):
        quality = CaseQuality(fair[case.patient])
        for _, prediction in predictor.stream(read_image(case.image)):
            quality.add(prediction)
        expected.append(quality.expected)
        present.append(np.isin(np.arange(len(quality.expected)), read_mask(case.truth).voxels))
    return np.stack(expected), np.stack(present)


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

    def fit(self, left_out: Iterable[int] = ()) -> Calibration:
        """The calibration of pixels on all patients but some."""
        left_out = list(left_out)
        kept = np.setdiff1d(np.arange(len(self._labels)), left_out)
        labels, outside = self._labels[kept].sum(axis=0), self._outside[kept].sum(axis=0)
        # The shares of the classes everywhere count as one pixel: they stand where none was seen.
        share = labels / labels.sum() if labels.any() else np.eye(len(labels))[0]
        coefficients = calibration.fit(self._sampler.sample(left_out), len(labels))
        return Calibration(coefficients, (outside + share) / (outside.sum() + 1))

    def _count(self, masks: np.ndarray) -> np.ndarray:
        counted = masks[masks != self._ignored]
        return np.bincount(counted, minlength=self._labels.shape[1])
