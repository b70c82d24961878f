"""What a history of training tells is going wrong, and how to mend it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

SEMI = "semi-supervised"
PATIENCE = 3  # validations in a row that shall agree before the stage is given up
MARGIN = 0.02  # of Dice, below the best before the stage
NOTHING = 0.001  # share of trusted pixels that is as good as none
UNUSED_STEPS = 200
SATURATED = 0.1  # L_D below which D is right nearly everywhere: 2 ln 2 = 1.39 is guessing

Row: TypeAlias = Mapping[str, Any]


def harms(history: Sequence[Row]) -> bool:
    """Whether validation shows that the semi-supervised stage makes S worse.

    That is so if the last `PATIENCE` validations of the stage all lie more than `MARGIN` below the
    best Dice before it, and S learnt from unlabelled images in the steps before each.

    Args:
        history: rows with `stage` and, where there are validation patients, `val_dice`.
    """
    before = _before(history)
    since = [row for row in history if row["stage"] == SEMI and _validated(row)]
    if before is None or len(since) < PATIENCE:
        return False
    worse = before - MARGIN
    return all(row["val_dice"] < worse and _taught(row) for row in since[-PATIENCE:])


def troubles(history: Sequence[Row], recipe: str, steps: int) -> dict[str, str]:
    """What to mend, by a short name: each with the figures that show it, and the mend.

    Args:
        history: as of `harms`.
        recipe: of the run; the mend depends on it.
        steps: of the whole run.
    """
    found = {}
    if harms(history):
        found["unlabelled images harm"] = (
            "the semi-supervised stage is given up: on the validation patients Dice stayed more "
            f"than {MARGIN} below that before it, {_before(history):.3f}. Going on from the best "
            "model so far, without unlabelled images"
        )
    unused = _steps_without(history, "kept")
    last = history[-1] if history else {}
    never = last.get("step") == steps and unused == _steps_of_stage(history)
    if unused >= UNUSED_STEPS or unused and never:
        mend = "Label more patients, or train longer"
        if recipe != "strong":
            said = last.get("d_fake_unlabelled", math.nan)
            mend = f"Lower t_semi below d_fake_unlabelled ({said:.2f}), or take recipe strong"
        found["nothing is trusted"] = (
            f"kept 0 % for {unused} steps: no pseudo-label is trusted, so unlabelled images teach "
            f"nothing. {mend}"
        )
    for label in _classes(last):
        without = _steps_without(history, f"kept {label}")
        if UNUSED_STEPS <= without > unused:
            found[f"{label} is not trusted"] = (
                f"kept 0 % of {label} for {without} steps, while other classes are trusted: "
                "unlabelled images teach nothing of it, or that it is not there. Label more "
                "patients who show it, or choose validation patients who do"
            )
    if _has(last, "d_loss") and last["d_loss"] < SATURATED:
        mend = (
            "Lower discriminator_learning_rate or discriminator_filters, or set "
            "discriminator_spectral_norm"
        )
        if recipe == "strong":  # its D learns no more then: it is S that has not followed
            mend = "Train longer, or set discriminator_spectral_norm"
        found["D saturated"] = (
            f"D saturated: its loss is {last['d_loss']:.3f} (D(real) {last['d_real']:.2f}, D(fake) "
            f"{last['d_fake_labelled']:.2f}), so L_adv tells S little. {mend}"
        )
    return found


def all_troubles(history: Sequence[Row], recipe: str, steps: int) -> dict[str, tuple[int, str]]:
    """The troubles of a whole run, each with the step at which it was first told."""
    found: dict[str, tuple[int, str]] = {}
    for stop, row in enumerate(history, start=1):
        for name, text in troubles(history[:stop], recipe, steps).items():
            found.setdefault(name, (int(row["step"]), text))
    return found


def best_model(history: Sequence[Row]) -> str:
    """Of which step `best.keras` is, and whether before the semi-supervised stage; in a sentence.

    It is the first of the highest validation Dice, without validation the last; nothing is said of
    an empty history.
    """
    if not history:
        return ""
    scored = [row for row in history if _validated(row)]
    best = max(scored, key=lambda row: row["val_dice"]) if scored else history[-1]
    semi = [row for row in history if row["stage"] == SEMI]
    early = semi and history.index(best) < history.index(semi[0])
    why = ", before the semi-supervised stage" if early else ""
    return f"best.keras is the model of step {int(best['step'])}{why}."


def _classes(row: Row) -> list[str]:
    """The classes of whose pixels the row tells how many are trusted."""
    return [name.removeprefix("kept ") for name in row if name.startswith("kept ")]


def _steps_without(history: Sequence[Row], column: str) -> int:
    """Steps of the stage, up to the last, in which that share of trusted pixels was nothing."""
    unused = 0
    for row, length in reversed(_lengths(history)):
        if row["stage"] != SEMI or _taught(row, column):
            break
        unused += length
    return unused


def _steps_of_stage(history: Sequence[Row]) -> int:
    """Steps with unlabelled images so far."""
    return sum(length for row, length in _lengths(history) if row["stage"] == SEMI)


def _lengths(history: Sequence[Row]) -> list[tuple[Row, int]]:
    """Every row with the steps that it is about."""
    starts = [0, *(row["step"] for row in history)]
    return [(row, int(row["step"] - start)) for start, row in zip(starts, history, strict=False)]


def _before(history: Sequence[Row]) -> float | None:
    """The best validation Dice before the stage; None if there is none."""
    before = itertools.takewhile(lambda row: row["stage"] != SEMI, history)
    return max((row["val_dice"] for row in before if _validated(row)), default=None)


def _taught(row: Row, column: str = "kept") -> bool:
    """Whether pseudo-labels were trusted; where a row does not tell, they may have been."""
    return not _has(row, column) or row[column] >= NOTHING


def _has(row: Row, name: str) -> bool:
    return row.get(name) is not None


def _validated(row: Row) -> bool:
    return _has(row, "val_dice")
