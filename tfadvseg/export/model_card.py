"""What somebody who is handed a model has to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfadvseg.config import DEFAULT_WINDOW, Config
from tfadvseg.run_folder import RunFolder

USE = """\
Research, and the preparation of segmentations that a trained reader checks. It is no medical
device: no approval stands behind it, and nobody may be treated by what it says alone.
"""
LIMITS = """\
* It knows what it was trained on. Another scanner, protocol, age group or disease may need labels
  of its own: score it on them (`tfadvseg evaluate RUN --data DIR`) before use.
* Every slice is segmented by itself; neighbours in a volume do not speak to each other.
* It answers for every image, even for one that shows something else.
"""


def model_card(name: str, version: int, run: RunFolder, about: Mapping[str, Any]) -> str:
    """The card as Markdown.

    Args:
        name: of the model.
        version: its number.
        run: which it comes from.
        about: the content of `model.json`.
    """
    config = run.read_config()
    parts = [
        f"# {name}, version {version}\n",
        f"{config.model} trained by recipe {config.recipe} ({config.steps} steps, seed "
        f"{config.seed}) with tfadvseg {about['tfadvseg']}; the {about['checkpoint']} model of "
        f"run {about['run']}.\n",
        "## Classes\n",
        "".join(f"* {index}: {text}\n" for index, text in enumerate(about["classes"])),
        "## Images\n",
        _images(config, about.get("tensorrt")),
        "## Data\n",
        _data(run),
        "## Scores\n",
        _scores(run, about["checkpoint"]),
        *_eight_bits(about.get("int8")),
        "## Intended use\n",
        USE,
        "## Limits\n",
        LIMITS,
        "## Signatures\n",
        "".join(_signature(*item) for item in about["signatures"].items()),
    ]
    return "\n".join(parts)


def _images(config: Config, engine: Mapping[str, Any] | None) -> str:
    height, width = config.size()
    sent = "any size can be sent"
    if engine is not None:
        least, most = ("x".join(map(str, engine["profile"][end])) for end in ("min", "max"))
        sent = f"the engine takes batches x heights x widths from {least} to {most}"
    lines = [
        f"* Channels: {config.channels}. Values as their file means them, after slope and "
        f"intercept; intensity window: {config.window or DEFAULT_WINDOW}.",
        f"* Brought to {height}x{width} pixels inside, and the answer back to the image's own "
        f"grid; {sent}.",
    ]
    if config.spacing_mm is not None:
        lines.append("* Every image needs `spacing_mm`, height and width of its pixels.")
    return "\n".join(lines) + "\n"


def _data(run: RunFolder) -> str:
    split = run.read_json("split.json")
    rows = "".join(
        f"| {part} | {len(split['patients'][part])} | {len(split[part])} |\n"
        for part in ("labelled", "unlabelled", "val", "test")
    )
    return f"| | patients | images |\n|---|---|---|\n{rows}"


def _scores(run: RunFolder, checkpoint: str) -> str:
    if not (run.path / "metrics.json").is_file():
        split = run.read_json("split.json")
        if split["val"] or split["test"]:
            return "None: the run was not scored. It may not have ended when it was exported.\n"
        return "None: the run had no validation and no test patients.\n"
    if checkpoint != "best":
        return (
            f"None: the scores of the run are those of its best model, not of the {checkpoint}.\n"
        )
    metrics = run.read_json("metrics.json")
    pooled = metrics["pooled"]
    rows = {**pooled["per_class"], "mean of the classes but background": pooled["foreground"]}
    names = ("miou", "dice", "specificity", "precision", "recall")
    lines = [
        f"The {metrics['split']} split, {metrics['cases']} images, all pixels together.\n",
        f"| | {' | '.join(names)} |",
        "|---" * (len(names) + 1) + "|",
        *(
            f"| {row} | {' | '.join(_number(scores[name]) for name in names)} |"
            for row, scores in rows.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _eight_bits(cost: Mapping[str, Any] | None) -> list[str]:
    if cost is None:
        return []
    return [
        "## Convolutions of 8 bits\n",
        "The scores above are those of the run, which computes with 32 bits. On its "
        f"{cost['validation_cases']} validation images the mean Dice of the classes but background "
        f"is {cost['dice_float32']:.4f} with 32 bits and {cost['dice_int8']:.4f} with 8. The 8 "
        f"bits were fitted to {cost['calibration_slices']} slices of training images.\n",
    ]


def _signature(name: str, tensors: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    def told(kind: str) -> str:
        return ", ".join(
            f"`{key}` {spec['dtype']} {spec['shape']}".replace("None", "-")
            for key, spec in tensors[kind].items()
        )

    return f"* `{name}`: {told('inputs')} gives {told('outputs')}.\n"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
