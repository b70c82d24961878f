"""What is told of each predicted image beside its mask."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfadvseg.run_folder import write_whole

QUALITY = "quality.csv"


@dataclass(frozen=True)
class Row:
    """The summary of one image.

    Attributes:
        case: its name without ending.
        file: its name.
        size: height and width in pixels; before them the number of slices, for all but a single
            picture.
        shares: of each class.
        confidence: mean chance that a voxel is right; None where nothing was asked about it.
        predicted_dice: what to expect, see `CaseQuality.dice`; likewise.
    """

    case: str
    file: str
    size: tuple[int, ...]
    shares: tuple[float, ...]
    confidence: float | None = None
    predicted_dice: Mapping[str, Any] | None = None


def write_quality(file: Path, rows: Sequence[Row]) -> None:
    """Writes a table of what to expect of each mask.

    Its columns are `case`, `confidence` (the mean chance that a voxel is right), `predicted_dice`
    (of all classes but background together) and `predicted_dice NAME` of each, see
    `CaseQuality.dice`; blank where not defined.
    """

    def write(path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            for number, row in enumerate(rows):
                told = row.predicted_dice or {"foreground": None, "per_class": {}}
                if number == 0:
                    names = (f"predicted_dice {name}" for name in told["per_class"])
                    writer.writerow(["case", "confidence", "predicted_dice", *names])
                values = (row.confidence, told["foreground"], *told["per_class"].values())
                writer.writerow([row.case, *("" if v is None else f"{v:.4f}" for v in values)])

    write_whole(file, write)
