"""Runs to export: networks that were never trained, on a phantom, and one that was."""

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tfadvseg.config import Config
from tfadvseg.inference.engines import cuda, tensorrt
from tfadvseg.inference.predictor import Predictor
from tfadvseg.training import fit

FAKE = Path(__file__).parent / "fake_trtexec.py"


@pytest.fixture(scope="session")
def run(adversarial_run):
    return adversarial_run


@pytest.fixture(scope="session")
def trained_run(tiny, tmp_path_factory):
    """A run that was trained, on bright discs: its masks show something.

    The networks are larger than in other tests: of four filters, 8 bits cost too much.
    """
    folder, rng = tmp_path_factory.mktemp("discs"), np.random.default_rng(0)
    for number in range(10):
        mask = np.zeros((40, 48), np.uint8)
        centre = int(rng.integers(15, 33)), int(rng.integers(15, 25))
        cv2.circle(mask, centre, int(rng.integers(6, 11)), 1, -1)
        image = np.array([60, 180])[mask] + rng.normal(0, 10, mask.shape)
        for part, pixels in (("images", image.clip(0, 255).astype(np.uint8)), ("masks", mask)):
            (folder / part).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / part / f"p{number}_disc.png"), pixels)
    patients = {"patient_pattern": r"(p\d)_", "val_patients": 3, "test_patients": 1}
    settings = {"recipe": "supervised", "norm": "instance", "window": (0, 255), **patients}
    steps = {"steps": 200, "validate_every": 100, "learning_rate": 0.01, "averaging": 0.0}
    size = {"image_size": 48, "base_filters": 8}
    run = tmp_path_factory.mktemp("trained") / "discs"
    fit(Config(**{**tiny, "data": str(folder), **settings, **steps, **size}), run)
    return run


@pytest.fixture(scope="session")
def tensorrt_onnx(trained_run):
    """The ONNX for TensorRT of the trained run, in 32 bits; its conversion takes seconds."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    from tfadvseg.export.tensorrt_onnx import to_tensorrt_onnx

    return to_tensorrt_onnx(Predictor.load(trained_run), confidence=False)


@pytest.fixture
def converted(tensorrt_onnx, monkeypatch):
    """Lets exports of the trained run in 32 bits take what was converted already."""

    def take(predictor, *, confidence, fp16=False):
        assert not confidence and not fp16 and predictor.config.norm == "instance"
        return tensorrt_onnx

    monkeypatch.setattr("tfadvseg.export.tensorrt_engine.to_tensorrt_onnx", take)


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine without driver and TensorRT."""
    monkeypatch.setattr(cuda, "LIBRARY", "libcuda_that_is_not_there.so")
    monkeypatch.setattr(tensorrt, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


@pytest.fixture
def fake_gpu(bare, monkeypatch, tmp_path):
    """A `trtexec` and a GPU, neither of them real."""

    class FakeGpu:
        name = "fake GPU"

    program = tmp_path / "bin" / "trtexec"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(tensorrt, "Gpu", FakeGpu)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")
