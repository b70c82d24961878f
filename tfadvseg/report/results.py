"""Reads finished runs: scores of every patient and class, of every case, and their history."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfadvseg.errors import InputError
from tfadvseg.metrics import SCORES, Scores, mean
from tfadvseg.surface import DISTANCES

MEASURES = (*SCORES, *DISTANCES)
FOREGROUND = "(foreground mean)"  # stands beside the names of the classes


@dataclass(frozen=True)
class Result:
    """What `metrics.json` says of a run.

    Attributes:
        split: on which cases it was evaluated.
        classes: names, background first.
        patients: patient to class name to scores and distances; `(foreground mean)` is the mean
            over the classes but background whose value is defined.
        cases: case to its patient and its Dice, the foreground mean; None where not defined.
        pooled: scores over all voxels of all cases.
        averaged: whether a patient's scores are means over his cases, as the file has no scores
            that are pooled over them.
        predicted: case to its predicted Dice, the foreground mean; None where not defined. Empty if
            the file has none.
        calibration: `calibration` of the file, None if it has none.
        quality: likewise.
    """

    split: str
    classes: tuple[str, ...]
    patients: Mapping[str, Mapping[str, Scores]]
    cases: Mapping[str, tuple[str, float | None]]
    pooled: Mapping[str, Any]
    averaged: bool
    predicted: Mapping[str, float | None] = field(default_factory=dict)
    calibration: Mapping[str, Any] | None = None
    quality: Mapping[str, Any] | None = None

    def values(self, name: str, measure: str) -> list[float]:
        """One value a patient, of a class or of the foreground, where it is defined."""
        found = (scores[name].get(measure) for scores in self.patients.values())
        return [value for value in found if value is not None]


def read_result(content: Mapping[str, Any]) -> Result:
    """Reads the content of `metrics.json`."""
    classes = tuple(content["pooled"]["per_class"])
    listed = content.get("per_patient") or _by_patient(content["per_case"], classes)
    return Result(
        content["split"],
        classes,
        {row["patient"]: _with_mean(row["per_class"], classes) for row in listed},
        {
            case["case"]: (
                case["patient"],
                _with_mean(case["per_class"], classes)[FOREGROUND]["dice"],
            )
            for case in content["per_case"]
        },
        content["pooled"],
        averaged="per_patient" not in content,
        predicted={
            case["case"]: case["predicted_dice"]["foreground"]
            for case in content["per_case"]
            if "predicted_dice" in case
        },
        calibration=content.get("calibration"),
        quality=content.get("quality"),
    )


def load_result(file: Path) -> Result:
    """Reads a `metrics.json`.

    Raises:
        InputError: if it cannot be read or lacks what `fit` writes.
    """
    content = read_json(file)
    try:
        return read_result(content)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{file}: expected the scores that `tfadvseg fit` writes, {error} is missing; "
            "evaluate the run again"
        ) from error


def read_json(file: Path) -> Any:
    """Reads a file of a sweep or a run.

    Raises:
        InputError: if it cannot be read or is not JSON.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged"
        raise InputError(
            f"{file}: expected JSON that tfadvseg wrote, {reason}; make it again"
        ) from error


def read_history(run: Path) -> list[dict[str, Any]]:
    """The rows of `history.csv`, numbers as numbers; what is blank has no key."""
    file = run / "history.csv"
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as stream:
        return [
            {name: text if name == "stage" else float(text) for name, text in row.items() if text}
            for row in csv.DictReader(stream)
        ]


def _by_patient(cases: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Means over the cases of each patient, for files without scores of patients."""
    patients: dict[str, list[Mapping[str, Scores]]] = {}
    for case in cases:
        patients.setdefault(case["patient"], []).append(case["per_class"])
    return [
        {
            "patient": patient,
            "per_class": {name: _mean_of([c[name] for c in own]) for name in classes},
        }
        for patient, own in patients.items()
    ]


def _with_mean(per_class: Mapping[str, Scores], classes: Sequence[str]) -> dict[str, Scores]:
    return {**per_class, FOREGROUND: _mean_of([per_class[name] for name in classes[1:]])}


def _mean_of(scores: Sequence[Scores]) -> Scores:
    return {measure: mean([score.get(measure) for score in scores]) for measure in MEASURES}
