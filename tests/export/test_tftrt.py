"""TF-TRT: what is missing is told, and older TensorFlow reads what newer TensorFlow wrote.

`TFADVSEG_TFTRT_PYTHON` names an interpreter with TensorFlow 2.17 or older, where there is one.
"""

import json
import os
import sys

import pytest

from tfadvseg.errors import ExportError, InputError
from tfadvseg.export import tftrt
from tfadvseg.export.parity import check_saved_model
from tfadvseg.export.samples import load_for_export
from tfadvseg.export.saved_model import export_saved_model
from tfadvseg.export.tftrt import export_tftrt, require_tftrt
from tfadvseg.inference.exported import ExportedPredictor, is_tensorrt_build
from tfadvseg.inference.predictor import Predictor


@pytest.fixture
def older_python():
    return os.environ.get("TFADVSEG_TFTRT_PYTHON") or pytest.skip(
        "TFADVSEG_TFTRT_PYTHON names no interpreter with TensorFlow 2.17 or older"
    )


@pytest.fixture(scope="session")
def tftrt_python():
    """An interpreter that can convert."""
    python = os.environ.get("TFADVSEG_TFTRT_PYTHON", sys.executable)
    if python == sys.executable and not is_tensorrt_build():
        pytest.skip(
            "this TensorFlow was built without TensorRT, and TFADVSEG_TFTRT_PYTHON names no other"
        )
    try:
        require_tftrt(python)
    except InputError as error:
        pytest.skip(str(error).partition(";")[0])
    return python


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            {"built_for": "8.6.1", "finds": False, "gpus": 1},
            "needs TensorRT 8.6.1, which .* 2.17.0",
        ),
        ({"built_for": "8.6.1", "finds": True, "gpus": 0}, "needs an NVIDIA GPU"),
        ({"built_for": None, "finds": False, "gpus": 0}, "built without .* and an NVIDIA GPU"),
    ],
)
def test_each_missing_part_is_named_for_a_made_up_machine(monkeypatch, found, words):
    monkeypatch.setattr(tftrt, "_call", lambda *arguments: {"tensorflow": "2.17.0", **found})
    with pytest.raises(InputError, match=words):
        require_tftrt("python")


def test_an_interpreter_that_has_no_tensorflow_is_refused(tmp_path):
    with pytest.raises(InputError, match="--python .*nowhere: expected an interpreter with"):
        require_tftrt(str(tmp_path / "nowhere"))
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')  # no installed packages
    bare.chmod(0o755)
    with pytest.raises(InputError, match="No module named 'numpy'"):
        require_tftrt(str(bare))


def test_a_model_that_tf_trt_cannot_convert_is_refused(make_run, tmp_path, monkeypatch):
    run = make_run(recipe="supervised")
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("spacing_mm: null", "spacing_mm: 1.0"))
    with pytest.raises(InputError, match="spacing_mm.* use `tfadvseg export tensorrt`"):
        export_tftrt(run, tmp_path / "heart")


def test_a_conversion_without_an_engine_leaves_nothing_for_a_made_up_machine(
    run, tmp_path, monkeypatch
):
    found = {"tensorflow": "2.17.0", "built_for": "8.6.1", "finds": True, "gpus": 1, "engines": 0}
    monkeypatch.setattr(tftrt, "_call", lambda *arguments: found)
    with pytest.raises(ExportError, match="found nothing in the model that it converts"):
        export_tftrt(run, tmp_path / "heart")
    assert not (tmp_path / "heart").exists()


@pytest.mark.skipif(is_tensorrt_build(), reason="this TensorFlow was built with TensorRT")
def test_a_model_for_an_older_tensorflow_is_not_loaded(tmp_path):
    (tmp_path / "saved_model.pb").touch()
    about = {"classes": ["a", "b"], "channels": 1, "settings": {}, "tftrt": {"engines": 2}}
    (tmp_path / "model.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match="`tfadvseg export tftrt` for TensorFlow up to 2.17"):
        ExportedPredictor.load(tmp_path)


def test_an_older_tensorflow_answers_as_the_run_does(older_python, run, tmp_path):
    """What makes conversion in another environment possible: a SavedModel goes back to 2.17."""
    folder, _ = export_saved_model(run, tmp_path / "heart", confidence=True)
    predictor, samples = load_for_export(run, "best", confidence=True, data=None)
    parity = check_saved_model(folder, predictor, samples, python=older_python)
    assert parity.calls == 15 and parity.difference < 1e-6 and parity.pixels == 0


def test_an_older_tensorflow_without_libnvinfer_is_told(older_python):
    try:
        found = require_tftrt(older_python)
    except InputError as error:
        assert "needs TensorRT 8" in str(error) or "needs an NVIDIA GPU" in str(error)
    else:
        assert found["finds"] and found["gpus"]


@pytest.mark.gpu
@pytest.mark.parametrize("fp16", [False, True])
def test_a_real_conversion_says_what_the_run_says(tftrt_python, trained_run, tmp_path, fp16):
    folder, parity, told = export_tftrt(
        trained_run, tmp_path / "heart", fp16=fp16, python=tftrt_python
    )
    assert parity.calls == 1 and "engines for TensorRT" in told
    assert (folder / "saved_model.pb").is_file()
    samples = load_for_export(trained_run, "best", confidence=False, data=None)[1]
    predictor = Predictor.load(trained_run)
    check_saved_model(  # sizes that no engine was built for
        folder,
        predictor,
        [type(one)(one.voxels[:30, :30], None) for one in samples],
        signatures=["serving_default"],
        python=tftrt_python,
    )
