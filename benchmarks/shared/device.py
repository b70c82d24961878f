"""What a run was trained on."""

import json
from pathlib import Path

from tfadvseg.config import read_settings

CPU = "CPU"


def device_of(run: Path) -> str:
    """The name of its GPUs, or `CPU`; runs of before this was kept had none."""
    file = run / "environment.json"
    gpus = json.loads(file.read_text()).get("gpus", "none") if file.is_file() else "none"
    return CPU if gpus == "none" else gpus


def precision_of(run: Path) -> str | None:
    """`float32` or `bfloat16`; None where the settings were not kept."""
    file = run / "config.yaml"
    return read_settings(file).get("precision") if file.is_file() else None
