"""Which engine predicts fastest here: measured at first use, then remembered."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable

import numpy as np

from tfadvseg.errors import ExportError, InputError
from tfadvseg.export.conversions import WRITERS, Conversions
from tfadvseg.export.samples import Sample
from tfadvseg.inference.engines import release
from tfadvseg.inference.predictor import SlicePredictor
from tfadvseg.run_folder import write_text

SLICES = 4  # that are timed together
TIMES = 3  # of which the shortest counts: whatever else the machine does only adds


def fastest(conversions: Conversions, tell: Callable[[str], None]) -> SlicePredictor:
    """The predictor of the fastest engine that can compute here and says what the run says.

    Args:
        conversions: of the run.
        tell: gets a line for each engine that was tried, and one for that which was chosen.
    """
    file = conversions.folder / f"seconds-{platform.node()}.json"
    seconds = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    installed = {engine: name for engine in ("tensorflow", *WRITERS) if (name := _release(engine))}
    if set(seconds) != set(installed.values()):
        seconds = {name: _try(conversions, engine, tell) for engine, name in installed.items()}
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(seconds) + "\n")
        tell(f"Kept in {conversions.folder}; the next prediction begins at once")
    usable = {engine: seconds[name] for engine, name in installed.items() if seconds[name]}
    engine = min(usable, key=lambda name: usable[name])
    tell(f"Engine: {engine}")
    return conversions.load(engine)


def _release(engine: str) -> str | None:
    """Name and version of an engine; None if it cannot compute here."""
    try:
        return release(engine)
    except (ExportError, InputError):
        return None


def _try(conversions: Conversions, engine: str, tell: Callable[[str], None]) -> float | None:
    """Seconds for a slice; None if the engine cannot be used."""
    try:
        seconds = _seconds(conversions.load(engine), conversions.samples[0])
    except (ExportError, InputError) as error:
        tell(f"Engine {engine} is not used: {error}")
        return None
    tell(f"Engine {engine}: {seconds * 1e3:.1f} ms a slice")
    return seconds


def _seconds(predictor: SlicePredictor, sample: Sample) -> float:
    slices = np.repeat(sample.voxels[np.newaxis], SLICES, axis=0)
    predictor(slices, sample.pixel_mm)  # the first call of a size is slow
    found = []
    for _ in range(TIMES):
        start = time.perf_counter()
        predictor(slices, sample.pixel_mm)
        found.append(time.perf_counter() - start)
    return min(found) / SLICES
