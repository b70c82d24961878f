import json
import shutil

import numpy as np
import pytest

from tfadvseg.config import Config
from tfadvseg.data.folders.cases import Case
from tfadvseg.data.geometry import Geometry
from tfadvseg.data.image import Image, Source
from tfadvseg.data.io import write_mask
from tfadvseg.errors import DataWarning, InputError
from tfadvseg.evaluation import cases_of_split, evaluate, score_cases
from tfadvseg.metrics import mean
from tfadvseg.run_folder import RunFolder, write_text


class Copier:
    """Predicts the image itself."""

    config = Config(classes=("background", "vessel"), ignore_label=255)

    def segment(self, image):
        return image.voxels[..., 0]


@pytest.fixture
def cases(tmp_path):
    """Three volumes of two patients: image (what is predicted) and mask differ as told."""
    grid = Geometry((8, 8, 2), (1, 1, 2), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    found = []
    for name, patient, true, predicted in (
        ("a1", "a", slice(0, 4), slice(0, 4)),
        ("b1", "b", slice(0, 8), slice(0, 8)),
        ("a2", "a", slice(0, 2), slice(0, 4)),
    ):
        paths = [tmp_path / f"{name}_{part}.nii" for part in ("image", "mask")]
        for path, rows in zip(paths, (predicted, true), strict=True):
            voxels = np.zeros((2, 8, 8), np.uint8)
            voxels[:, rows] = 1
            write_mask(path, Image(voxels, grid))
        found.append(Case(name, Source((paths[0],)), paths[1], patient))
    return found


def test_a_patients_cases_are_pooled(cases):
    result = score_cases(Copier(), cases, "test")
    a, b = result["per_patient"]
    assert (a["patient"], a["cases"], b["patient"], b["cases"]) == ("a", 2, "b", 1)
    # 4 + 2 of 4 + 4 predicted rows are true: pooled, not the mean of the two Dice scores.
    assert a["per_class"]["vessel"]["dice"] == pytest.approx(12 / 14)
    assert a["per_class"]["vessel"]["precision"] == pytest.approx(6 / 8)
    assert b["per_class"]["vessel"]["dice"] == 1
    assert result["pooled"]["per_class"]["vessel"]["recall"] == 1


def test_a_patients_distances_are_the_means_over_his_cases(cases):
    result = score_cases(Copier(), cases, "test")
    distances = {
        case["case"]: case["per_class"]["vessel"]["hd95_mm"] for case in result["per_case"]
    }
    vessel = result["per_patient"][0]["per_class"]["vessel"]
    assert distances["a1"] == 0 and distances["a2"] > 1
    assert vessel["hd95_mm"] == pytest.approx(distances["a2"] / 2)
    assert result["per_patient"][0]["per_class"]["background"]["hd95_mm"] is None
    without = score_cases(Copier(), cases, "val", surfaces=False)
    assert "hd95_mm" not in without["per_patient"][0]["per_class"]["vessel"]


def test_patients_of_no_case_at_all():
    assert score_cases(Copier(), [], "test")["per_patient"] == []


def test_mean_of_what_is_defined():
    assert mean([1.0, None, 0.0]) == 0.5
    assert mean([None]) is None


@pytest.mark.slow
def test_it_is_told_how_many_cases_were_trained_on(make_run, shared_phantom, tmp_path):
    run = make_run(recipe="supervised")
    with pytest.warns(DataWarning, match="6 of the 12 cases .* trained on: .* give --split"):
        evaluate(run, data=shared_phantom)
    evaluate(run, data=shared_phantom, split="test")  # where warnings are errors
    evaluate(run, data=shutil.copytree(shared_phantom, tmp_path / "others"))


@pytest.fixture
def run_of(tmp_path):
    """Makes a run folder with nothing but settings: `data`, two classes, a window for CT."""

    def make(data, classes=("background", "aorta", "pulmonary artery")):
        folder = RunFolder(tmp_path / "run")
        folder.create()
        settings = Config(data=str(data), classes=classes, channels=1, window=(0.0, 255.0))
        write_text(folder.path / "config.yaml", settings.to_yaml())
        folder.write_json("split.json", {"test": ["phantom000_slice00"]})
        return folder

    return make


def describe(data, **changes):
    content = json.loads((data / "dataset.json").read_text()) | changes
    (data / "dataset.json").write_text(json.dumps(content))


def test_other_data_whose_indices_mean_other_classes_are_refused(phantom, run_of):
    folder = run_of("elsewhere")
    describe(phantom, labels={"background": 0, "aorta": 2, "pulmonary artery": 1})
    words = (
        "expected the classes in the order of the run, background, aorta, pulmonary artery, "
        "received background, pulmonary artery, aorta; write the masks"
    )
    with pytest.raises(InputError, match=words):
        cases_of_split(folder, phantom, "test")
    with pytest.raises(InputError, match=words):
        evaluate(folder.path, data=phantom, predictor=Copier())


def test_other_names_and_another_window_are_told(phantom, run_of):
    folder = run_of("elsewhere")
    cases_of_split(folder, phantom, "test")  # all alike: a warning would be an error
    describe(phantom, labels={"background": 0, "aorta": 1})
    cases_of_split(folder, phantom, "test")  # a class less says nothing else of the others
    describe(phantom, labels={"background": 0, "aorta": 1, "PA": 2})
    with pytest.warns(DataWarning, match="the classes background, aorta, PA are taken for the run"):
        cases_of_split(folder, phantom, "test")
    describe(phantom, labels={"background": 0, "aorta": 1}, window="angiography")
    told = r"its window, angiography, is not used: the run was trained with \(0.0, 255.0\)"
    with pytest.warns(DataWarning, match=told):
        cases_of_split(folder, phantom, "test")


def test_names_and_window_that_a_run_gave_its_own_data_are_not_told(phantom, run_of):
    folder = run_of(phantom, ("background", "pulmonary artery", "aorta"))
    describe(phantom, window="angiography")
    assert [case.name for case in cases_of_split(folder, phantom, "test")] == ["phantom000_slice00"]
