"""What preparation decides from the data: the layers of recipe strong's discriminator."""

import math
import shutil

import cv2
import numpy as np
import pytest

from tfadvseg.config import Config
from tfadvseg.data.checks.facts import inspect
from tfadvseg.data.folders.cases import read_data_folder
from tfadvseg.models.discriminator import layers_for
from tfadvseg.preparation import prepare, smallest_extent


@pytest.mark.parametrize(
    ("extent", "halvings"),
    [(0.5, 2), (8.0, 2), (15.9, 2), (16.0, 3), (32.0, 4), (64.0, 5), (1000.0, 5)],
)
def test_a_structure_spans_two_values_of_ds_map(extent, halvings):
    filters, strides = layers_for(extent, base_filters=16)
    assert strides == (2,) * halvings + (1,)
    assert filters == (32, 64, 128, 256, 512)[:halvings]
    assert halvings == 2 or 2 <= extent / 2**halvings  # fewer than two halvings there never are


def test_the_most_halvings_give_the_layers_of_the_paper():
    assert layers_for(64.0, base_filters=32)[0] == (64, 128, 256, 512, 512)


def write_masks(folder, patient, side):
    """Class 1 becomes a square in every mask of a patient; class 2, which is larger, too."""
    for file in sorted((folder / "masks").glob(f"{patient}*")):
        mask = np.zeros((48, 48), np.uint8)
        mask[20:44, 20:44] = 2
        mask[:side, :side] = 1
        cv2.imwrite(str(file), mask)


@pytest.fixture
def phantom(shared_phantom, tmp_path):
    folder = shutil.copytree(shared_phantom, tmp_path / "phantom")
    for number in range(4):
        write_masks(folder, f"phantom00{number}", 16)
    return folder


def test_the_smallest_class_by_hand(phantom):
    """A square of 16x16 pixels of the file is one of 8x8 where images of 48 are seen as 24."""
    cases = [case for case in read_data_folder(phantom).cases if case.patient == "phantom001"]
    config = Config(image_size=24, data=str(phantom))
    expected = math.sqrt(4 / math.pi * 8 * 8)
    facts = [inspect(case) for case in cases]
    assert smallest_extent(facts, config) == pytest.approx(expected, rel=1e-6)
    assert smallest_extent([], config) == 24


@pytest.mark.parametrize(("part", "halvings"), [("labelled", 2), ("val", 3), ("test", 3)])
def test_labelled_patients_alone_decide_the_layers_of_d(phantom, tiny, part, halvings):
    """A class of 16 pixels across takes three halvings, one of 4 pixels two."""
    settings = tiny | {"discriminator_filters": None, "image_size": 48, "labelled_patients": 1}
    config = Config(**settings, data=str(phantom), recipe="strong")
    prepared, split = prepare(config)
    assert prepared.discriminator_strides == (2, 2, 2, 1)
    for case in getattr(split, part):
        write_masks(phantom, case.patient, 4)
    assert prepare(config)[0].discriminator_strides == (2,) * halvings + (1,)
