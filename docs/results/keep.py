"""Keeps the small files of a sweep beside this script.

Usage: python docs/results/keep.py SWEEP NAME

Copies the plan, without paths, and of every finished run the history, the scores of patients and
what it was made with. The scores of single images, the models and the logs stay behind; numbers are
rounded to six digits.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MADE_WITH = ("cpus", "gpus", "tensorflow", "keras", "numpy")  # what is kept of environment.json


def main() -> None:
    """Copies what is finished."""
    sweep, target = Path(sys.argv[1]), HERE / "sweeps" / sys.argv[2]
    target.mkdir(parents=True, exist_ok=True)
    plan = json.loads((sweep / "plan.json").read_text())
    for given in (plan, plan["settings"]):
        given |= {n: Path(given[n]).name for n in ("data", "unlabelled") if given.get(n)}
    (target / "plan.json").write_text(json.dumps(plan, indent=1) + "\n")
    if (sweep / "failures.json").is_file():
        shutil.copy(sweep / "failures.json", target)
    for file in sorted(sweep.glob("runs/*/metrics.json")):
        metrics = {**json.loads(file.read_text()), "per_case": []}
        run = target / "runs" / file.parent.name
        run.mkdir(parents=True, exist_ok=True)
        (run / "metrics.json").write_text(json.dumps(rounded(metrics)) + "\n")
        (run / "environment.json").write_text(made_with(file.parent))
        shutil.copy(file.parent / "history.csv", run)
    print(f"Wrote {target}")


def made_with(run: Path) -> str:
    """What is kept of the `environment.json` of a run: nothing that is the machine's alone."""
    environment = json.loads((run / "environment.json").read_text())
    return json.dumps({n: environment[n] for n in MADE_WITH if n in environment}, indent=1) + "\n"


def rounded(value: Any) -> Any:
    """The same with six digits a number."""
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
