"""Whether an exported model says what the run's own predictor says, on real slices."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tfadvseg.data.formats.raster import read_pages
from tfadvseg.errors import ExportError
from tfadvseg.exact import ENVIRONMENT
from tfadvseg.export import plain_client
from tfadvseg.export.samples import Sample
from tfadvseg.inference.predictor import Prediction, Predictor, SlicePredictor


@dataclass(frozen=True)
class Tolerance:
    """How far an export may be from the predictor.

    Attributes:
        difference: of a probability or a confidence.
        pixels: share of the mask's pixels that may differ.
    """

    difference: float
    pixels: float


EXACT = Tolerance(1e-4, 1e-4)
HALF_PRECISION = Tolerance(0.05, 1e-3)
ANY = Tolerance(1.0, 1.0)
SIGNATURES = ("serving_default", "raw", "image_bytes")


@dataclass(frozen=True)
class Parity:
    """How far an export and the predictor are apart.

    Attributes:
        calls: number of calls that were compared.
        difference: the largest one of a probability or a confidence.
        pixels: number of mask pixels that differ.
        of: number of mask pixels that were compared.
    """

    calls: int
    difference: float
    pixels: int
    of: int

    def holds(self, tolerance: Tolerance = EXACT) -> bool:
        """Whether that is near enough."""
        return self.difference <= tolerance.difference and self.pixels <= tolerance.pixels * self.of

    def to_json(self) -> dict[str, float]:
        """As `model.json` has it."""
        return {
            "calls": self.calls,
            "largest_difference": self.difference,
            "differing_mask_pixels": self.pixels,
            "mask_pixels": self.of,
        }

    def __str__(self) -> str:
        return (
            f"largest difference {self.difference:.1e}, {self.pixels} of {self.of} mask pixels "
            f"differ, over {self.calls} calls"
        )


@dataclass(frozen=True)
class Call:
    """Inputs of a signature, and what the predictor says."""

    signature: str
    inputs: dict[str, np.ndarray]
    expected: Prediction


def check_saved_model(
    folder: Path,
    predictor: Predictor,
    samples: Sequence[Sample],
    *,
    signatures: Sequence[str] = SIGNATURES,
    python: str = sys.executable,
    tolerance: Tolerance = EXACT,
) -> Parity:
    """Compares signatures of a SavedModel, in a fresh process, with the predictor.

    Args:
        folder: of the SavedModel.
        predictor: of the run.
        samples: real slices; encoded as PNG of 8 and of 16 bits and as JPEG too.
        signatures: which.
        python: the interpreter of the process, whose TensorFlow may be another.
        tolerance: how far they may be apart.

    Raises:
        ExportError: if the SavedModel cannot be used, or says something else.
    """
    with tempfile.TemporaryDirectory() as scratch:
        every = _calls(predictor, samples, Path(scratch))
        calls = [call for call in every if call.signature in signatures]
        answers = _ask(folder, calls, Path(scratch), python)
    return check(calls, answers, tolerance)


def check_predictor(
    other: SlicePredictor,
    predictor: Predictor,
    samples: Sequence[Sample],
    tolerance: Tolerance = EXACT,
) -> Parity:
    """Compares the predictor of another engine with the run's own.

    Args:
        other: of the exported model.
        predictor: of the run.
        samples: real slices.
        tolerance: how far they may be apart.

    Raises:
        ExportError: if it says something else.
    """
    calls = [
        Call("serving_default", {}, predictor(sample.voxels[np.newaxis], sample.pixel_mm))
        for sample in samples
    ]
    return check(calls, [_ask_predictor(other, sample) for sample in samples], tolerance)


def check(
    calls: Sequence[Call],
    answers: Sequence[Mapping[str, np.ndarray]],
    tolerance: Tolerance = EXACT,
) -> Parity:
    """Compares answers with what the predictor says.

    Raises:
        ExportError: if they are too far apart.
    """
    compared = [_compare(call, answer) for call, answer in zip(calls, answers, strict=True)]
    parity = Parity(
        len(compared),
        max(difference for difference, _, _ in compared),
        sum(pixels for _, pixels, _ in compared),
        sum(of for _, _, of in compared),
    )
    if not parity.holds(tolerance):
        raise ExportError(
            f"the exported model differs from the run: {parity}; expected at most "
            f"{tolerance.difference:g} and {tolerance.pixels:g} of the pixels; nothing was exported"
        )
    return parity


def _calls(predictor: Predictor, samples: Sequence[Sample], scratch: Path) -> Iterator[Call]:
    encodes = predictor.config.channels in (1, 3)
    for number, sample in enumerate(samples):
        slices = sample.voxels[np.newaxis]
        spacing = _spacing(predictor, sample)
        expected = predictor(slices, sample.pixel_mm)
        yield Call("serving_default", {"images": slices.astype(np.float32), **spacing}, expected)
        if np.issubdtype(slices.dtype, np.integer):
            yield Call("raw", {**_raw(slices), **spacing}, expected)
        for ending in ("8.png", "16.png", "8.jpg") if encodes else ():
            file = scratch / f"{number}-{ending}"
            file.write_bytes(_encode(sample.voxels, ending))
            inputs = {"image_bytes/0": np.frombuffer(file.read_bytes(), np.uint8), **spacing}
            yield Call("image_bytes", inputs, predictor(read_pages(file).voxels, sample.pixel_mm))


def _spacing(predictor: Predictor, sample: Sample) -> dict[str, np.ndarray]:
    if predictor.config.spacing_mm is None:
        return {}
    return {"spacing_mm": np.array([sample.pixel_mm], np.float32)}


def _raw(slices: np.ndarray) -> dict[str, np.ndarray]:
    """The slices as a scanner could have stored them, with the model's own window."""
    return {
        "pixels": slices.astype(np.int32) * 2 + 2048,
        "slope": np.array([0.5], np.float32),
        "intercept": np.array([-1024], np.float32),
        "window": np.zeros((1, 2), np.float32),
    }


