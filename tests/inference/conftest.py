"""Predictors whose networks were never trained."""

import pytest

from tfadvseg.building import build_model
from tfadvseg.config import Config
from tfadvseg.inference.predictor import Predictor
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
