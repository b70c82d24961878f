"""Predictors whose networks were never trained."""

import numpy as np
import pytest

from tfadvseg.building import build_model
from tfadvseg.config import Config
from tfadvseg.inference.predictor import Predictor
from tfadvseg.inference.quality import Calibration
from tfadvseg.run_folder import RunFolder, write_text


@pytest.fixture(scope="module")
def make_predictor(tmp_path_factory, tiny):
    """A predictor whose networks have their first weights: what it says is random but fixed."""

    def make(**settings):
        path = tmp_path_factory.mktemp("run")
        config = Config.from_mapping(
            {**tiny, "classes": ("background", "left atrium", "aorta"), "channels": 1, **settings}
        )
        write_text(path / "config.yaml", config.to_yaml())
        build_model(config).save(RunFolder(path).path / "best.keras")
        return Predictor.load(path)

    return make


@pytest.fixture(scope="module")
def predictor(make_predictor):
    return make_predictor()


@pytest.fixture(scope="package")
def calibration():
    """A calibration of three classes that weighs S and D alike."""
    return Calibration(np.tile([0.5, 1.0, 1.0], (3, 1)), np.array([0.9, 0.1, 0.0]))
