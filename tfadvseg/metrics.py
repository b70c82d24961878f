"""Segmentation metrics from confusion matrices: MIOU, Dice, specificity, precision, recall.

A value that is not defined is None, never 0 or 1: precision of a class that was never predicted,
recall of a class that is not there, IoU and Dice where a class is in neither. A macro mean is
taken over the classes whose value is defined.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np

Scores: TypeAlias = dict[str, float | None]

SCORES = ("miou", "dice", "specificity", "precision", "recall")


def confusion_matrix(
    truth: np.ndarray, predicted: np.ndarray, num_classes: int, ignore_label: int
) -> np.ndarray:
    """Counts pixels by true and predicted class.

    Args:
        truth: (N, H, W) class indices; pixels with `ignore_label` are not counted.
        predicted: (N, H, W) class indices.
        num_classes: C.
        ignore_label: value of `truth` that counts nowhere.

    Returns:
        (C, C) int64; rows are the truth, columns the prediction.
    """
    counts = np.zeros(num_classes**2, np.int64)
    for labels, found in zip(truth, predicted, strict=True):  # slice by slice: little memory
        valid = labels != ignore_label
        pairs = labels[valid].astype(np.int64) * num_classes + found[valid]
        counts += np.bincount(pairs, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def class_scores(confusion: np.ndarray) -> list[Scores]:
    """The scores of every class, paper Eq. (7) to (10), with Dice's misprint mended.

    Args:
        confusion: (C, C); rows are the truth, columns the prediction.

    Returns:
        One dict a class: miou TP/(TP+FP+FN), dice 2TP/(2TP+FP+FN), specificity TN/(TN+FP),
        precision TP/(TP+FP), recall TP/(TP+FN); None where the denominator is 0.
    """
    tp = np.diag(confusion)
    fp = confusion.sum(axis=0) - tp
    fn = confusion.sum(axis=1) - tp
    tn = confusion.sum() - tp - fp - fn
    values = {
        "miou": (tp, tp + fp + fn),
        "dice": (2 * tp, 2 * tp + fp + fn),
        "specificity": (tn, tn + fp),
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
    }
    return [
        {name: _ratio(above[c], below[c]) for name, (above, below) in values.items()}
        for c in range(len(confusion))
    ]


def macro(scores: Iterable[Scores]) -> Scores:
    """The mean of each score over those that are defined; None where none is."""
    scores = list(scores)
    return {name: mean([score[name] for score in scores]) for name in SCORES}


def summary(per_class: Sequence[Scores], names: Sequence[str]) -> dict[str, object]:
    """Macro means over the foreground classes and over all, and every class by its name."""
    return {
        "foreground": macro(per_class[1:]),
        "all": macro(per_class),
        "per_class": dict(zip(names, per_class, strict=True)),
    }


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of the values that are defined; None where none is."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def _ratio(above: np.int64, below: np.int64) -> float | None:
    return float(above / below) if below else None
