"""Damaged files of every format: a clear error or an image, never a crash, a hang or a flood."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import SimpleITK as sitk

from tfadvseg.data.phantom import write_phantom

COUNT = 230  # damaged copies of each file
VOLUMES = ("a.nii", "a.nii.gz", "a.mha", "packed.mha", "a.nrrd", "packed.nrrd")
PICTURES = ("a.png", "a.jpg", "a.tif", "pages.tif")
TEXTS = ("cases.csv", "dataset.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data folder, with one small valid file of every format beside its tables."""
    folder = tmp_path_factory.mktemp("fuzz") / "data"
    write_phantom(folder, patients=3, slices=1, size=32)
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 4, (20, 24), np.uint8)
    for name in PICTURES:
        assert cv2.imwrite(str(folder / name), picture)
    cv2.imwritemulti(str(folder / "pages.tif"), [picture, picture[::-1]])
    volume = sitk.GetImageFromArray(rng.integers(0, 4, (4, 20, 24)).astype(np.int16))
    for name in VOLUMES:
        sitk.WriteImage(volume, str(folder / name), name.startswith("packed"))
    # SimpleITK writes DICOM too, a slice a file.
    sitk.WriteImage(volume[:, :, 1], str(folder / "a.dcm"))
    return folder


@pytest.mark.parametrize("name", [*PICTURES, *VOLUMES, "a.dcm", *TEXTS])
def test_damaged_files_are_read_or_refused_in_one_line_with_their_name(folder, name):
    command = [sys.executable, Path(__file__).with_name("fuzz.py"), folder / name, str(COUNT)]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr[-2000:]
    result = json.loads(process.stdout)
    assert result["strange"] == []
    assert result["outcomes"]["refused"] > COUNT / 10
    assert result["memory"] < 1 << 30
