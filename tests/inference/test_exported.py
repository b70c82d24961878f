"""Exported models predict as the run does, in every engine and format."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from tfadvseg.data.image import Source
from tfadvseg.errors import InputError
from tfadvseg.export.saved_model import export_saved_model
from tfadvseg.inference.export_folder import ExportFolder
from tfadvseg.inference.exported import ExportedPredictor
from tfadvseg.inference.files import Outputs, predict_files
from tfadvseg.inference.predictor import Predictor
from tfadvseg.inference.quality import Calibration


@pytest.fixture(scope="module")
def run(make_run, calibration):
    path = make_run(recipe="adversarial")
    calibration.write(path)
    return path


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    path, _ = export_saved_model(run, tmp_path_factory.mktemp("out") / "heart", confidence=True)
    return path


def test_files_are_the_same(run, exported, shared_phantom, tmp_path):
    sources = [Source((path,)) for path in sorted((shared_phantom / "images").iterdir())]
    carried = Calibration.from_json(ExportFolder(exported).read_description()["calibration"])
    for name, predictor, calibration in (
        ("a", Predictor.load(run), Calibration.read(run)),
        ("b", ExportedPredictor.load(exported), carried),
    ):
        predict_files(predictor, sources, Outputs(tmp_path / name, calibration=calibration))
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.png"))
    assert len(files) == 2 * len(sources)
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.slow
def test_a_pixel_size_goes_to_every_slice_and_there_may_be_no_confidence(make_run, tmp_path):
    data = tmp_path / "data"
    for part, most in (("images", 200), ("masks", 3)):
        (data / part).mkdir(parents=True)
        for number in range(3):
            voxels = np.random.default_rng(number).integers(0, most, (2, 40, 30))
            volume = sitk.GetImageFromArray(voxels.astype(np.uint8))
            volume.SetSpacing((0.8, 0.7, 2))
            sitk.WriteImage(volume, str(data / part / f"p{number}_v.nii.gz"))
    run = make_run(data, recipe="supervised", spacing_mm=1.0, patient_pattern=r"(p\d)_")
    predictor = ExportedPredictor.load(export_saved_model(run, tmp_path / "heart")[0])
    slices = np.random.default_rng(7).integers(0, 200, (3, 40, 30, 1))
    answer, expected = predictor(slices, (0.9, 0.6)), Predictor.load(run)(slices, (0.9, 0.6))
    np.testing.assert_allclose(answer.probabilities, expected.probabilities, atol=1e-5)
    assert not predictor.has_confidence and answer.confidence is None
    with pytest.raises(InputError, match="pixel size in mm"):
        predictor(slices)


def test_the_newest_version_is_found(exported, tmp_path):
    for name in ("9", "10", "11"):
        (tmp_path / name).mkdir()
    for name in ("9", "10"):  # 11 has no model
        (tmp_path / name / "model.onnx").touch()
    assert ExportFolder.find(tmp_path) == ExportFolder(tmp_path / "10")
    assert ExportFolder.find(exported) == ExportFolder.find(exported.parent)
    assert ExportFolder.find(exported).engine == "tensorflow"
    assert ExportFolder.find(tmp_path / "11") is None and ExportFolder.find(tmp_path / "no") is None


def test_a_model_of_others_is_refused(tmp_path):
    (tmp_path / "model.onnx").touch()
    with pytest.raises(InputError, match="`tfadvseg export` wrote, received one without model"):
        ExportFolder(tmp_path).read_config()
    (tmp_path / "model.json").write_text(
        json.dumps({"classes": ["a", "b"], "channels": 1, "settings": {"image_size": 64}})
    )
    assert ExportFolder(tmp_path).read_config().image_size == 64
