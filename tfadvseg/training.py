"""fit: data -> networks -> compile -> rounds of training and validation -> run folder."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console

from tfadvseg.building import arithmetic, build_model
from tfadvseg.calibrating import calibrate
from tfadvseg.config import USE_UNLABELLED, Config
from tfadvseg.data.augment import geometric
from tfadvseg.data.folders.cases import Case
from tfadvseg.data.folders.split import Split
from tfadvseg.data.phantom import write_phantom
from tfadvseg.data.pipeline import Pool, load_pool, training_stream
from tfadvseg.data.preprocess import Preprocessing
from tfadvseg.errors import InputError, TrainingError
from tfadvseg.evaluation import evaluate, score_cases
from tfadvseg.health import harms, troubles
from tfadvseg.inference.predictor import Predictor
from tfadvseg.models import AdversarialSegmenter, TeacherSegmenter
from tfadvseg.monitoring import StepBar, TensorBoard
from tfadvseg.outliers import find_outliers
from tfadvseg.preparation import prepare
from tfadvseg.progress import bar
from tfadvseg.pseudo_labels import TARGET, Examiner
from tfadvseg.report.run_report import write_run_report
from tfadvseg.run_folder import RunFolder, environment, write_text


@dataclass(frozen=True)
class Round:
    """Steps from `start` to `stop` in one stage, then validation and a checkpoint."""

    start: int
    stop: int
    stage: str


@dataclass(frozen=True)
class Pools:
    """The images of a run in memory.

    Attributes:
        labelled: with masks.
        unlabelled: without, where the recipe uses them.
        held_out: those of the validation patients, where pseudo-labels are judged on them.
    """

    labelled: Pool
    unlabelled: Pool | None
    held_out: Pool | None

    def leaving_out(self, patients: Sequence[str]) -> Pools:
        """The same without some of the unlabelled patients."""
        return replace(self, unlabelled=self.unlabelled and self.unlabelled.without(patients))


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
        config: the settings; with `resume`, those of the run are taken instead.
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
        config = folder.read_config()
    elif config.data is None:
        config = config.replace(data=str(_phantom_beside(out)))
    _check_data_outside(config, out)
    config, split = prepare(config, bar(console, "Reading files"))
    _enter(folder, config, split, resume=resume)
    _train(folder, config, split, console, build, examiner)
    return _finish(folder, split, console)


def rounds(config: Config, start: int = 0) -> Iterator[Round]:
    """The rounds from a step to the end; they meet where the semi-supervised stage begins."""
    total, warmup = config.total_steps(0), config.by_recipe().warmup or 0
    every = config.validate_every or max(50, math.ceil(total / 20))
    switch = round(warmup * total) if config.recipe in USE_UNLABELLED else total
    ends = sorted({*range(every, total, every), switch, total} - {0})
    for stop in ends:
        if stop > start:
            adversarial = "supervised" if config.recipe == "supervised" else "adversarial"
            yield Round(start, stop, "semi-supervised" if start >= switch else adversarial)
            start = stop


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
        if folder.read_json("split.json") != split.to_json():
            raise InputError(
                f"{folder.path}: the cases in {config.data} are not those that this run began "
                "with; bring them back, or start another run"
            )
        return
    folder.create()
    write_text(folder.path / "config.yaml", config.to_yaml())
    folder.write_json("split.json", split.to_json())
    folder.write_json("environment.json", environment())


def _train(
    folder: RunFolder,
    config: Config,
    split: Split,
    console: Console,
    build: Callable[[Config], AdversarialSegmenter],
    examining: type[Examiner],
) -> None:
    """Runs the rounds that are not done yet."""
    keras.utils.set_random_seed(config.seed)  # the order of the images depends on it too
    checkpoints = folder.checkpoints()
    state: dict[str, Any] = {"step": 0, "best": None, "stale": 0, "history": [], "trust": []}
    if checkpoints:
        with arithmetic(config):
            model = keras.models.load_model(checkpoints[-1] / "model.keras")
        state |= folder.read_json(f"checkpoints/{checkpoints[-1].name}/state.json")
    else:
        model = build(config)
    _describe(config, split, model, console)
    todo = list(rounds(config, state["step"]))
    if not todo or _is_stale(config, state):
        console.print("Nothing left to train.")
        return
    pools = _load(config, split, console, held_out=isinstance(model, TeacherSegmenter))
    if state.get("left_out"):
        pools = pools.leaving_out(state["left_out"])
    held_out = pools.held_out
    examiner = examining(model, held_out, config.ignored()) if held_out else None
    predictor = Predictor(model, config)
    board = TensorBoard(folder.path / "tensorboard", split.val or split.labelled)
    steps = StepBar(console, config.total_steps(0), state["step"])
    with steps.progress:
        for planned in todo:
            if planned.stage == "semi-supervised" and "outliers" not in state:
                pools = _compare(model, config, pools, state, console)
            part = replace(planned, stage="adversarial") if state.get("given_up") else planned
            row = _run_round(model, part, config, pools, examiner, steps, state)
            scores = score_cases(predictor, split.val, "val", surfaces=False) if split.val else None
            _note(row, scores, model, state)
            best = state["stale"] == 0
            if harms(state["history"]) and not state.get("given_up"):
                _give_up(folder, model, state, console)
            try:
                folder.save_checkpoint(model, part.stop, state, best=best)
                folder.write_history(state["history"])
                if state.get("outliers"):
                    folder.write_json("outliers.json", state["outliers"])
                if state["trust"]:
                    folder.write_json("trust.json", {"target": TARGET, "rounds": state["trust"]})
                board.write(row, predictor)
            except OSError as error:
                raise folder.cannot_write(part.stop, error) from error
            console.print(_line(row, config, best=best and scores is not None))
            if "d_fake_unlabelled" in row:
                console.print(_trust_line(row, config), highlight=False)
            _tell_troubles(state, console)
            if _is_stale(config, state):
                console.print(f"Stopped early: {state['stale']} validations without improvement.")
                break


def _compare(
    model: AdversarialSegmenter,
    config: Config,
    pools: Pools,
    state: dict[str, Any],
    console: Console,
) -> Pools:
    """Looks for unlabelled patients who are unlike the labelled ones, before they are trusted."""
    known = [pool for pool in (pools.labelled, pools.held_out) if pool]
    state["outliers"] = None
    if pools.unlabelled is None or len(set(np.concatenate([p.patients for p in known]))) < 2:
        console.print("Outliers are not looked for: that takes two labelled patients or more.")
        return pools
    found = find_outliers(model, pools.unlabelled, known)
    state["outliers"] = asdict(found) | {"excluded": config.exclude_outliers}
    if not found.outliers:
        return pools
    if not config.exclude_outliers:
        console.print(f"Warning: {found.text()}. Leave them out with --exclude-outliers.")
        return pools
    console.print(f"{found.text()}. They are left out.")
    state["left_out"] = found.outliers
    if len(found.outliers) == len(found.patients):
        state["given_up"] = True
        console.print("Nobody is left: going on without unlabelled images.")
    return pools.leaving_out(found.outliers)


def _run_round(
    model: AdversarialSegmenter,
    part: Round,
    config: Config,
    pools: Pools,
    examiner: Examiner | None,
    steps: StepBar,
    state: dict[str, Any],
) -> dict[str, Any]:
    """Trains the steps of one round; returns its row of the history."""
    # Before the semi-supervised stage, unlabelled images cost time and change nothing, unless
    # the discriminator or L_adv takes them.
    early = config.lambda_adv_unlabelled > 0 or config.discriminator_fakes == "both"
    wanted = part.stage == "semi-supervised" or early
    trust: dict[str, float] = {}
    if examiner is not None and part.stage == "semi-supervised":
        found, names = examiner.renew(), config.classes or ()
        trust = found.to_row(names)
        state["trust"].append({"step": part.start, "classes": found.to_json(names)})
    stream = training_stream(
        pools.labelled,
        pools.unlabelled if wanted else None,
        batch_size=config.batch_size,
        unlabelled_batch_size=config.unlabelled_batch_size,
        augmentations=config.augment,
        unlabelled_augmentations=geometric(config.augment) if model.weak_unlabelled else None,
        seed=config.seed,
        start_step=part.start,
    )
    began = time.perf_counter()
    try:
        history = model.fit(
            stream,
            steps_per_epoch=part.stop - part.start,
            verbose=0,
            shuffle=False,  # the stream is shuffled
            callbacks=[steps],
        )
    except tf.errors.InvalidArgumentError as error:
        raise _not_finite(error, model) from error
    seconds = time.perf_counter() - began
    losses = {name: float(values[0]) for name, values in history.history.items()}
    speed = (part.stop - part.start) / seconds
    return {"step": part.stop, "stage": part.stage, **losses, **trust, "steps_per_second": speed}


def _not_finite(error: Exception, model: AdversarialSegmenter) -> Exception:
    """Names the step and the loss that is not a number; other errors stay what they are."""
    found = re.search(r"(\w*loss) : Tensor had (\w+)", str(error))
    if not found:
        return error
    step = int(model.optimizer.iterations) + 1
    return TrainingError(
        f"step {step}: {found.group(1)} is {found.group(2)}; no weight was changed by this step. "
        "Lower learning_rate, or look for extreme intensities in the images"
    )


def _note(
    row: dict[str, Any],
    scores: dict[str, Any] | None,
    model: AdversarialSegmenter,
    state: dict[str, Any],
) -> None:
    """Adds the validation to the row and the row to the state; `stale` is 0 where it is best."""
    row["learning_rate"] = float(model.optimizer.learning_rate)
    score: float | None = None
    if scores is not None:
        foreground = scores["pooled"]["foreground"]
        row |= {"val_dice": foreground["dice"], "val_miou": foreground["miou"]}
        score = foreground["dice"]
    improved = scores is None or state["best"] is None or (score or 0) > state["best"]
    state["best"] = (score or 0) if improved else state["best"]
    state["stale"] = 0 if improved else state["stale"] + 1
    state["step"] = row["step"]
    state["history"].append(row)


def _give_up(
    folder: RunFolder, model: AdversarialSegmenter, state: dict[str, Any], console: Console
) -> None:
    """Goes back to the best model, which is one of before the stage, and on without the stage."""
    best = keras.models.load_model(folder.path / "best.keras", compile=False)
    model.set_weights(best.get_weights())
    state["given_up"] = True
    console.print(
        f"The semi-supervised stage is given up at step {state['step']}: on the validation "
        f"patients Dice fell from {state['best']:.3f} and stayed below. Going on from the best "
        "model before it, without unlabelled images."
    )


def _tell_troubles(state: dict[str, Any], console: Console) -> None:
    """Warns of each trouble once."""
    told = state.setdefault("told", [])
    for name, text in troubles(state["history"]).items():
        if name not in told:
            told.append(name)
            console.print(f"Warning: {text}.")


def _is_stale(config: Config, state: dict[str, Any]) -> bool:
    return config.early_stopping is not None and state["stale"] >= config.early_stopping


def _load(config: Config, split: Split, console: Console, *, held_out: bool) -> Pools:
    """Decodes and preprocesses the images that the training needs, once."""

    def load(cases: Sequence[Case], name: str) -> Pool:
        return load_pool(
            cases,
            Preprocessing.from_config(config),
            slice_axis=config.slice_axis,
            ignore_label=config.ignored(),
            progress=bar(console, f"Loading {name} images"),
        )

    return Pools(
        load(split.labelled, "labelled"),
        load(split.unlabelled, "unlabelled") if config.recipe in USE_UNLABELLED else None,
        load(split.val, "validation") if held_out else None,
    )


def _finish(folder: RunFolder, split: Split, console: Console) -> dict[str, Any] | None:
    """Calibrates the best model, evaluates it on the test split, else validation, and reports."""
    result = None
    if split.val:
        predictor = Predictor.load(folder.path)
        calibrate(predictor, split.val, bar(console, "Calibrating")).write(folder.path)
    if split.test or split.val:
        result = evaluate(folder.path, progress=bar(console, "Evaluating"))
        folder.write_json("metrics.json", result)
    else:
        console.print("No validation or test patient: best.keras is the last model, unjudged.")
    write_run_report(folder.path)
    return result


def _describe(config: Config, split: Split, model: AdversarialSegmenter, console: Console) -> None:
    """Says what is trained with what."""
    patients = split.to_json()["patients"]
    parts = [
        f"{len(getattr(split, name))} {name} cases (patients: {len(patients[name])})"
        for name in ("labelled", "unlabelled", "val", "test")
        if name != "unlabelled" or config.recipe in USE_UNLABELLED
    ]
    console.print("Data: " + ", ".join(parts) + ".")
    if config.labelled_patients or config.labelled_fraction:
        console.print("Labelled patients: " + ", ".join(patients["labelled"]) + ".")
    weights = model.segmenter.count_params() / 1e6
    console.print(f"Segmenter: {config.model}, {weights:.2f} million weights, {config.norm} norm.")
    if model.discriminator is not None:
        side, (height, width) = model.discriminator.reduction, config.size()
        console.print(
            f"Discriminator: its map is {math.ceil(height / side)}x{math.ceil(width / side)} for "
            f"{height}x{width} images; one value covers {side}x{side} pixels."
        )


def _line(row: dict[str, Any], config: Config, *, best: bool) -> str:
    """One line on a round."""
    names = {"ce_loss": "ce", "adv_loss": "adv", "semi_loss": "semi", "d_loss": "D"}
    figures = [f"{short} {row[name]:.3f}" for name, short in names.items() if name in row]
    if "kept" in row:
        figures.append(f"kept {row['kept']:.0%}")
    if row.get("val_dice") is not None:
        figures.append(f"val Dice {row['val_dice']:.3f}{' (best)' if best else ''}")
    speed = f"{row['steps_per_second']:.2f} steps/s"
    return f"step {row['step']}/{config.steps} {row['stage']}: {', '.join([*figures, speed])}"


def _trust_line(row: dict[str, Any], config: Config) -> str:
    """A second line: pseudo-labels of each class, and what D says."""
    said = ", ".join(
        f"D({name}) {row[column]:.2f}"
        for name, column in (
            ("label", "d_real"),
            ("labelled", "d_fake_labelled"),
            ("unlabelled", "d_fake_unlabelled"),
        )
    )
    classes = []
    for name in config.classes or ():
        if f"trusted {name}" in row:
            right = row.get(f"precision {name}")
            shown = "" if right is None else f" ({right:.0%})"
            classes.append(f"{name} {row[f'trusted {name}']:.0%}{shown}")
    return f"  {said}" + (f"; trusted (right): {', '.join(classes)}" if classes else "")
