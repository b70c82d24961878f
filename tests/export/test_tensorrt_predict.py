"""`tfadvseg predict` with TensorRT: a stand-in for `trtexec` runs what a GPU would."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("onnxruntime")
pytest.importorskip("tf2onnx")

from tfadvseg.cli import main  # noqa: E402
from tfadvseg.data.image import Image, Source  # noqa: E402
from tfadvseg.errors import InputError  # noqa: E402
from tfadvseg.export import fastest as timing  # noqa: E402
from tfadvseg.export.conversions import WRITERS, Conversions  # noqa: E402
from tfadvseg.export.tensorrt_engine import export_tensorrt  # noqa: E402
from tfadvseg.inference.engines import MODEL_FILES, release  # noqa: E402
from tfadvseg.inference.exported import ExportedPredictor  # noqa: E402
from tfadvseg.inference.predictor import Predictor  # noqa: E402
from tfadvseg.run_folder import RunFolder  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:np.object")


@pytest.fixture(scope="module")
def pictures(trained_run):
    """Two images of the run's data."""
    folder = Path(str(RunFolder(trained_run).read_config().data)) / "images"
    return sorted(folder.iterdir())[:2]


@pytest.fixture
def version(trained_run, converted, fake_gpu, tmp_path):
    """An exported engine of up to 2 images."""
    return export_tensorrt(trained_run, tmp_path / "discs", most=(2, 64, 64))[0]


def predict(model, pictures, out, *options):
    return CliRunner().invoke(
        main, ["predict", *map(str, (model, *pictures, "--out", out)), *options]
    )


def test_a_run_is_converted_once_with_a_fake_trtexec_and_a_fake_gpu(
    trained_run, converted, fake_gpu, pictures, monkeypatch, tmp_path
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sources = [Source((picture,)) for picture in pictures]
    predictor = Conversions(trained_run, "best", sources).load("tensorrt")
    assert predictor.signature.sizes.most == (16, 128, 128)
    (model,) = (tmp_path / "cache").rglob("tensorrt-*")
    assert model.name == "tensorrt-10.16.1-fake-GPU-1x32x32-16x128x128"
    files = {"model.plan", "model.json", "compared.json"}
    assert {file.name for file in model.iterdir()} == files
    monkeypatch.setenv("FAKE_TRTEXEC", "refuses")  # to build another
    for out, engine in (("a", "tensorflow"), ("b", "tensorrt")):
        result = predict(trained_run, pictures, tmp_path / out, f"--engine={engine}")
        assert result.exit_code == 0, result.output
    for picture in pictures:
        masks = (tmp_path / out / picture.name for out in ("a", "b"))
        assert len({mask.read_bytes() for mask in masks}) == 1


def test_an_export_takes_its_sizes_and_any_batch_with_a_fake_trtexec_and_a_fake_gpu(
    version, trained_run
):
    predictor = ExportedPredictor.load(version)
    slices = np.random.default_rng(0).integers(0, 256, (3, 40, 48, 1))
    answer, expected = predictor(slices), Predictor.load(trained_run)(slices)
    np.testing.assert_allclose(answer.probabilities, expected.probabilities, atol=1e-4)
    assert answer.masks.dtype == np.uint8
    np.testing.assert_array_equal(answer.masks, expected.masks)
    words = "takes images from 32x32 to 64x64 pixels, received 40x65; use another engine, or"
    with pytest.raises(InputError, match=words):
        predictor.check(Image(np.zeros((1, 40, 65, 1), np.uint8)))
    with pytest.raises(InputError, match=words):
        predictor(np.zeros((1, 40, 65, 1), np.uint8))


def test_what_is_missing_is_told_and_auto_takes_the_onnx(
    version, bare, fake_gpu, trained_run, pictures, monkeypatch, tmp_path
):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    words = "needs TensorRT (no module tensorrt, no trtexec on the PATH); on a machine with the GPU"
    for model, options in ((version, []), (trained_run, ["--engine=tensorrt"])):
        result = predict(model, pictures, tmp_path / "out", *options)
        assert result.exit_code == 2 and words in result.stderr
        assert len(result.stderr.splitlines()) == 1 and not (tmp_path / "out").exists()
    result = predict(version, pictures, tmp_path / "out", "--engine=auto")
    assert result.exit_code == 0, result.output
    assert "Engine tensorrt is not used: a TensorRT engine needs" in result.stdout
    assert (tmp_path / "out" / pictures[0].name).is_file()


def test_auto_looks_at_tensorrt_where_it_can_compute_with_a_fake_gpu(fake_gpu, monkeypatch):
    assert set(WRITERS) == set(MODEL_FILES) - {"tensorflow"}
    assert timing._release("tensorrt") == "tensorrt-10.16.1-fake-GPU"
    monkeypatch.setenv("PATH", "")
    assert timing._release("tensorrt") is None


def test_an_engine_without_a_description_is_refused_with_a_fake_gpu(version):
    about = json.loads((version / "model.json").read_text())
    assert about["signatures"]["serving_default"]["outputs"]["mask"]["dtype"] == "uint8"
    (version / "model.json").unlink()
    with pytest.raises(InputError, match="received one without model.json"):
        ExportedPredictor.load(version)


@pytest.mark.gpu
def test_a_run_in_a_real_engine(trained_run, pictures, monkeypatch, tmp_path):
    try:
        release("tensorrt")
    except InputError as error:
        pytest.skip(str(error).partition(";")[0])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for _ in range(2):  # built, and read again
        result = predict(trained_run, pictures, tmp_path / "out", "--engine=tensorrt")
        assert result.exit_code == 0, result.output
