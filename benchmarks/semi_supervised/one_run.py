"""One run of the comparison: a method, a number of labelled patients, a seed.

`run.py` starts it as a process of its own.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # run.py calls this file as a script

from docs.results.keep import made_with, rounded  # noqa: E402
from tfadvseg.cli.options import quiet_tensorflow, terminal  # noqa: E402
from tfadvseg.config import Config  # noqa: E402
from tfadvseg.errors import InputError  # noqa: E402
from tfadvseg.run_folder import RunFolder, write_text  # noqa: E402

MAY_DIFFER = ("data", "unlabelled", "epochs")  # paths; and epochs, which become steps


@dataclass(frozen=True)
class Job:
    """What to train, and where to.

    Attributes:
        method: its name, see `methods.find_method`.
        settings: of the configuration, those of the method included.
        out: the run folder.
        results: the folder of the small files that are kept.
    """

    method: str
    settings: Mapping[str, Any]
    out: str
    results: str

    @property
    def kept(self) -> Path:
        """Where the small files of this run go."""
        return Path(self.results) / Path(self.out).name

    def is_finished(self) -> bool:
        """Whether it was trained and kept.

        Raises:
            InputError: if what was begun or finished has other settings.
        """
        for folder in (Path(self.out), self.kept):
            if (folder / "config.yaml").is_file():
                check_same(folder, self.settings)
        return (self.kept / "metrics.json").is_file()


def check_same(folder: Path, settings: Mapping[str, Any]) -> None:
    """Refuses to take a run for one with other settings, whether these are given or defaults.

    Raises:
        InputError: naming the first that differs; paths may, and what the data decides.
    """
    saved, wanted = RunFolder(folder).read_config(), Config.from_mapping(settings)
    for name in (field.name for field in fields(Config)):
        was, now = getattr(saved, name), getattr(wanted, name)
        if now is not None and was != now and name not in MAY_DIFFER:
            raise InputError(
                f"{folder}: this run has {name} {was!r}, wanted is {now!r}; remove it, or give "
                "another folder"
            )


def train(job: Job) -> None:
    """Trains a run, or goes on with it, and keeps its small files."""
    with quiet_tensorflow():
        from benchmarks.semi_supervised.methods import find_method
        from tfadvseg.training import fit

    method, folder = find_method(job.method), RunFolder(Path(job.out))
    resume = bool(folder.checkpoints())
    fit(
        Config.from_mapping(job.settings),
        folder.path,
        resume=resume,
        overwrite=not resume,
        console=terminal(),
        build=method.build,
        examiner=method.examiner,
    )
    keep(folder, job.kept)


def keep(folder: RunFolder, target: Path) -> None:
    """Copies the small files of a run, without paths and single cases; `metrics.json` last."""
    target.mkdir(parents=True, exist_ok=True)
    config = folder.read_config()
    given = {name: getattr(config, name) for name in ("data", "unlabelled")}
    names = {name: Path(path).name for name, path in given.items() if path}
    write_text(target / "config.yaml", config.replace(**names).to_yaml())
    patients = {"patients": folder.read_json("split.json")["patients"]}
    write_text(target / "split.json", json.dumps(patients, indent=1) + "\n")
    write_text(target / "environment.json", made_with(folder.path))
    shutil.copy(folder.path / "history.csv", target)
    metrics = {**folder.read_json("metrics.json"), "per_case": []}
    write_text(target / "metrics.json", json.dumps(rounded(metrics)) + "\n")


def to_text(job: Job) -> str:
    """The job as an argument of this script."""
    return json.dumps(asdict(job))


if __name__ == "__main__":
    try:
        train(Job(**json.loads(sys.argv[1])))
    except InputError as error:
        sys.exit(f"Error: {error}")
