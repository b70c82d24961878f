"""Keeps the small files of a sweep beside this script.

Usage: python docs/results/keep.py SWEEP NAME

Copies the plan and, of every finished run, the history and the scores of patients. The scores of
single images, the models and the logs stay behind; numbers are rounded to six digits.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main() -> None:
    """Copies what is finished."""
    sweep, target = Path(sys.argv[1]), HERE / "sweeps" / sys.argv[2]
    target.mkdir(parents=True, exist_ok=True)
    for name in ("plan.json", "failures.json"):
        if (sweep / name).is_file():
            shutil.copy(sweep / name, target / name)
    for file in sorted(sweep.glob("runs/*/metrics.json")):
        metrics = {**json.loads(file.read_text()), "per_case": []}
        run = target / "runs" / file.parent.name
        run.mkdir(parents=True, exist_ok=True)
        (run / "metrics.json").write_text(json.dumps(rounded(metrics)) + "\n")
        shutil.copy(file.parent / "history.csv", run)
    print(f"Wrote {target}")


def rounded(value: Any) -> Any:
    """The same with six digits a number."""
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
