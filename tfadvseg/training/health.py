"""What a history of training tells is going wrong, and how to mend it."""

from __future__ import annotations

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
    before = [row["val_dice"] for row in history if row["stage"] != SEMI and _validated(row)]
    since = [row for row in history if row["stage"] == SEMI and _validated(row)]
    if not before or len(since) < PATIENCE:
        return False
    worse = max(before) - MARGIN
    return all(row["val_dice"] < worse and _taught(row) for row in since[-PATIENCE:])


def troubles(history: Sequence[Row]) -> dict[str, str]:
    """What to mend, by a short name: each with the figures that show it."""
    found = {}
    unused = _unused_steps(history)
    kept = [row for row in history if _has(row, "kept") and _has(row, "d_fake_unlabelled")]
    if kept and unused >= UNUSED_STEPS:
        found["nothing is trusted"] = (
            f"kept 0 % for {unused} steps: no pseudo-label is trusted, so unlabelled images teach "
            "nothing. Recipe paper: lower t_semi below d_fake_unlabelled "
            f"({kept[-1]['d_fake_unlabelled']:.2f}), or take recipe strong. Recipe strong: label "
            "more patients, or train longer"
        )
    last = history[-1] if history else {}
    if _has(last, "d_loss") and last["d_loss"] < SATURATED:
        found["D saturated"] = (
            f"D saturated: its loss is {last['d_loss']:.3f} (D(real) {last['d_real']:.2f}, D(fake) "
            f"{last['d_fake_labelled']:.2f}), so L_adv tells S little. Lower "
            "discriminator_learning_rate or discriminator_filters"
        )
    return found


def _unused_steps(history: Sequence[Row]) -> int:
    """Steps up to the last in which nothing was trusted."""
    last, start = history[-1]["step"] if history else 0, None
    for row in reversed(history):
        if _taught(row):
            start = row["step"]
            break
    return last - (start or 0)


def _taught(row: Row) -> bool:
    """Whether pseudo-labels were trusted; where a row does not tell, they may have been."""
    return not _has(row, "kept") or row["kept"] >= NOTHING


def _has(row: Row, name: str) -> bool:
    return row.get(name) is not None


def _validated(row: Row) -> bool:
    return _has(row, "val_dice")
