"""Runs to export: networks that were never trained, on a phantom."""

import pytest

from tfadvseg.config import Config
from tfadvseg.preparation import prepare
from tfadvseg.run_folder import RunFolder, write_text
from tfadvseg.training import build_model


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
