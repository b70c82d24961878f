"""How good a model is: scores of its predictions, on the original grid of every case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfadvseg import metrics
from tfadvseg.data.cases import Case, read_data_folder
from tfadvseg.data.io import read_image, read_mask
from tfadvseg.errors import InputError
from tfadvseg.inference import Predictor
from tfadvseg.preparation import check_cases
from tfadvseg.progress import Progress, silent
from tfadvseg.run_folder import RunFolder


def score_cases(
    predictor: Predictor, cases: Sequence[Case], split: str, progress: Progress = silent
) -> dict[str, Any]:
    """Scores predictions against the masks of cases.

    Args:
        predictor: the model.
        cases: all with a mask.
        split: its name, for the result.
        progress: wraps the cases to show how far it has come.

    Returns:
        The content of `metrics.json`: scores pooled over all pixels (`pooled`), their mean over
        the cases (`mean_over_cases`), and those of every case. See docs/metrics.md.
    """
    names = predictor.config.classes or ()
    total = np.zeros((len(names), len(names)), np.int64)
    per_case = []
    for case in progress(cases, len(cases)):
        confusion = metrics.confusion_matrix(
            read_mask(_mask_of(case)),
            predictor(read_image(case.image)).mask,
            len(names),
            predictor.config.ignored(),
        )
        total += confusion
        scores = dict(zip(names, metrics.class_scores(confusion), strict=True))
        per_case.append({"case": case.name, "patient": case.patient, "per_class": scores})
    means = [metrics.macro(case["per_class"][name] for case in per_case) for name in names]
    return {
        "split": split,
        "cases": len(per_case),
        "pooled": metrics.summary(metrics.class_scores(total), names),
        "mean_over_cases": metrics.summary(means, names),
        "per_case": per_case,
    }


def evaluate(
    run: Path,
    *,
    data: Path | None = None,
    split: str | None = None,
    checkpoint: str = "best",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Evaluates a run on one of its splits, or on another data folder.

    Args:
        run: the run folder.
        data: another data folder: without `split`, all its cases with masks; with it, the cases
            of that split of the run, read from there.
        split: `test`, `val` or `train`; by default test where there is one, else val.
        checkpoint: `best` or `last`.
        progress: wraps the cases to show how far it has come.

    Raises:
        InputError: if the run, the model, the split or a case is missing.
    """
    folder = RunFolder(run)
    config = folder.read_config()
    predictor = Predictor.load(run, checkpoint)
    root = data or Path(str(config.data))
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; say where the data is: --data DIR --split test")
    cases = {c.name: c for c in read_data_folder(root, config.patient_pattern).cases if c.mask}
    if data is not None and split is None:
        check_cases(list(cases.values()), config)
        return score_cases(predictor, list(cases.values()), "all", progress)
    saved = folder.read_json("split.json")
    split = split or ("test" if saved["test"] else "val")
    names = saved["labelled" if split == "train" else split]
    missing = [name for name in names if name not in cases]
    if not names or missing:
        reason = f"{missing[0]} has no mask in {root}" if missing else "it has no case"
        raise InputError(f"{run}: the {split} split cannot be evaluated: {reason}")
    check_cases([cases[name] for name in names], config)
    return score_cases(predictor, [cases[name] for name in names], split, progress)


def _mask_of(case: Case) -> Path:
    if case.mask is None:
        raise InputError(f"{case.image}: expected a mask to compare with, it has none")
    return case.mask
