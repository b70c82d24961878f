"""The engines of `predict --engine`: converted once, compared, timed, remembered."""

import json
import re

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("tf2onnx")

from tfadvseg.data.image import Source  # noqa: E402
from tfadvseg.errors import ExportError, InputError  # noqa: E402
from tfadvseg.export import conversions as module  # noqa: E402
from tfadvseg.export import fastest as timing  # noqa: E402
from tfadvseg.export.conversions import Conversions  # noqa: E402
from tfadvseg.export.fastest import fastest  # noqa: E402
from tfadvseg.inference.exported import ExportedPredictor  # noqa: E402
from tfadvseg.inference.predictor import Predictor  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:tf2onnx", "ignore:np.object")
save_onnx = module.WRITERS["onnxruntime"]


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """A new cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tfadvseg" / "engines"


@pytest.fixture
def conversions(run, shared_phantom, own_cache):
    """Those of the run, made anew at each call."""
    sources = [Source((path,)) for path in sorted((shared_phantom / "images").iterdir())]
    return lambda of=run: Conversions(of, "best", sources)


@pytest.fixture
def written(monkeypatch):
    """Counts the conversions to ONNX."""
    made = []

    def write(*arguments, **options):
        made.append(arguments)
        save_onnx(*arguments, **options)

    monkeypatch.setitem(module.WRITERS, "onnxruntime", write)
    for name in set(module.WRITERS) - {"onnxruntime"}:
        monkeypatch.delitem(module.WRITERS, name)
    return made


def altered(file, predictor, *, confidence):
    """A conversion that went wrong."""
    weights = predictor.model.predicting.get_weights()
    predictor.model.predicting.set_weights([1.2 * one for one in weights])
    try:
        save_onnx(file, predictor, confidence=confidence)
    finally:
        predictor.model.predicting.set_weights(weights)


def test_converted_once_and_compared(run, conversions, written, own_cache):
    slices = np.random.default_rng(0).integers(0, 256, (2, 30, 40, 1))
    expected = Predictor.load(run)(slices)
    for _ in range(2):
        predictor = conversions().load("onnxruntime")
        assert isinstance(predictor, ExportedPredictor) and len(written) == 1
        answer = predictor(slices)
        np.testing.assert_allclose(answer.probabilities, expected.probabilities, atol=1e-4)
        np.testing.assert_allclose(answer.confidence, expected.confidence, atol=1e-4)
    (compared,) = own_cache.rglob("compared.json")
    assert json.loads(compared.read_text())["calls"] == 6
    assert not list(own_cache.rglob(".writing*"))


def test_another_model_is_converted_anew(make_run, conversions, written):
    conversions().load("onnxruntime")
    conversions(make_run(recipe="adversarial", seed=1)).load("onnxruntime")
    assert len(written) == 2


def test_an_engine_that_says_something_else_is_refused_each_time(conversions, monkeypatch):
    monkeypatch.setitem(module.WRITERS, "onnxruntime", altered)
    for _ in range(2):
        with pytest.raises(ExportError, match="differs from the run"):
            conversions().load("onnxruntime")


def test_the_fastest_is_taken_and_remembered(conversions, written, monkeypatch):
    lines, timed = [], []

    def seconds(predictor, sample):
        timed.append(predictor)
        return 0.001 if isinstance(predictor, ExportedPredictor) else 0.002

    monkeypatch.setattr(timing, "_seconds", seconds)
    for _ in range(2):
        assert isinstance(fastest(conversions(), lines.append), ExportedPredictor)
    assert len(timed) == 2
    assert lines[:2] == ["Engine tensorflow: 2.0 ms a slice", "Engine onnxruntime: 1.0 ms a slice"]
    assert lines[3:] == ["Engine: onnxruntime"] * 2


def test_times_are_measured(conversions, written):
    lines = []
    fastest(conversions(), lines.append)
    assert all(re.fullmatch(r"Engine \w+: [\d.]+ ms a slice", line) for line in lines[:2])


def test_auto_never_takes_an_engine_that_says_something_else(conversions, written, monkeypatch):
    lines = []
    monkeypatch.setitem(module.WRITERS, "onnxruntime", altered)
    monkeypatch.setattr(timing, "_seconds", lambda *_: 0.001)
    for _ in range(2):
        assert isinstance(fastest(conversions(), lines.append), Predictor)
    assert re.match("Engine onnxruntime is not used: .*differs from the run", lines[1])
    assert "Engine: tensorflow" in lines


def test_an_image_that_does_not_fit_is_named(run, own_cache, tmp_path):
    import cv2

    file = tmp_path / "colours.png"
    cv2.imwrite(str(file), np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8))
    with pytest.raises(InputError, match=r"colours\.png: expected an image with 1 channel"):
        Conversions(run, "best", [Source((file,))]).load("onnxruntime")
