"""What a run was trained on."""

import json
from pathlib import Path

CPU = "CPU"


def device_of(run: Path) -> str:
    """The name of its GPUs, or `CPU`; runs of before this was kept had none."""
    file = run / "environment.json"
    gpus = json.loads(file.read_text()).get("gpus", "none") if file.is_file() else "none"
    return CPU if gpus == "none" else gpus
