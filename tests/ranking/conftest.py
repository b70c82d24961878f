"""A run whose network is seen through: a U-Net that passes the grey value on as its logit."""

import cv2
import numpy as np
import pytest

from tfadvseg.building import build_model
from tfadvseg.config import Config
from tfadvseg.data.formats.volumes import write_volume
from tfadvseg.data.geometry import Geometry
from tfadvseg.data.image import Image
from tfadvseg.preparation import prepare
from tfadvseg.run_folder import RunFolder, write_text

SIZE = 32
SETTINGS = {
    "image_size": SIZE,
    "window": [0, 255],
    "depth": 1,
    "base_filters": 8,
    "classes": ["background", "vessel"],
    "recipe": "supervised",
    "patient_pattern": r"^(p\d+)_",
    "labelled_patients": ["p1"],
    "val_patients": ["p2"],
    "test_patients": 0,
    "steps": 1,
}


def picture(grey, seed=0):
    """A bright square whose middle is of a grey value: 255 is surely vessel, 128 may be."""
    plane = np.zeros((SIZE, SIZE), np.uint8)
    plane[8:24, 8:24] = 255
    plane[12:20, 12:20] = grey
    noise = np.random.default_rng(seed).integers(0, 4, plane.shape)
    return np.minimum(plane, 250) + noise.astype(np.uint8)


def slope(network, value):
    """Makes the logit of the vessel `value` (x - 0.5), x the grey value from 0 to 1."""
    for layer in network.layers:
        if "conv" in layer.name and layer.name.startswith(("down0", "up0")):
            kernel = np.zeros(layer.kernel.shape, np.float32)
            kernel[1, 1, 0, 0] = 1  # the centre of the first channel, that of the skip connection
            layer.kernel.assign(kernel)
    classes = network.get_layer("classes")
    kernel = np.zeros(classes.kernel.shape, np.float32)
    kernel[0, 0, 0, 1] = value
    classes.kernel.assign(kernel)
    classes.bias.assign([0, -value / 2])


@pytest.fixture
def data(tmp_path):
    """A data folder: p1 trains, p2 validates, both labelled; nothing else yet."""
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    for seed, name in enumerate(("p1_a", "p2_a"), start=100):
        cv2.imwrite(str(folder / "images" / f"{name}.png"), picture(255, seed))
        mask = (picture(255) > 128).astype(np.uint8)
        cv2.imwrite(str(folder / "masks" / f"{name}.png"), mask)
    return folder


@pytest.fixture
def add(data):
    """Adds an unlabelled image of a grey value, a volume for several, from the feet or head on."""

    def write(name, *greys, seed=0, upwards=True):
        planes = [picture(grey, seed + place) for place, grey in enumerate(greys)]
        if len(planes) == 1:
            cv2.imwrite(str(data / "images" / f"{name}.png"), planes[0])
            return
        size = (SIZE, SIZE, len(planes))
        grid = Geometry(
            size, (1.0, 1.0, 5.0), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1 if upwards else -1)
        )
        write_volume(data / "images" / f"{name}.nii.gz", Image(np.stack(planes), grid))

    return write


@pytest.fixture
def make_clear_run(data, tmp_path):
    """A run on the data folder, with P(right) the network's own probability."""

    def make(student=9, **settings):
        config, split = prepare(Config(**{**SETTINGS, "data": str(data), **settings}))
        model = build_model(config)
        slope(model.predicting, 10)
        if model.averaged is not None:
            slope(model.segmenter, student)
        folder = RunFolder(tmp_path / "run")
        folder.create()
        write_text(folder.path / "config.yaml", config.to_yaml())
        folder.write_json("split.json", split.to_json())
        own = [[0.0, 1.0, 0.0]] * 2
        folder.write_json("calibration.json", {"coefficients": own, "unseen": [1.0, 1.0]})
        model.save(folder.path / "best.keras")
        return folder.path

    return make
