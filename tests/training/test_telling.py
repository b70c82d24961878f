"""What the terminal is told before training."""

import pytest

from tfadvseg.building import build_model
from tfadvseg.config import Config
from tfadvseg.data.folders.split import Split
from tfadvseg.training.telling import description


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"norm": "instance"}, True),
        ({"norm": "batch", "batch_size": 1}, True),
        ({"norm": "batch"}, False),
        ({"norm": "group"}, False),
        ({"norm": "instance", "image_size": (8, 16)}, False),
    ],
)
def test_a_bottom_of_one_pixel(settings, told):
    """Of which instance norm leaves its offset alone."""
    classes = ("background", "heart")
    settings = {"image_size": 8, "depth": 3, "classes": classes, "channels": 1, **settings}
    config = Config(recipe="supervised", base_filters=4, **settings)
    lines = list(description(config, Split((), (), (), ()), build_model(config)))
    assert any("bottom of S an image is one pixel" in line for line in lines) is told
