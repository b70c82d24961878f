"""A run to export: networks that were never trained, on a phantom."""

import pytest


@pytest.fixture(scope="session")
def run(make_run):
    return make_run(recipe="adversarial")
