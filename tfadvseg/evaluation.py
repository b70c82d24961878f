"""How good a model is: scores of its predictions, on the original grid of every case."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfadvseg import metrics
from tfadvseg.calibrating import calibrate
from tfadvseg.config import Config
from tfadvseg.data.folders.cases import Case, read_data_folder
from tfadvseg.data.geometry import slicing
from tfadvseg.data.io import read_image, read_mask
from tfadvseg.errors import DataWarning, InputError
from tfadvseg.inference.predictor import Predictor, SlicePredictor
from tfadvseg.inference.quality import Calibration
from tfadvseg.preparation import check_alike, check_cases
from tfadvseg.progress import Progress, silent
from tfadvseg.run_folder import RunFolder
from tfadvseg.self_assessment import SelfAssessment
from tfadvseg.surface import DISTANCES, surface_distances, surface_summary


def score_cases(
    predictor: SlicePredictor,
    cases: Sequence[Case],
    split: str,
    progress: Progress = silent,
    *,
    surfaces: bool = True,
    calibration: Calibration | None = None,
) -> dict[str, Any]:
    """Scores predictions against the masks of cases.

    Args:
        predictor: the model.
        cases: all with a mask.
        split: its name, for the result.
        progress: wraps the cases to show how far it has come.
        surfaces: also measure the distances between surfaces, which takes its time.
        calibration: also compare what the model says of its predictions with the truth.

    Returns:
        The content of `metrics.json`: scores pooled over all voxels (`pooled`), their mean over
        the cases (`mean_over_cases`), distances between surfaces (`surface`), how well the model
        knows how good it is (`calibration`, `quality`), and the scores and distances of every case
        and of every patient. See docs/metrics.md.
    """
    config = predictor.config
    names, ignored = config.classes or (), config.ignored()
    confusions: dict[str, np.ndarray] = {}  # by patient
    per_case: list[dict[str, Any]] = []
    assessment = SelfAssessment(predictor, calibration) if calibration else None
    for case in progress(cases, len(cases)):
        image, truth = read_image(case.image), read_mask(case.truth).voxels
        told: dict[str, Any] = {}
        if assessment is None:
            predicted = predictor.segment(image)
        else:
            predicted, told = assessment.segment(image, truth, case.patient)
        confusion = metrics.confusion_matrix(truth, predicted, len(names), ignored)
        confusions[case.patient] = confusions.get(case.patient, 0) + confusion
        scores = metrics.class_scores(confusion)
        if surfaces:
            cut = slicing(image.geometry, config.slice_axis)
            both = (cut.cut(truth), cut.cut(predicted))
            distances = surface_distances(*both, len(names), ignored, cut.spacing_mm)
            scores = [one | other for one, other in zip(scores, distances, strict=True)]
        per_class = dict(zip(names, scores, strict=True))
        row = {"case": case.name, "patient": case.patient, "per_class": per_class, **told}
        per_case.append(row)
    every = [case["per_class"] for case in per_case]
    total = sum(confusions.values(), np.zeros((len(names), len(names)), np.int64))
    means = [metrics.macro(scores[name] for scores in every) for name in names]
    return {
        "split": split,
        "cases": len(per_case),
        "pooled": metrics.summary(metrics.class_scores(total), names),
        "mean_over_cases": metrics.summary(means, names),
        **({"surface": surface_summary(every, names)} if surfaces else {}),
        **(assessment.to_json(per_case) if assessment else {}),
        "per_case": per_case,
        "per_patient": _per_patient(confusions, per_case, names),
    }


def evaluate(
    run: Path,
    *,
    data: Path | None = None,
    split: str | None = None,
    checkpoint: str = "best",
    predictor: Predictor | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Evaluates a run on one of its splits, or on another data folder.

    On the validation split, a best model without `calibration.json` gets it.

    Args:
        run: the run folder.
        data: another data folder: without `split`, all its cases with masks; with it, the cases
            of that split of the run, read from there.
        split: `test`, `val` or `train`; by default test where there is one, else val.
        checkpoint: `best` or `last`.
        predictor: with that model, where it is loaded already.
        progress: wraps the cases to show how far it has come.

    Raises:
        InputError: if the run, the model, the split or a case is missing.
    """
    folder = RunFolder(run)
    config = folder.read_config()
    predictor = predictor or Predictor.load(run, checkpoint)
    root = data or Path(str(config.data))
    if data is not None and split is None:
        cases, split = list(_labelled(folder, root).values()), "all"
        check_cases(cases, config)
        _warn_of_trained(folder, root, cases)
    else:
        split = split or ("test" if folder.read_json("split.json")["test"] else "val")
        if data is None and not root.exists():  # without --split, --data scores all its cases
            raise InputError(
                f"{root}: no such folder; say where the data is: --data DIR --split {split}"
            )
        cases = cases_of_split(folder, root, split)
    calibration = Calibration.find(run, checkpoint)
    if split == "val" and checkpoint == "best" and calibration is None:
        calibration = calibrate(predictor, cases, progress)
        calibration.write(run)
    return score_cases(predictor, cases, split, progress, calibration=calibration)


def _warn_of_trained(folder: RunFolder, root: Path, cases: Sequence[Case]) -> None:
    """Says how many of the cases of the run's own data it has learnt from."""
    if _is_own(root, folder.read_config()):
        names = set(folder.read_json("split.json")["labelled"])
        trained = sum(case.name in names for case in cases)
        warnings.warn(
            f"{trained} of the {len(cases)} cases with masks in {root} are those that the run was "
            "trained on: the scores are better than on new images; drop --data, or give --split",
            DataWarning,
            stacklevel=3,
        )


def cases_of_split(folder: RunFolder, root: Path, split: str) -> list[Case]:
    """The cases of one of a run's splits.

    Args:
        folder: of the run.
        root: the folder with its data.
        split: `test`, `val` or `train`.

    Raises:
        InputError: if the folder or a case is missing, or the split is empty.
    """
    cases = _labelled(folder, root)
    names = folder.read_json("split.json")["labelled" if split == "train" else split]
    missing = [name for name in names if name not in cases]
    if not names or missing:
        reason = f"{missing[0]} has no mask in {root}" if missing else "it has no case"
        raise InputError(f"{folder.path}: the {split} split cannot be evaluated: {reason}")
    found = [cases[name] for name in names]
    check_cases(found, folder.read_config())
    return found


def _labelled(folder: RunFolder, root: Path) -> dict[str, Case]:
    """The cases of a data folder that have a mask, by name."""
    if not root.exists():
        raise InputError(f"{root}: no such folder; say where the data is: --data DIR")
    config = folder.read_config()
    data = read_data_folder(root, **config.reading())
    if not _is_own(root, config):
        check_alike(data, config)
    return {case.name: case for case in data.cases if case.mask}


def _is_own(root: Path, config: Config) -> bool:
    """Whether a folder is the one that the run was trained on."""
    return root.resolve() == Path(str(config.data)).resolve()


def _per_patient(
    confusions: Mapping[str, np.ndarray],
    per_case: Sequence[Mapping[str, Any]],
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """Scores of each patient's voxels together, and the means of the distances of his cases."""
    rows = []
    for patient, confusion in confusions.items():
        own = [case["per_class"] for case in per_case if case["patient"] == patient]
        per_class = dict(zip(names, metrics.class_scores(confusion), strict=True))
        for name, scores in per_class.items():
            measured = [distance for distance in DISTANCES if distance in own[0][name]]
            scores |= {d: metrics.mean([case[name][d] for case in own]) for d in measured}
        rows.append({"patient": patient, "cases": len(own), "per_class": per_class})
    return rows
