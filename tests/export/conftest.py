"""What the tests of exports share."""

import pytest


@pytest.fixture(scope="session")
def run(make_run):
    return make_run(recipe="adversarial")
