import csv
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from tfadvseg.data.io import read_image
from tfadvseg.data.phantom import draw_patient, write_phantom
from tfadvseg.data.phantom.anatomy import sample_anatomy
from tfadvseg.data.phantom.drawing import draw_slice
from tfadvseg.errors import InputError


def contents(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def read_cases(folder):
    with (folder / "cases.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("phantom") / "data"
    write_phantom(path, patients=5, slices=4, size=64, seed=3)
    return path


def test_writes_the_layout_of_a_data_folder(folder):
    assert sorted(p.name for p in folder.iterdir()) == [
        "cases.csv",
        "dataset.json",
        "images",
        "masks",
    ]
    files = [row["file"] for row in read_cases(folder)]
    assert files[0] == "phantom000_slice00.png"
    assert len(files) == 5 * 4
    for kind in ("images", "masks"):
        assert sorted(p.name for p in (folder / kind).iterdir()) == sorted(files)
    description = json.loads((folder / "dataset.json").read_text())
    assert description["labels"] == {"background": 0, "aorta": 1, "pulmonary artery": 2}
    assert description["ignore_label"] == 255
    assert description["window"] == [0, 255]


def test_files_are_8_bit_grey_images_and_class_indices(folder):
    seen = set()
    for row in read_cases(folder):
        image = cv2.imread(str(folder / "images" / row["file"]), cv2.IMREAD_UNCHANGED)
        mask = cv2.imread(str(folder / "masks" / row["file"]), cv2.IMREAD_UNCHANGED)
        assert image.dtype == mask.dtype == np.uint8
        assert image.shape == mask.shape == (64, 64)
        assert image.min() == 0 and image.max() > 150
        seen |= set(np.unique(mask).tolist())
    assert seen == {0, 1, 2}


@pytest.mark.parametrize(
    ("patients", "counts"),
    [
        (3, {"train": 1, "val": 1, "test": 1}),
        (5, {"train": 3, "val": 1, "test": 1}),
        (10, {"train": 6, "val": 2, "test": 2}),
    ],
)
def test_splits_are_by_patient(tmp_path, patients, counts):
    write_phantom(tmp_path / "p", patients=patients, slices=2, size=32)
    groups = {}
    for row in read_cases(tmp_path / "p"):
        assert row["file"].startswith(row["patient"] + "_")
        groups.setdefault(row["split"], set()).add(row["patient"])
    assert {split: len(members) for split, members in groups.items()} == counts
    assert len(set.union(*groups.values())) == patients


def test_same_seed_same_bytes_and_another_seed_another_patient(tmp_path, folder):
    write_phantom(tmp_path / "again", patients=5, slices=4, size=64, seed=3)
    assert contents(tmp_path / "again") == contents(folder)
    write_phantom(tmp_path / "other", patients=5, slices=4, size=64, seed=4)
    first = "images/phantom000_slice00.png"
    assert contents(tmp_path / "other")[first] != contents(folder)[first]


def test_a_patient_does_not_depend_on_the_number_of_patients(tmp_path, folder):
    write_phantom(tmp_path / "fewer", patients=3, slices=4, size=64, seed=3)
    more = contents(folder)
    for name, data in contents(tmp_path / "fewer").items():
        if name.endswith(".png"):
            assert more[name] == data


def test_volumes_hold_the_same_patients_in_hu_from_the_feet_up(tmp_path, folder):
    write_phantom(tmp_path / "p", patients=5, slices=4, size=64, seed=3, format="nifti")
    rows = read_cases(tmp_path / "p")
    assert [row["file"] for row in rows] == [f"phantom{k:03d}.nii.gz" for k in range(5)]
    for row in rows:
        image, mask = (
            read_image(tmp_path / "p" / part / row["file"]) for part in ("images", "masks")
        )
        assert image.geometry == mask.geometry and image.geometry.size == (64, 64, 4)
        assert image.geometry.spacing_mm == (5.625, 5.625, 60.0)
        assert image.voxels.dtype == np.int16 and image.voxels.min() < -700
        pictures = [
            cv2.imread(str(folder / "masks" / f"{row['patient']}_slice{z:02d}.png"), -1)
            for z in range(4)
        ]
        np.testing.assert_array_equal(mask.voxels[::-1, ..., 0], pictures)


def test_most_slices_show_the_aorta_and_some_the_pulmonary_artery():
    masks = [mask for k in range(6) for _, mask in draw_patient(k, slices=8, size=96)]
    assert np.mean([(mask == 1).any() for mask in masks]) > 0.85
    assert 0.25 < np.mean([(mask == 2).any() for mask in masks]) < 0.75


def test_brightness_does_not_tell_the_vessels_apart():
    brighter = []
    for patient in range(20):
        images, masks = zip(*draw_patient(patient, size=64), strict=True)
        values, classes = np.array(images), np.array(masks)
        brighter.append(np.median(values[classes == 1]) > np.median(values[classes == 2]))
    assert 4 < sum(brighter) < 16


def test_edges_show_partial_volume():
    anatomy = sample_anatomy(np.random.default_rng(0))
    hu, mask = draw_slice(anatomy, 0.4, 64)
    lung_edge = (hu > -800) & (hu < -150)  # no tissue of the phantom has such a value
    assert 50 < lung_edge.sum() < 0.2 * hu.size
    assert np.median(hu[mask == 1]) == pytest.approx(anatomy.hu["aorta"])
    assert np.median(hu[mask == 2]) == pytest.approx(anatomy.hu["pulmonary"])


def test_shape_does_not_depend_on_the_resolution():
    anatomy = sample_anatomy(np.random.default_rng(1))
    shares = [(draw_slice(anatomy, 0.4, size)[1] == 1).mean() for size in (64, 256)]
    assert shares[0] == pytest.approx(shares[1], rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patients": 2}, "patients must be at least 3, got 2"),
        ({"slices": 0}, "slices must be at least 1, got 0"),
        ({"size": 31}, "size must be 32 to 1024, got 31"),
        ({"size": 1025}, "size must be 32 to 1024, got 1025"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_refuses_arguments_out_of_range(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        write_phantom(tmp_path / "p", **arguments)
    assert "\n" not in str(caught.value)
    assert not any(tmp_path.iterdir())


def test_refuses_a_folder_with_something_in_it(tmp_path):
    (tmp_path / "precious.txt").write_text("keep me")
    with pytest.raises(InputError, match="new or empty folder"):
        write_phantom(tmp_path, patients=3, slices=1, size=32)
    with pytest.raises(InputError, match="new or empty folder"):
        write_phantom(tmp_path / "precious.txt", patients=3, slices=1, size=32)
    assert (tmp_path / "precious.txt").read_text() == "keep me"


def test_fills_an_empty_folder_and_makes_missing_parents(tmp_path):
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "a" / "b"):
        write_phantom(path, patients=3, slices=1, size=32)
        assert (path / "cases.csv").exists()
        assert [p.name for p in path.parent.iterdir() if p.name.startswith(".")] == []


def test_nothing_is_left_when_interrupted(tmp_path):
    def interrupt(done):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_phantom(tmp_path / "p", patients=3, slices=1, size=32, progress=interrupt)
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="file modes of POSIX")
def test_others_may_read_the_folder_as_the_umask_says(tmp_path):
    write_phantom(tmp_path / "p", patients=3, slices=1, size=32)
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "p").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_progress_counts_the_patients(tmp_path):
    calls = []
    write_phantom(tmp_path / "p", patients=4, slices=1, size=32, progress=calls.append)
    assert calls == [1, 2, 3, 4]


def test_does_not_import_tensorflow():
    code = "import sys, tfadvseg.data.phantom; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
