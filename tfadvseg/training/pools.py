"""The images of a run in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.console import Console

from tfadvseg.config import Config
from tfadvseg.data.folders.cases import Case
from tfadvseg.data.folders.split import Split
from tfadvseg.data.pipeline import Pool, load_pool
from tfadvseg.data.preprocess import Preprocessing
from tfadvseg.progress import bar
from tfadvseg.recipes import USE_UNLABELLED


@dataclass(frozen=True)
class Pools:
    """The images of a run in memory.

    Attributes:
        labelled: with masks.
        unlabelled: without, where the recipe uses them.
        held_out: those of the validation patients, where unlabelled ones are compared with them.
    """

    labelled: Pool
    unlabelled: Pool | None
    held_out: Pool | None

    def leaving_out(self, patients: Sequence[str]) -> Pools:
        """The same without some of the unlabelled patients."""
        return replace(self, unlabelled=self.unlabelled and self.unlabelled.without(patients))


def load_pools(config: Config, split: Split, console: Console) -> Pools:
    """Decodes and preprocesses the images that the training needs, once."""

    def load(cases: Sequence[Case], name: str) -> Pool:
        return load_pool(
            cases,
            Preprocessing.from_config(config),
            slice_axis=config.slice_axis,
            ignore_label=config.ignored(),
            progress=bar(console, f"Loading {name} images"),
        )

    labelled = load(split.labelled, "labelled")
    if config.recipe not in USE_UNLABELLED:
        return Pools(labelled, None, None)
    held_out = load(split.val, "validation") if split.val else None
    return Pools(labelled, load(split.unlabelled, "unlabelled"), held_out)
