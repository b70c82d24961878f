"""An OpenVINO model against the run's own predictor, and 8 bits against 32."""

import json
import sys

import cv2
import numpy as np
import pytest
import SimpleITK as sitk

openvino = pytest.importorskip("openvino")
pytest.importorskip("nncf")

from tfadvseg.errors import ExportError, InputError  # noqa: E402
from tfadvseg.evaluation import evaluate  # noqa: E402
from tfadvseg.export import openvino_model  # noqa: E402
from tfadvseg.export.int8 import Calibration  # noqa: E402
from tfadvseg.export.openvino_model import export_openvino  # noqa: E402
from tfadvseg.export.samples import Sample  # noqa: E402
from tfadvseg.inference.engines import loader  # noqa: E402
from tfadvseg.inference.predictor import Predictor  # noqa: E402
from tfadvseg.run_folder import RunFolder  # noqa: E402

# NNCF's own dependencies.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def ask(folder, **inputs):
    """As `tfadvseg serve --engine openvino` computes."""
    return loader("openvino")(folder)["serving_default"].call(inputs)


def quantised_layers(folder):
    """Convolutions whose input is quantised, and all of them."""
    nodes = openvino.Core().read_model(folder / "model.xml").get_ops()
    all_of_them = [node for node in nodes if node.get_type_name().startswith("Convolution")]
    eight = [
        n for n in all_of_them if n.input_value(0).get_node().get_type_name() == "FakeQuantize"
    ]
    return len(eight), len(all_of_them)


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    return export_openvino(run, tmp_path_factory.mktemp("out") / "heart", confidence=True)


@pytest.mark.parametrize("shape", [(3, 50, 37, 1), (1, 64, 96, 1)])
def test_any_size_and_batch(run, exported, shape):
    batch = np.random.default_rng(5).integers(0, 256, shape).astype(np.float32)
    answer, expected = ask(exported[0], images=batch), Predictor.load(run)(batch)
    np.testing.assert_allclose(answer["probabilities"], expected.probabilities, atol=1e-4)
    np.testing.assert_allclose(answer["confidence"], expected.confidence, atol=1e-4)
    assert answer["mask"].dtype == np.uint8 and np.mean(answer["mask"] != expected.masks) < 1e-3


def test_what_lies_in_a_version(exported):
    folder, parity, cost = exported
    assert folder.name == "1" and cost is None
    assert parity.calls == 3 and parity.difference <= 1e-4
    files = {"model.xml", "model.bin", "model.json", "model_card.md"}
    assert {file.name for file in folder.iterdir()} == files
    about = json.loads((folder / "model.json").read_text())
    assert about["signatures"]["serving_default"] == {
        "inputs": {"images": {"dtype": "float32", "shape": [None, None, None, 1]}},
        "outputs": {
            "confidence": {"dtype": "float32", "shape": [None, None, None]},
            "mask": {"dtype": "uint8", "shape": [None, None, None]},
            "probabilities": {"dtype": "float32", "shape": [None, None, None, 3]},
        },
    }
    assert "int8" not in about and quantised_layers(folder)[0] == 0
    nodes = openvino.Core().read_model(folder / "model.xml").get_ops()
    constants = {n.get_element_type() for n in nodes if n.get_type_name() == "Constant"}
    assert openvino.Type.f32 in constants and openvino.Type.f16 not in constants


def test_a_pixel_size_is_an_input(make_run, tmp_path):
    data = tmp_path / "data"
    for part, values in (("images", (0, 900)), ("masks", (0, 3))):
        (data / part).mkdir(parents=True)
        for number in range(3):
            rng = np.random.default_rng(number)
            volume = sitk.GetImageFromArray(rng.integers(*values, (2, 40, 30)).astype(np.uint16))
            volume.SetSpacing((0.8, 0.7, 2))
            sitk.WriteImage(volume, str(data / part / f"p{number}_v.nii.gz"))
    settings = {"spacing_mm": 1.0, "window": (0, 900), "patient_pattern": r"(p\d)_"}
    run = make_run(data, recipe="supervised", **settings)
    folder, _, _ = export_openvino(run, tmp_path / "heart", int8=True)
    assert quantised_layers(folder)[0]
    batch = np.random.default_rng(0).integers(0, 900, (2, 40, 30, 1)).astype(np.float32)
    answer = ask(folder, images=batch, spacing_mm=np.array([0.9, 0.6], np.float32))
    expected = Predictor.load(run)(batch, (0.9, 0.6))
    np.testing.assert_allclose(answer["probabilities"], expected.probabilities, atol=0.1)


