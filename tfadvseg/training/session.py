"""Session: the training of a run, from round to round."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from statistics import fmean
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console

from tfadvseg.building import arithmetic
from tfadvseg.config import Config
from tfadvseg.data.folders.split import Split
from tfadvseg.data.pipeline import Pool, Stream, training_stream
from tfadvseg.errors import TrainingError
from tfadvseg.evaluation import score_cases
from tfadvseg.health import SEMI, best_model, harms, troubles
from tfadvseg.inference.predictor import Predictor
from tfadvseg.models import AdversarialSegmenter, TeacherSegmenter
from tfadvseg.run_folder import RunFolder, check_model
from tfadvseg.training.monitoring import StepBar, TensorBoard
from tfadvseg.training.outliers import find_outliers
from tfadvseg.training.pools import load_pools
from tfadvseg.training.pseudo_labels import TARGET, Examiner
from tfadvseg.training.rounds import Round, rounds, uses_unlabelled
from tfadvseg.training.telling import description, round_line, trust_line


class Session:
    """Networks, images and the state of a run; goes on from its last checkpoint.

    Args:
        folder: of the run, with its configuration and split.
        config: resolved.
        split: the cases.
        console: where to show progress.
        build: makes and compiles the model.
        examiner: judges the pseudo-labels of a `TeacherSegmenter` before every round.

    Attributes:
        state: what a checkpoint keeps beside the model: `step`, rows of the `history`, the `best`
            validation Dice and how many rounds it is `stale`, what was trusted (`trust`), who is
            unlike the labelled patients (`outliers`, once known), troubles that were `told`, and
            whether the unlabelled images are `given_up`.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: Config,
        split: Split,
        console: Console,
        *,
        build: Callable[[Config], AdversarialSegmenter],
        examiner: type[Examiner],
    ):
        keras.utils.set_random_seed(config.seed)  # the order of the images depends on it too
        self.folder, self.config, self.split, self.console = folder, config, split, console
        self.state: dict[str, Any] = {
            "step": 0,
            "best": None,
            "stale": 0,
            "history": [],
            "trust": [],
            "told": [],
            "given_up": False,
        }
        parts = list(rounds(config))
        # The step at which the last stage begins.
        self.last_stage = min(part.start for part in parts if part.stage == parts[-1].stage)
        self.model: Any = self._load_or_build(build)
        self._examiner = examiner
        self._batches: tuple[Pool | None, Stream] | None = None

    def train(self) -> None:
        """Runs the rounds that are not done yet."""
        for line in description(self.config, self.split, self.model):
            self._say(line)
        if self.state["history"]:
            try:
                self._tell()
            except OSError as error:
                raise self.folder.cannot_write(self.state["step"], error) from error
        todo = list(rounds(self.config, self.state["step"]))
        if not todo or self._is_stale():
            self._say("Nothing left to train.")
            return
        self._prepare()
        with self.steps.progress:
            for planned in todo:
                if planned.start == self.last_stage:
                    self.state["stale"] = 0
                if planned.stage == SEMI and "outliers" not in self.state:
                    self._compare()
                given_up = self.state["given_up"]
                self._round(replace(planned, stage="adversarial") if given_up else planned)
                if self._is_stale():
                    self._say(
                        f"Stopped early: {self.state['stale']} validations without improvement."
                    )
                    break
        self._say(best_model(self.state["history"]))

    def _load_or_build(self, build: Callable[[Config], AdversarialSegmenter]) -> Any:
        checkpoints = self.folder.checkpoints()
        if not checkpoints:
            return build(self.config)
        self.state |= self.folder.read_json(f"checkpoints/{checkpoints[-1].name}/state.json")
        saved = checkpoints[-1] / "model.keras"
        check_model(saved)
        with arithmetic(self.config):
            return keras.models.load_model(saved)

    def _prepare(self) -> None:
        """Loads the images, and makes what looks at them."""
        self.pools = load_pools(self.config, self.split, self.console)
        outliers = self.state.get("outliers")
        if outliers and outliers["excluded"]:
            self.pools = self.pools.leaving_out(outliers["names"])
        held_out, self.examiner = self.pools.held_out, None
        if held_out and isinstance(self.model, TeacherSegmenter):
            self.examiner = self._examiner(self.model, held_out, self.config.ignored())
        self.predictor = Predictor(self.model, self.config)
        cases = self.split.val or self.split.labelled
        self.board = TensorBoard(self.folder.path / "tensorboard", cases)
        self.steps = StepBar(self.console, self.config.total_steps(), self.state["step"])

    def _compare(self) -> None:
        """Looks for unlabelled patients unlike the labelled ones, before they are trusted."""
        unlabelled: Any = self.pools.unlabelled  # this stage has some
        known = [pool for pool in (self.pools.labelled, self.pools.held_out) if pool]
        self.state["outliers"] = None
        if len(set(np.concatenate([pool.patients for pool in known]))) < 2:
            self._say("Outliers are not looked for: that takes two labelled patients.")
            return
        found = find_outliers(self.model, unlabelled, known)
        names, exclude = found.outliers, self.config.exclude_outliers
        self.state["outliers"] = asdict(found) | {"names": names, "excluded": exclude}
        if not names:
            return
        if not exclude:
            self._say(f"Warning: {found}. Leave them out with --exclude-outliers.")
            return
        left = len(found.patients) - len(names)
        self._say(f"{found}. They are left out, {left} are left.")
        self.pools = self.pools.leaving_out(names)
        if not left:
            self.state["given_up"] = True
            self._say("Nobody is left: going on without unlabelled images.")

    def _round(self, part: Round) -> None:
        """Trains a round, validates, keeps all that resume needs, and tells of it."""
        row, val = self._steps(part), self.split.val
        scores = score_cases(self.predictor, val, "val", surfaces=False) if val else None
        self._note(row, scores)
        best = self.state["stale"] == 0
        if harms(self.state["history"]) and not self.state["given_up"]:
            self._give_up()
        warnings = self._new_troubles()
        self._keep(row, best=best)
        self._say(round_line(row, self.config, best=best))
        if "d_fake_unlabelled" in row:
            self._say(trust_line(row, self.config))
        for text in warnings:
            self._say(f"Warning: {text}.")

    def _new_troubles(self) -> list[str]:
        """What is wrong that was not told yet; from now on it counts as told, after resume too."""
        config, told = self.config, self.state["told"]
        found = troubles(self.state["history"], config.recipe, config.total_steps())
        new = [name for name in found if name not in told]
        told += new
        return [found[name] for name in new]

    def _steps(self, part: Round) -> dict[str, Any]:
        """Trains the steps of a round; returns its row of the history."""
        trust = self._examine(part)
        stream = self._stream(part)
        began = time.perf_counter()
        try:
            history = self.model.fit(
                stream,
                steps_per_epoch=part.stop - part.start,
                verbose=0,
                shuffle=False,  # the stream is shuffled
                callbacks=[self.steps],
            )
        except tf.errors.InvalidArgumentError as error:
            raise self._not_finite(error) from error
        speed = (part.stop - part.start) / (time.perf_counter() - began)
        losses = {name: float(values[0]) for name, values in history.history.items()}
        for index, label in enumerate(self.config.classes or ()):
            if f"kept_{index}" in losses:
                losses[f"kept {label}"] = losses.pop(f"kept_{index}")
        position = {"step": part.stop, "stage": part.stage}
        return {**position, **losses, **trust, "steps_per_second": speed}

    def _stream(self, part: Round) -> tf.data.Dataset:
        """The batches of a round; what makes them is kept as long as the images are the same."""
        config = self.config
        used = not self.state["given_up"] and uses_unlabelled(config, part.stage)
        unlabelled = self.pools.unlabelled if used else None
        if self._batches is None or self._batches[0] is not unlabelled:
            stream = training_stream(
                self.pools.labelled,
                unlabelled,
                batch_size=config.batch_size,
                unlabelled_batch_size=config.unlabelled_batch_size,
                augmentations=config.augment,
                views=self.model.takes_views,
                seed=config.seed,
            )
            self._batches = unlabelled, stream
        return self._batches[1](part.start)

    def _examine(self, part: Round) -> dict[str, float]:
        """Finds out which pseudo-labels to trust in a round; returns columns of its row."""
        if self.examiner is None or part.stage != SEMI:
            return {}
        found, names = self.examiner.renew(), self.config.classes or ()
        self.state["trust"].append({"step": part.start, "classes": found.to_json(names)})
        return found.to_row(names)

    def _not_finite(self, error: Exception) -> Exception:
        """Names the step and the loss that is not a number; other errors stay what they are."""
        found = re.search(r"(\w*loss) : Tensor had (\w+)", str(error))
        if not found:
            return error
        step = int(self.model.optimizer.iterations) + 1
        return TrainingError(
            f"step {step}: {found.group(1)} is {found.group(2)}; no weight was changed by this "
            "step. Lower learning_rate, or look for extreme intensities in the images"
        )

    def _note(self, row: dict[str, Any], scores: dict[str, Any] | None) -> None:
        """Adds the validation to the row, and the row to the state.

        The classes that the validation masks show (whose recall is defined) are judged, the same in
        every round: one false pixel of another class would count like that class's loss. Without
        any, as without validation, the latest model is the best.
        """
        state, score = self.state, None
        row["learning_rate"] = float(self.model.optimizer.learning_rate)
        _, *classes = scores["pooled"]["per_class"].values() if scores else (None,)
        shown = [one for one in classes if one["recall"] is not None]
        if shown:
            score = fmean(one["dice"] for one in shown)
            row |= {"val_dice": score, "val_miou": fmean(one["miou"] for one in shown)}
        improved = score is None or state["best"] is None or score > state["best"]
        state["best"] = score if improved else state["best"]
        state["stale"] = 0 if improved else state["stale"] + 1
        state["step"] = row["step"]
        state["history"].append(row)

    def _give_up(self) -> None:
        """Goes back to the best model so far, and on without unlabelled images.

        The moments of the optimizers go back too; the learning rates stay those of this step.
        """
        best: Any = keras.models.load_model(self.folder.model("best"))
        self.model.set_weights(best.get_weights())
        for name in ("optimizer", "discriminator_optimizer"):
            ours, theirs = getattr(self.model, name), getattr(best, name)
            for variable, value in zip(ours.variables, theirs.variables, strict=True):
                if variable is not ours.iterations:
                    variable.assign(value)
        self.state |= {"given_up": True, "stale": 0}

    def _keep(self, row: dict[str, Any], *, best: bool) -> None:
        """Writes the checkpoint and what is read beside it."""
        networks = (self.model.segmenter, self.model.averaged, self.model.discriminator)
        weights = [array for network in networks if network for array in network.get_weights()]
        if not all(np.isfinite(array).all() for array in weights):
            raise TrainingError(
                f"step {row['step']}: a weight is no finite number, though no loss told of it; no "
                "checkpoint was replaced. Lower learning_rate, or look for extreme intensities in "
                "the images"
            )
        folder, state = self.folder, self.state
        try:
            folder.save_checkpoint(self.model, row["step"], state, best=best)
            self._tell()
            self.board.write(row, self.predictor)
        except OSError as error:
            raise folder.cannot_write(row["step"], error) from error

    def _tell(self) -> None:
        """Writes what the state tells; of a checkpoint that was the last act, after resume."""
        folder, state = self.folder, self.state
        folder.write_history(state["history"])
        if state.get("outliers"):
            folder.write_json("outliers.json", state["outliers"])
        if state["trust"]:
            folder.write_json("trust.json", {"target": TARGET, "rounds": state["trust"]})

    def _say(self, line: str) -> None:
        """Prints names from the data as they are, whichever console it is."""
        self.console.print(line, markup=False, emoji=False, highlight=False)

    def _is_stale(self) -> bool:
        """Whether validation has not risen for long; as long as a stage is to come, it may."""
        patience = self.config.early_stopping
        is_last = self.state["step"] > self.last_stage
        return patience is not None and is_last and self.state["stale"] >= patience
