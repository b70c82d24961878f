"""fit: data -> networks -> compile -> rounds of training and validation -> run folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from tfadvseg.building import build_model
from tfadvseg.calibrating import calibrate
from tfadvseg.config import DEFAULT_WINDOW, Config
from tfadvseg.data.folders.split import Split
from tfadvseg.data.phantom import write_phantom
from tfadvseg.errors import InputError
from tfadvseg.evaluation import evaluate
from tfadvseg.inference.predictor import Predictor
from tfadvseg.models import AdversarialSegmenter
from tfadvseg.preparation import prepare
from tfadvseg.progress import bar
from tfadvseg.report.run_report import write_run_report
from tfadvseg.run_folder import RunFolder, environment, write_text
from tfadvseg.training.pseudo_labels import Examiner
from tfadvseg.training.session import Session


def fit(
    config: Config,
    out: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    console: Console | None = None,
    build: Callable[[Config], AdversarialSegmenter] = build_model,
    examiner: type[Examiner] = Examiner,
) -> dict[str, Any] | None:
    """Trains by a configuration and leaves a run folder.

    Args:
        config: the settings; with `resume`, those of the run are taken instead, but its epochs
            have to be as many.
        out: the run folder.
        resume: go on from the last checkpoint of the run in `out`.
        overwrite: replace a run in `out`.
        console: where to show progress; nowhere by default.
        build: makes and compiles the model; for trainers of one's own, which are registered with
            Keras so that `resume` can load them (`building.build_trainer`).
        examiner: judges the pseudo-labels of a `TeacherSegmenter` before every round.

    Returns:
        The content of `metrics.json`; None where there is no case to evaluate.

    Raises:
        InputError: if the configuration, the data or the folder is wrong; nothing is changed.
        TrainingError: if a loss is no number, or a checkpoint cannot be written.
    """
    console = console or Console(quiet=True)
    folder = RunFolder(out)
    folder.check(resume=resume, overwrite=overwrite)
    if resume:
        config = _as_begun(folder, config.epochs)
    elif config.data is None:
        config = config.replace(data=str(_phantom_beside(out)))
        console.print(f"No data is given: training on a drawn phantom, {config.data}", markup=False)
    _check_data_outside(config, out)
    config, split = prepare(config, bar(console, "Reading files"))
    _enter(folder, config, split, resume=resume)
    try:
        Session(folder, config, split, console, build=build, examiner=examiner).train()
        return finish(folder, split, console)
    except KeyboardInterrupt:
        console.print(_stopped(folder), soft_wrap=True, markup=False)
        raise


def _as_begun(folder: RunFolder, epochs: int | None) -> Config:
    """The settings of the run; with other epochs asked for, `_enter` refuses their steps."""
    config = folder.read_config()
    # What the data decided is in it, and without a window that was the default.
    config = config.replace(window=config.window or DEFAULT_WINDOW)
    return config if epochs is None else config.replace(steps=None, epochs=epochs)


def _phantom_beside(out: Path) -> Path:
    """The generated phantom of a run without data, drawn where it is not there yet."""
    data = out.with_name(f"{out.name}-data")
    if not data.exists():
        write_phantom(data)
    return data


def _check_data_outside(config: Config, out: Path) -> None:
    """Refuses data inside the run folder, which `--overwrite` would delete."""
    for name in ("data", "unlabelled"):
        path = getattr(config, name)
        if path is not None and Path(path).resolve().is_relative_to(out.resolve()):
            raise InputError(
                f"{name}: {path} lies inside the run folder {out}; choose another --out"
            )


def _enter(folder: RunFolder, config: Config, split: Split, *, resume: bool) -> None:
    """Writes what the run is, or on resume checks that it is still the same."""
    if resume:
        steps = folder.read_config().steps
        if config.steps != steps:
            raise InputError(
                f"--resume: epochs: expected those of {folder.path}, {steps} steps, received "
                f"{config.steps} steps; a run goes on with its own settings: drop epochs, or start "
                "another run"
            )
        if folder.read_json("split.json") != split.to_json():
            raise InputError(
                f"{folder.path}: the cases in {config.data} are not those that this run began "
                "with; bring them back, or start another run"
            )
        return
    made_with = environment()  # takes a while: who stops it there leaves no half of a run
    folder.create()
    write_text(folder.path / "config.yaml", config.to_yaml())
    folder.write_json("split.json", split.to_json())
    folder.write_json("environment.json", made_with)


def _stopped(folder: RunFolder) -> str:
    """What is safe of a run that its user stopped, and how to go on."""
    kept = folder.checkpoints()
    safe = f"the checkpoint of step {int(kept[-1].name)} is safe" if kept else "no checkpoint yet"
    mend = "go on" if kept else "begin again"
    return f"Stopped; {safe}: {mend} with tfadvseg fit --out {folder.path} --resume"


def finish(folder: RunFolder, split: Split, console: Console) -> dict[str, Any] | None:
    """Calibrates the best model, evaluates it on the test split, else validation, and reports."""
    if not (split.test or split.val):
        console.print("No validation or test patient: best.keras is the last model, unjudged.")
        write_run_report(folder.path)
        return None
    best = Predictor.load(folder.path)
    if split.val:
        calibrate(best, split.val, bar(console, "Calibrating")).write(folder.path)
    result = evaluate(folder.path, predictor=best, progress=bar(console, "Evaluating"))
    folder.write_json("metrics.json", result)
    write_run_report(folder.path, predictor=best)
    return result