def _encode(voxels: np.ndarray, ending: str) -> bytes:
    most, kind = (65535, np.uint16) if ending == "16.png" else (255, np.uint8)
    low, high = float(voxels.min()), float(voxels.max())
    scaled = (voxels.astype(np.float64) - low) / max(high - low, 1e-9) * most
    pixels = np.round(scaled).astype(kind)
    return cv2.imencode(Path(ending).suffix, pixels[..., ::-1])[1].tobytes()


def _ask(
    folder: Path, calls: Sequence[Call], scratch: Path, python: str
) -> list[dict[str, np.ndarray]]:
    for number, call in enumerate(calls):
        arrays: dict[str, Any] = {"signature": call.signature, **call.inputs}
        np.savez(scratch / f"{number:04d}.npz", **arrays)
    command = [python, plain_client.__file__, str(folder), str(scratch)]
    environment = os.environ | ENVIRONMENT
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", env=environment
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise ExportError(f"the exported model fails where it is loaded again: {lines[-1]}")
    return [dict(np.load(scratch / f"{number:04d}.answer.npz")) for number in range(len(calls))]


def _ask_predictor(other: SlicePredictor, sample: Sample) -> dict[str, np.ndarray]:
    found = other(sample.voxels[np.newaxis], sample.pixel_mm)
    answer = {"mask": found.masks, "probabilities": found.probabilities}
    return answer if found.confidence is None else {**answer, "confidence": found.confidence}


def _compare(call: Call, answer: Mapping[str, np.ndarray]) -> tuple[float, int, int]:
    """Largest difference, differing mask pixels, compared mask pixels."""
    expected = call.expected
    if call.signature == "image_bytes":
        mask, differences = _decode(answer["mask_bytes/0"])[np.newaxis], [0.0]
        if "confidence_bytes/0" in answer and expected.confidence is not None:
            seen = _decode(answer["confidence_bytes/0"]) / 255.0
            rounded = np.abs(seen - expected.confidence[0]).max() - 0.5 / 255
            differences.append(max(0.0, float(rounded)))
    else:
        mask = answer["mask"]
        differences = [float(np.abs(answer["probabilities"] - expected.probabilities).max())]
        if "confidence" in answer and expected.confidence is not None:
            differences.append(float(np.abs(answer["confidence"] - expected.confidence).max()))
    if mask.shape != expected.masks.shape:
        return float("inf"), expected.masks.size, expected.masks.size
    return max(differences), int(np.sum(mask != expected.masks)), mask.size


def _decode(content: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_UNCHANGED))
