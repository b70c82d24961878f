"""The run folder: what lies where, written so that nothing is ever lost or half-written."""

from __future__ import annotations

import csv
import json
import os
import platform
import shutil
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from tfadvseg import __version__
from tfadvseg.config import Config, read_settings
from tfadvseg.errors import InputError, TrainingError

PACKAGES = ("tensorflow", "keras", "numpy", "opencv-python-headless", "SimpleITK")


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run, and how its files are written.

    A checkpoint is a folder `checkpoints/<step>` with the model, both optimizers and the state of
    the run; it appears whole or not at all.
    """

    path: Path

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Refuses a folder that may not be written to.

        Raises:
            InputError: if it exists and neither `resume` nor `overwrite` is wanted, if there is
                nothing to resume, or if it holds what is not a run.
        """
        is_run = (self.path / "config.yaml").is_file()
        if resume and not is_run:
            raise InputError(f"{self.path}: no run to resume; start one without --resume")
        if resume or not self.path.exists():
            return
        if not self.path.is_dir() or any(self.path.iterdir()) and not (is_run and overwrite):
            mend = "choose another --out"
            if is_run:
                mend += ", go on with --resume, or replace it with --overwrite"
            raise InputError(f"{self.path} exists{'' if is_run else ' and is not a run'}; {mend}")

    def create(self) -> None:
        """Makes the folder empty; what `check` let pass is replaced."""
        if self.path.exists():
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True)

    def read_config(self) -> Config:
        """The configuration of the run.

        Raises:
            InputError: if this is not a run folder.
        """
        file = self.path / "config.yaml"
        if not file.is_file():
            raise InputError(
                f"{self.path}: not a run folder (no config.yaml); expected one that "
                "`tfadvseg fit --out` made"
            )
        return Config.from_mapping(read_settings(file))

    def model(self, checkpoint: str) -> Path:
        """The file of a model: `best` (on the validation patients) or `last`.

        Raises:
            InputError: if it is not there, or damaged.
        """
        file = self.path / f"{checkpoint}.keras"
        if not file.is_file():
            raise InputError(f"{file}: no such model; train first, or go on with fit --resume")
        check_model(file)
        return file

    def read_json(self, name: str) -> Any:
        """The content of a JSON file of the run."""
        return json.loads((self.path / name).read_text(encoding="utf-8"))

    def read_outliers(self) -> dict[str, Any]:
        """Which unlabelled patients are unlike the labelled ones (`names`), and if `excluded`."""
        known = (self.path / "outliers.json").is_file()
        return self.read_json("outliers.json") if known else {"names": [], "excluded": False}

    def write_json(self, name: str, content: Any) -> None:
        """Writes a JSON file of the run."""
        write_text(self.path / name, json.dumps(content, indent=1) + "\n")

    def write_history(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes `history.csv`; what a row does not have stays blank."""
        columns = list(dict.fromkeys(name for row in rows for name in row))

        def write(path: Path) -> None:
            with path.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, columns)
                writer.writeheader()
                writer.writerows(rows)

        write_whole(self.path / "history.csv", write)

    def save_checkpoint(self, model: Any, step: int, state: dict[str, Any], *, best: bool) -> None:
        """Saves all that resume needs, `last.keras` and, where it is the best, `best.keras`.

        Raises:
            OSError: if the disk is full or cannot be written; the older checkpoint is untouched.
        """
        folder = self.path / "checkpoints"
        temporary, final = folder / "writing", folder / f"{step:08d}"
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            model.save(temporary / "model.keras")
            write_text(temporary / "state.json", json.dumps(state))
            names = ["last.keras", *(["best.keras"] if best else [])]
            if best:  # it is of the model that was the best before
                (self.path / "calibration.json").unlink(missing_ok=True)
            for name in names:
                write_whole(
                    self.path / name, lambda path: shutil.copyfile(temporary / "model.keras", path)
                )
            shutil.rmtree(final, ignore_errors=True)
            temporary.rename(final)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        for old in self.checkpoints()[:-1]:
            shutil.rmtree(old)

    def cannot_write(self, step: int, error: OSError) -> TrainingError:
        """What to say where a write failed: what is safe, and the mend."""
        kept = self.checkpoints()
        return TrainingError(
            f"{self.path}: the checkpoint of step {step} cannot be written "
            f"({error.strerror or error}); "
            + (f"that of step {int(kept[-1].name)} is safe" if kept else "there is none yet")
            + ": make room, then go on with --resume"
        )

    def checkpoints(self) -> list[Path]:
        """The folders of the finished checkpoints, oldest first."""
        return sorted((self.path / "checkpoints").glob("[0-9]*"))


def check_model(file: Path) -> None:
    """Refuses a damaged model file, of which Keras says that it is not there.

    Raises:
        InputError: if it is not whole.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            whole = archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
        whole = False
    if not whole:
        raise InputError(
            f"{file}: truncated or damaged; copy it again from where it is whole, or train anew "
            "with fit --overwrite"
        )


def environment() -> dict[str, Any]:
    """What the run was made with."""
    return {
        "tfadvseg": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "gpus": ", ".join(_gpus()) or "none",
        **{name: metadata.version(name) for name in PACKAGES},
    }


def _gpus() -> list[str]:
    """The names of the GPUs that TensorFlow uses."""
    import tensorflow as tf

    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    return [own.get("device_name", "GPU") for own in details]


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Lets `write` make a temporary file beside `path`, and renames it when it is complete."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
