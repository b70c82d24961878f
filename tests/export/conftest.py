"""Runs to export: networks that were never trained, on a phantom, and one that was."""

import cv2
import numpy as np
import pytest

from tfadvseg.config import Config
from tfadvseg.preparation import prepare
from tfadvseg.run_folder import RunFolder, write_text
from tfadvseg.training import build_model, fit


@pytest.fixture(scope="session")
def make_run(shared_phantom, tiny, tmp_path_factory):
    """A run folder whose networks have their first weights."""

    def make(data=shared_phantom, **settings):
        config, split = prepare(Config(**{**tiny, "data": str(data), **settings}))
        folder = RunFolder(tmp_path_factory.mktemp("runs") / "heart run")
        folder.create()
        write_text(folder.path / "config.yaml", config.to_yaml())
        folder.write_json("split.json", split.to_json())
        build_model(config).save(folder.path / "best.keras")
        return folder.path

    return make


@pytest.fixture(scope="session")
def run(make_run):
    return make_run(recipe="adversarial")


@pytest.fixture(scope="session")
def trained_run(tiny, tmp_path_factory):
    """A run that was trained, on bright discs: its masks show something."""
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
    steps = {"steps": 120, "validate_every": 60, "learning_rate": 0.01}
    run = tmp_path_factory.mktemp("trained") / "discs"
    fit(Config(**{**tiny, "data": str(folder), **settings, **steps}), run)
    return run
