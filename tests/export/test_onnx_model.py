"""An ONNX model in ONNX Runtime against the run's own predictor."""

import json
import sys

import numpy as np
import pytest
import SimpleITK as sitk

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
pytest.importorskip("tf2onnx")

from tfadvseg.errors import ExportError, InputError  # noqa: E402
from tfadvseg.export import onnx_model  # noqa: E402
from tfadvseg.export.onnx_model import export_onnx  # noqa: E402
from tfadvseg.inference.predictor import Predictor  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:tf2onnx", "ignore:np.object")


def ask(folder, **inputs):
    session = runtime.InferenceSession(
        str(folder / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def weights_of(folder):
    kinds = [one.data_type for one in onnx.load(folder / "model.onnx").graph.initializer]
    return {onnx.TensorProto.DataType.Name(kind) for kind in kinds}


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    return export_onnx(run, tmp_path_factory.mktemp("out") / "heart", confidence=True)


@pytest.mark.parametrize("shape", [(3, 50, 37, 1), (1, 64, 96, 1)])
def test_any_size_and_batch(run, exported, shape):
    folder, _ = exported
    batch = np.random.default_rng(5).integers(0, 256, shape).astype(np.float32)
    answer, expected = ask(folder, images=batch), Predictor.load(run)(batch)
    np.testing.assert_allclose(answer["probabilities"], expected.probabilities, atol=1e-4)
    np.testing.assert_allclose(answer["confidence"], expected.confidence, atol=1e-4)
    assert answer["mask"].dtype == np.uint8 and np.mean(answer["mask"] != expected.masks) < 1e-3


def test_networks_whose_size_needs_padding(make_run, tmp_path):
    """No multiple of 4, as two levels of the U-Net want it, and not square."""
    run = make_run(recipe="adversarial", image_size=(45, 50))
    folder, parity = export_onnx(run, tmp_path / "heart", confidence=True)
    assert folder.is_dir() and parity.difference <= 1e-4


def test_what_lies_in_a_version(exported):
    folder, parity = exported
    assert folder.name == "1" and parity.calls == 3 and parity.difference <= 1e-4
    model = onnx.load(folder / "model.onnx")
    assert [entry.version for entry in model.opset_import if not entry.domain] == [17]
    about = json.loads((folder / "model.json").read_text())
    assert about["signatures"]["serving_default"] == {
        "inputs": {"images": {"dtype": "float32", "shape": [None, None, None, 1]}},
        "outputs": {
            "confidence": {"dtype": "float32", "shape": [None, None, None]},
            "mask": {"dtype": "uint8", "shape": [None, None, None]},
            "probabilities": {"dtype": "float32", "shape": [None, None, None, 3]},
        },
    }
    assert "`serving_default`: `images` float32" in (folder / "model_card.md").read_text()
    assert "FLOAT16" not in weights_of(folder)


def test_half_precision_is_for_the_networks_alone(run, exported, tmp_path):
    """Stored values of 16 bits come through: half would make 40000 and 40010 one value."""
    folder, _ = export_onnx(run, tmp_path / "heart", fp16=True)
    assert "FLOAT16" in weights_of(folder)
    sizes = [(path / "model.onnx").stat().st_size for path in (folder, exported[0])]
    assert sizes[0] < sizes[1]
    batch = np.random.default_rng(5).integers(0, 256, (2, 40, 40, 1)).astype(np.float32)
    answer, expected = ask(folder, images=batch), Predictor.load(run)(batch)
    assert answer["probabilities"].dtype == np.float32
    np.testing.assert_allclose(answer["probabilities"], expected.probabilities, atol=0.02)


def test_a_pixel_size_is_an_input(make_run, tmp_path):
    data = tmp_path / "data"
    for part, values in (("images", (39000, 41000)), ("masks", (0, 3))):
        (data / part).mkdir(parents=True)
        for number in range(3):
            rng = np.random.default_rng(number)
            volume = sitk.GetImageFromArray(rng.integers(*values, (2, 40, 30)).astype(np.uint16))
            volume.SetSpacing((0.8, 0.7, 2))
            sitk.WriteImage(volume, str(data / part / f"p{number}_v.nii.gz"))
    settings = {"spacing_mm": 1.0, "window": (39000, 41000), "patient_pattern": r"(p\d)_"}
    run = make_run(data, recipe="supervised", **settings)
    folder, _ = export_onnx(run, tmp_path / "heart", fp16=True)
    batch = np.random.default_rng(0).integers(39000, 41000, (2, 40, 30, 1)).astype(np.float32)
    answer = ask(folder, images=batch, spacing_mm=np.array([0.9, 0.6], np.float32))
    expected = Predictor.load(run)(batch, (0.9, 0.6))
    np.testing.assert_allclose(answer["probabilities"], expected.probabilities, atol=0.02)


def test_an_export_that_says_something_else_is_not_left(run, tmp_path, monkeypatch):
    convert = onnx_model.to_onnx

    def altered(predictor, **options):
        model = convert(predictor, **options)
        for one in model.graph.initializer:
            values = onnx.numpy_helper.to_array(one)
            if values.ndim == 4:
                one.CopyFrom(onnx.numpy_helper.from_array(values * 1.1, one.name))
        return model

    monkeypatch.setattr(onnx_model, "to_onnx", altered)
    with pytest.raises(ExportError, match="differs from the run"):
        export_onnx(run, tmp_path / "heart")
    assert not (tmp_path / "heart").exists()


def test_a_missing_package_is_named_with_the_mend(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r'onnxruntime.* pip install "tfadvseg\[onnx\]"'):
        export_onnx(run, tmp_path / "heart")
    assert not (tmp_path / "heart").exists()