def test_eight_bits_and_what_they_cost(trained_run, tmp_path):
    folder, _, cost = export_openvino(trained_run, tmp_path / "discs", int8=True)
    assert cost.validation_cases == 3 and cost.calibration_slices == 6
    dice = evaluate(trained_run, split="val")["pooled"]["foreground"]["dice"]
    assert cost.dice_float32 == dice > 0.7 and cost.dice_int8 >= dice - 0.005
    eight, all_of_them = quantised_layers(folder)
    assert eight == all_of_them > 5
    # What the file says is what was scored.
    overlap = np.zeros(2)
    for name in RunFolder(trained_run).read_json("split.json")["val"]:
        data = RunFolder(trained_run).read_config().data
        image, mask = (cv2.imread(f"{data}/{p}/{name}.png", -1) for p in ("images", "masks"))
        found = ask(folder, images=image[None, ..., None].astype(np.float32))["mask"][0]
        overlap += 2 * np.sum(found & mask), np.sum(found) + np.sum(mask)
    assert cost.dice_int8 == pytest.approx(overlap[0] / overlap[1])
    about = json.loads((folder / "model.json").read_text())["int8"]
    assert about["dice_int8"] == cost.dice_int8 and about["dice_float32"] == cost.dice_float32
    card = (folder / "model_card.md").read_text()
    assert f"{cost.dice_float32:.4f} with 32 bits and {cost.dice_int8:.4f} with 8" in card


def test_the_discriminator_keeps_32_bits(run, tmp_path):
    folder, _, _ = export_openvino(run, tmp_path / "heart", int8=True, confidence=True)
    eight, all_of_them = quantised_layers(folder)
    assert 0 < eight == all_of_them - 3  # the discriminator of the tests has three


def test_eight_bits_that_cost_too_much_are_refused(trained_run, tmp_path, monkeypatch):
    """Ranges that were measured on black images fit no other."""
    black = [Sample(np.zeros((40, 48, 1), np.uint8), None)]
    monkeypatch.setattr(Calibration, "slices", lambda self, axis: iter(black))
    words = r"Dice on the 3 validation images: 0\.\d{4} with 32 bits, 0\.\d{4} with 8; .*0\.005"
    with pytest.raises(ExportError, match=words):
        export_openvino(trained_run, tmp_path / "discs", int8=True)
    assert not (tmp_path / "discs").exists()


def test_eight_bits_need_validation_patients(make_run, tmp_path):
    run = make_run(recipe="supervised")
    split = RunFolder(run).read_json("split.json")
    RunFolder(run).write_json("split.json", {**split, "val": []})
    with pytest.raises(InputError, match="no validation patients.* val_patients=N"):
        export_openvino(run, tmp_path / "heart", int8=True)
    assert not (tmp_path / "heart").exists()


def test_calibration_is_even_and_never_on_test_patients(trained_run, monkeypatch):
    calibration = Calibration.of_run(trained_run)
    split = RunFolder(trained_run).read_json("split.json")
    assert [case.name for case in calibration.training] == split["labelled"]
    assert [case.name for case in calibration.validation] == split["val"]
    monkeypatch.setattr("tfadvseg.export.int8.MOST_SLICES", 2)
    first, last = calibration.slices("acquisition")
    for sample, case in ((first, calibration.training[0]), (last, calibration.training[-1])):
        read = cv2.imread(str(case.image.path), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(sample.voxels[..., 0], read)


def test_an_export_that_says_something_else_is_not_left(run, tmp_path, monkeypatch):
    convert = openvino_model.to_openvino

    def altered(predictor, *, confidence):
        segmenter = predictor.model.predicting
        weights = segmenter.get_weights()
        segmenter.set_weights([1.2 * one for one in weights])
        model = convert(predictor, confidence=confidence)
        segmenter.set_weights(weights)
        return model

    monkeypatch.setattr(openvino_model, "to_openvino", altered)
    with pytest.raises(ExportError, match="differs from the run"):
        export_openvino(run, tmp_path / "heart")
    assert not (tmp_path / "heart").exists()


@pytest.mark.parametrize(("package", "int8"), [("openvino", False), ("nncf", True)])
def test_a_missing_package_is_named_with_the_mend(run, tmp_path, monkeypatch, package, int8):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf'{package}.* pip install "tfadvseg\[openvino\]"'):
        export_openvino(run, tmp_path / "heart", int8=int8)
    assert not (tmp_path / "heart").exists()
