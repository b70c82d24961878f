"""What preparation decides from the data: the layers of recipe strong's discriminator."""

import json
import math
import shutil

import cv2
import numpy as np
import pytest
import SimpleITK as sitk

from tfadvseg.config import Config
from tfadvseg.data.checks.facts import inspect
from tfadvseg.data.folders.cases import read_data_folder
from tfadvseg.models.discriminator import Discriminator, layers_for
from tfadvseg.preparation import prepare, smallest_extent


@pytest.mark.parametrize(
    ("extent", "halvings"),
    [(0.5, 4), (8.0, 4), (31.9, 4), (32.0, 5), (63.9, 5), (64.0, 6), (1000.0, 6)],
)
def test_a_value_of_ds_map_covers_no_more_than_a_structure(extent, halvings):
    filters = layers_for(extent, base_filters=16)
    assert filters == (32, 64, 128, 256, 512)[: halvings - 1]
    assert halvings == 4 or Discriminator(2, filters).reduction == 2**halvings <= extent


def test_the_most_halvings_give_the_layers_of_the_paper():
    assert layers_for(64.0, base_filters=32) == (64, 128, 256, 512, 512)


def write_masks(folder, patient, side):
    """Class 1 becomes a square in every mask of a patient, and class 2 what is around."""
    for file in sorted((folder / "masks").glob(f"{patient}*")):
        mask = np.full((48, 48), 2, np.uint8)
        mask[:side, :side] = 1
        cv2.imwrite(str(file), mask)


@pytest.fixture
def phantom(shared_phantom, tmp_path):
    folder = shutil.copytree(shared_phantom, tmp_path / "phantom")
    for number in range(4):
        write_masks(folder, f"phantom00{number}", 32)
    return folder


def test_the_smallest_class_by_hand(phantom):
    """A square of 32x32 pixels of the file is one of 16x16 where images of 48 are seen as 24."""
    cases = [case for case in read_data_folder(phantom).cases if case.patient == "phantom001"]
    config = Config(image_size=24, data=str(phantom))
    expected = math.sqrt(4 / math.pi * 16 * 16)
    facts = [inspect(case) for case in cases]
    assert smallest_extent(facts, config) == pytest.approx(expected, rel=1e-6)
    assert smallest_extent([], config) == 24


@pytest.mark.parametrize(("part", "halvings"), [("labelled", 4), ("val", 5), ("test", 5)])
def test_labelled_patients_alone_decide_the_layers_of_d(phantom, tiny, part, halvings):
    """A class of 36 pixels across takes five halvings, one of 4 pixels four."""
    settings = tiny | {"discriminator_filters": None, "image_size": 48, "labelled_patients": 1}
    config = Config(**settings, data=str(phantom), recipe="strong")
    prepared, split = prepare(config)
    assert len(prepared.discriminator_filters) == 5 - 1
    for case in getattr(split, part):
        write_masks(phantom, case.patient, 4)
    assert len(prepare(config)[0].discriminator_filters) == halvings - 1


def modalities(root, channels):
    """A data set of nnU-Net: two patients, each channel in a file, of about 1000 times the last."""
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        for channel in range(channels):
            scan = sitk.GetImageFromArray(1000**channel * rng.random((2, 16, 16)))
            sitk.WriteImage(scan, str(root / "imagesTr" / f"{name}_{channel:04d}.nii.gz"))
        mask = sitk.GetImageFromArray(np.eye(16, dtype=np.uint8)[None].repeat(2, axis=0))
        sitk.WriteImage(mask, str(root / "labelsTr" / f"{name}.nii.gz"))
    names = dict(enumerate(("PET", "CT")[:channels]))
    (root / "cases.csv").write_text("file,patient\na,a\nb,b\n")
    content = {"channel_names": names, "labels": {"background": 0, "line": 1}}
    (root / "dataset.json").write_text(json.dumps(content | {"file_ending": ".nii.gz"}))
    return root


@pytest.mark.parametrize(
    ("channels", "given", "window"),
    [
        (1, None, None),
        (2, None, "percentile-by-channel"),
        (2, "percentile", "percentile"),
        (2, (0.0, 9.0), (0.0, 9.0)),
    ],
)
def test_channels_in_files_of_their_own_have_scales_of_their_own(
    tmp_path, tiny, channels, given, window
):
    root = modalities(tmp_path / "data", channels)
    settings = tiny | {"data": str(root), "window": given, "recipe": "supervised"}
    config, _ = prepare(Config(**settings, val_patients=0, test_patients=1))
    assert (config.window, config.channels) == (window, channels)


def test_colours_keep_their_balance(shared_phantom, tmp_path, tiny):
    root = shutil.copytree(shared_phantom, tmp_path / "colour")
    for file in (root / "images").iterdir():
        cv2.imwrite(str(file), cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2HSV))
    (root / "dataset.json").unlink(missing_ok=True)
    config, _ = prepare(Config(**tiny, data=str(root), recipe="supervised"))
    assert (config.window, config.channels) == (None, 3)
