"""What the tests share: a tiny phantom, tiny settings, and quiet third parties."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TFADVSEG_SALT"] = "tests"  # else a file in the home of whoever runs the tests

import shutil
from pathlib import Path

import pytest

from tfadvseg.data.phantom import write_phantom

TINY = {
    "base_filters": 4,
    "depth": 2,
    "image_size": 32,
    "discriminator_filters": [4, 8],
    "steps": 6,
    "validate_every": 2,
    "batch_size": 2,
    "unlabelled_batch_size": 2,
}


@pytest.fixture(scope="session")
def tiny():
    """Settings that train in seconds."""
    return dict(TINY)


@pytest.fixture(scope="session")
def tiny_options():
    """The same as options of the command line."""
    return [f"--set={name}={value}" for name, value in TINY.items()]


@pytest.fixture(scope="session")
def shared_phantom(tmp_path_factory):
    """A data folder that no test changes: 4 patients (2 train, 1 val, 1 test) of 3 slices."""
    folder = tmp_path_factory.mktemp("shared") / "phantom"
    write_phantom(folder, patients=4, slices=3, size=48, seed=1)
    return folder


@pytest.fixture
def phantom(shared_phantom, tmp_path) -> Path:
    """A copy of the phantom that a test may spoil."""
    return Path(shutil.copytree(shared_phantom, tmp_path / "phantom"))


@pytest.fixture(scope="session")
def real_data():
    """Finds a folder of public images that lies beside the checkout; they are in no repository."""

    def find(name) -> Path:
        folders = (parent / "shared" / "data" / name for parent in Path(__file__).parents)
        found = next((folder for folder in folders if folder.is_dir()), None)
        return found or pytest.skip(f"no shared/data/{name} beside the checkout")

    return find
