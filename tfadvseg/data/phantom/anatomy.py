"""The synthetic patients of the phantom: what differs between them, drawn at random.

Lengths are fractions of the image's width; x runs to the patient's left, y to the back, from the
middle of the body. The level z runs down from the top of the aortic arch (0) to the liver (1).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Point = tuple[float, float]

_PATHS = {  # centre lines as (z, x, y)
    "ascending": ((0.1, -0.04, -0.075), (0.4, -0.055, -0.085), (0.73, -0.01, -0.065)),
    "descending": ((0.1, 0.06, 0.085), (0.5, 0.075, 0.1), (1.0, 0.06, 0.105)),
    "trunk": ((0.3, 0.05, -0.05), (0.45, 0.065, -0.105), (0.62, 0.055, -0.15)),
    "cava": ((-0.1, -0.085, -0.1), (0.3, -0.125, -0.065), (0.65, -0.115, -0.04)),
    "trachea": ((-0.1, 0.0, 0.02), (0.3, -0.005, 0.045), (0.4, -0.005, 0.05)),
}


@dataclass(frozen=True)
class Anatomy:
    """One patient: everything that stays the same along the slices.

    Lengths are fractions of the image's width, brightness is in HU, angles are in radians.
    """

    center: Point
    tilt: float
    scale: float
    body: Point
    fat: float
    levels: Point
    pulmonary_shift: float
    radii: dict[str, float]
    paths: dict[str, Floats]
    hu: dict[str, float]
    lung_vessels: Floats
    rib_phase: float
    blur: float
    noise: Point
    streaks: float
    bias: Floats
    window: Point

    def at(self, path: str, z: float) -> Point:
        """Returns where a centre line crosses the level `z`."""
        levels, x, y = self.paths[path].T
        return float(np.interp(z, levels, x)), float(np.interp(z, levels, y))

    def place(self, points: Floats) -> Floats:
        """Maps points of the body (..., 2) to the image, whose corners are (0, 0) and (1, 1)."""
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        turn = self.scale * np.array([[cos, sin], [-sin, cos]])
        return points @ turn + 0.5 + np.array(self.center)


def sample_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draws one patient at random."""
    ascending = rng.uniform(0.047, 0.062)
    if rng.random() < 0.25:  # a dilated aorta
        ascending = rng.uniform(0.066, 0.08)
    radii = {
        "ascending": ascending,
        "descending": rng.uniform(0.042, 0.052),
        "trunk": rng.uniform(0.047, 0.06),
        "branch": rng.uniform(0.032, 0.04),
        "cava": rng.uniform(0.02, 0.03),
    }
    pulmonary_shift = rng.uniform(-0.05, 0.05)
    window_width = rng.uniform(700, 1000)
    window_low = rng.uniform(150, 250) - window_width / 2
    noise = rng.uniform(12, 26)
    return Anatomy(
        center=(rng.uniform(-0.03, 0.03), rng.uniform(-0.03, 0.03)),
        tilt=rng.normal(0, np.radians(4)),
        scale=rng.uniform(0.95, 1.08),
        body=(rng.uniform(0.415, 0.465), rng.uniform(0.335, 0.365)),
        fat=rng.uniform(0.012, 0.045),
        levels=(rng.uniform(-0.05, 0.05), rng.uniform(0.84, 1.0)),
        pulmonary_shift=pulmonary_shift,
        radii=radii,
        paths=_sample_paths(rng, ascending - 0.052, pulmonary_shift),
        hu=_sample_contrast(rng),
        lung_vessels=rng.random((160, 7)),
        rib_phase=rng.uniform(0, 1),
        blur=rng.uniform(0.4, 0.7),
        noise=(noise, 0.6 * noise),
        streaks=rng.uniform(10, 40),
        bias=rng.normal(0, 12, 3),
        window=(window_low, window_low + window_width),
    )


def _sample_paths(
    rng: np.random.Generator, dilation: float, pulmonary_shift: float
) -> dict[str, Floats]:
    paths = {}
    for name, points in _PATHS.items():
        path = np.array(points)
        path[:, 1:] += rng.normal(0, 0.008, 2) + rng.normal(0, 0.005, (len(path), 2))
        paths[name] = path
    # Neighbours make room for a wide ascending aorta, and move up where it is narrow.
    paths["trunk"][:, 0] += pulmonary_shift
    paths["trunk"][:, 1] += 0.8 * dilation
    paths["cava"][:, 1] -= 0.8 * dilation
    return paths


def _sample_contrast(rng: np.random.Generator) -> dict[str, float]:
    """The timing of the contrast bolus decides which side of the circulation is brighter."""
    phase = rng.choice(["aortic", "pulmonary", "balanced"])
    bright, dim = rng.uniform(320, 450), rng.uniform(190, 290)
    if phase == "balanced":
        bright, dim = np.full(2, rng.uniform(250, 420)) + rng.normal(0, 12, 2)
    aorta, pulmonary = (dim, bright) if phase == "pulmonary" else (bright, dim)
    return {
        "aorta": aorta,
        "pulmonary": pulmonary,
        "left": aorta * rng.uniform(0.92, 1.08),
        "right": pulmonary * rng.uniform(0.8, 1.02),
        "cava": pulmonary * rng.uniform(0.8, 1.5),
        "vein": aorta * rng.uniform(0.85, 1.1),
        "myocardium": rng.uniform(80, 120),
    }
