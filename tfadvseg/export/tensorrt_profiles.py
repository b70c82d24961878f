"""Optimisation profiles: the batches and sizes that a TensorRT engine takes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tfadvseg.errors import InputError
from tfadvseg.export.samples import Sample
from tfadvseg.inference.engines.signature import Sizes
from tfadvseg.inference.predictor import Predictor

Size = tuple[int, int, int]  # batch, height, width

SMALLEST_SIDE = 32
USUAL_BATCH, LARGEST_BATCH = 8, 16


@dataclass(frozen=True)
class Profile:
    """From which over which to which size; an engine is fastest at the middle one.

    Attributes:
        least: batch, height and width.
        best: likewise.
        most: likewise.
    """

    least: Size
    best: Size
    most: Size

    def holds(self, sample: Sample) -> bool:
        """Whether a batch of this slice alone fits."""
        size = (1, *sample.voxels.shape[:2])
        ranges = zip(self.least, size, self.most, strict=True)
        return all(least <= side <= most for least, side, most in ranges)

    @property
    def sizes(self) -> Sizes:
        """Its ends."""
        return Sizes(self.least, self.most)

    def shapes(self, predictor: Predictor) -> dict[str, tuple[tuple[int, ...], ...]]:
        """Least, best and largest shape of each input whose shape varies."""
        channels = int(predictor.config.channels or 1)
        return {"images": tuple((*size, channels) for size in (self.least, self.best, self.most))}

    def __str__(self) -> str:
        return f"{_text(self.least)}-{_text(self.most)}"

    def to_json(self) -> Mapping[str, Sequence[int]]:
        """For `model.json`, in batch, height, width."""
        return {"min": self.least, "opt": self.best, "max": self.most}


def read_size(option: str, text: str | None) -> Size | None:
    """Reads `BxHxW`.

    Args:
        option: its name, for the message.
        text: such as `8x256x256`; None stays None.

    Raises:
        InputError: if it is something else.
    """
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})x([1-9]\d{0,5})", text)
    if not found:
        raise InputError(f"{option}: expected BATCHxHEIGHTxWIDTH, as 8x256x256, received {text!r}")
    batch, height, width = map(int, found.groups())
    return batch, height, width


def check_order(least: Size | None, best: Size | None, most: Size | None) -> None:
    """Refuses sizes that do not grow.

    Raises:
        InputError: if one is larger than the next, in any of the three.
    """
    given = [(name, s) for name, s in (("--min", least), ("--opt", best), ("--max", most)) if s]
    for (name, small), (other, large) in zip(given, given[1:], strict=False):
        if any(a > b for a, b in zip(small, large, strict=True)):
            raise InputError(
                f"{name} {_text(small)} is larger than {other} {_text(large)}; expected batch, "
                "height and width that do not fall from --min over --opt to --max"
            )


def choose(
    samples: Sequence[Sample], least: Size | None, best: Size | None, most: Size | None
) -> Profile:
    """Fills in what is not given, from real slices.

    Args:
        samples: of the run's data; the largest sets the usual size, twice that the largest.
        least: batch, height and width, or None for `SMALLEST_SIDE`, or the smallest slice.
        best: likewise, or None for `USUAL_BATCH` of the usual size.
        most: likewise, or None for `LARGEST_BATCH` of twice the usual size.

    Raises:
        InputError: if what is given does not grow, or leaves no place for any slice.
    """
    check_order(least, best, most)
    height, width = (max(sample.voxels.shape[axis] for sample in samples) for axis in (0, 1))
    sides = (min(SMALLEST_SIDE, *(s.voxels.shape[axis] for s in samples)) for axis in (0, 1))
    low, high = least or (1, *sides), most or (LARGEST_BATCH, 2 * height, 2 * width)
    middle = best or _between(low, (USUAL_BATCH, height, width), high)
    profile = Profile(_smaller(low, middle), middle, _larger(high, middle))
    if not any(profile.holds(sample) for sample in samples):
        raise InputError(
            f"no single image of the run fits an engine from {_text(profile.least)} to "
            f"{_text(profile.most)} (batch, height, width); the images have up to "
            f"{height}x{width}: give other --min and --max, or --data DIR with images that fit"
        )
    return profile


def choose_lasting(samples: Sequence[Sample]) -> Profile:
    """A profile for some slices that most others of their kind fit too.

    Its largest sides are one power of two, so that predictions of other images soon find an
    engine that is there already.
    """
    chosen = choose(samples, None, None, None)
    side = 1 << (max(chosen.most[1:]) - 1).bit_length()
    return Profile(chosen.least, chosen.best, (chosen.most[0], side, side))


def _smaller(one: Size, other: Size) -> Size:
    return min(one[0], other[0]), min(one[1], other[1]), min(one[2], other[2])


def _larger(one: Size, other: Size) -> Size:
    return max(one[0], other[0]), max(one[1], other[1]), max(one[2], other[2])


def _between(low: Size, size: Size, high: Size) -> Size:
    return _smaller(_larger(low, size), high)


def _text(size: Size) -> str:
    return "x".join(map(str, size))
