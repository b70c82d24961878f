"""From a run to a TensorRT engine: refusals, the ONNX, and the engine itself where a GPU is."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("tf2onnx")

from tfadvseg.errors import ExportError, InputError  # noqa: E402
from tfadvseg.export.tensorrt_builder import build, command  # noqa: E402
from tfadvseg.export.tensorrt_engine import export_tensorrt  # noqa: E402
from tfadvseg.inference.engines import cuda, loader, release, tensorrt  # noqa: E402
from tfadvseg.inference.engines.signature import GraphRefusal  # noqa: E402
from tfadvseg.inference.engines.tensorrt import find_machine  # noqa: E402
from tfadvseg.inference.predictor import Predictor  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:np.object")

SHAPES = {"images": ((1, 32, 32, 1), (8, 40, 48, 1), (16, 80, 96, 1))}


def test_what_is_missing_is_named_before_any_work(bare, run, tmp_path):
    words = (
        r"needs an NVIDIA GPU \(no driver: \S+ was not found\) and TensorRT \(no module tensorrt, "
        r'no trtexec on the PATH\).* pip install "tfadvseg\[tensorrt\]" .* --onnx-only'
    )
    with pytest.raises(InputError, match=words) as caught:
        export_tensorrt(run, tmp_path / "heart")
    assert len(str(caught.value)) < 600 and not (tmp_path / "heart").exists()


def test_trtexec_without_a_gpu_is_not_enough(fake_gpu, monkeypatch):
    monkeypatch.setattr(tensorrt, "Gpu", cuda.Gpu)
    with pytest.raises(InputError, match=r"needs an NVIDIA GPU \(no driver") as caught:
        find_machine()
    assert "no trtexec" not in str(caught.value)


def test_a_tensorrt_that_is_too_old_is_refused_with_a_fake_gpu(fake_gpu, monkeypatch):
    assert (
        find_machine().version == "10.16.1" and release("tensorrt") == "tensorrt-10.16.1-fake-GPU"
    )
    monkeypatch.setattr(tensorrt.trtexec, "version", lambda program: "8.6.1")
    with pytest.raises(InputError, match=r"trtexec is of TensorRT 8\.6\.1; expected 10 or later"):
        loader("tensorrt")


def test_wrong_options_are_refused(run, tmp_path):
    with pytest.raises(InputError, match="--fp16 and --int8 exclude each other"):
        export_tensorrt(run, tmp_path / "m", fp16=True, int8=True)
    with pytest.raises(InputError, match="--min 8x8x8 is larger than --max 4x9x9"):
        export_tensorrt(run, tmp_path / "m", least=(8, 8, 8), most=(4, 9, 9))
    assert not (tmp_path / "m").exists()


def test_the_command_line_types_strongly_and_keeps_32_bits_whole():
    assert command(Path("a b.onnx"), Path("p"), SHAPES) == [
        "trtexec",
        "--onnx=a b.onnx",
        "--saveEngine=p",
        "--minShapes=images:1x32x32x1",
        "--optShapes=images:8x40x48x1",
        "--maxShapes=images:16x80x96x1",
        "--stronglyTyped",
        "--noTF32",
        "--skipInference",
    ]


@pytest.fixture(scope="module")
def prepared(trained_run, tensorrt_onnx, tmp_path_factory):
    """A version without an engine, in 8 bits."""
    out = tmp_path_factory.mktemp("out") / "discs"
    with pytest.MonkeyPatch.context() as patch:
        place = "tfadvseg.export.tensorrt_engine.to_tensorrt_onnx"
        patch.setattr(place, lambda *_, **__: tensorrt_onnx)
        return export_tensorrt(trained_run, out, int8=True, onnx_only=True, most=(4, 64, 64))


def test_the_onnx_is_left_with_all_that_builds_the_engine(prepared):
    version, parity, cost, origin = prepared
    files = {"model.onnx", "build_engine.sh", "model.json", "model_card.md"}
    assert {file.name for file in version.iterdir()} == files
    assert "No engine yet" in origin and parity.calls == 1
    assert cost.dice_float32 > 0.8 and abs(cost.dice_float32 - cost.dice_int8) <= 0.005
    about = json.loads((version / "model.json").read_text())
    assert about["tensorrt"] == {
        "version": None,
        "gpu": None,
        "precision": "int8",
        "profile": {"min": [1, 32, 32], "opt": [4, 40, 48], "max": [4, 64, 64]},
    }
    assert about["int8"]["validation_cases"] == 3
    card = (version / "model_card.md").read_text()
    assert "the engine takes batches x heights x widths from 1x32x32 to 4x64x64." in card
    operators = {node.op_type for node in onnx.load(version / "model.onnx").graph.node}
    assert "QuantizeLinear" in operators


def test_its_script_calls_trtexec_with_a_fake_trtexec(prepared, fake_gpu, tmp_path):
    folder = tmp_path / "copy of the version"
    folder.mkdir()
    for name in ("model.onnx", "build_engine.sh"):
        (folder / name).write_bytes((prepared[0] / name).read_bytes())
        (folder / name).chmod(0o755)
    subprocess.run([folder / "build_engine.sh"], check=True, capture_output=True, cwd="/")
    assert (folder / "model.plan").read_bytes() == (folder / "model.onnx").read_bytes()


def test_an_engine_is_built_and_compared_with_a_fake_trtexec_and_a_fake_gpu(
    fake_gpu, converted, trained_run, tmp_path
):
    version, parity, cost, origin = export_tensorrt(trained_run, tmp_path / "heart")
    assert (version / "model.plan").is_file() and cost is None
    assert parity.calls == 1 and parity.difference < 1e-4 and parity.pixels == 0
    assert origin == "The engine is for fake GPU and TensorRT 10.16.1 alone"
    about = json.loads((version / "model.json").read_text())["tensorrt"]
    assert (about["version"], about["gpu"], about["precision"]) == ("10.16.1", "fake GPU", "fp32")


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("writes nothing", "trtexec ended well, but wrote no engine"),
        ("refuses", r"trtexec failed \(1\): \[E\] \[TRT\] .* operator refused"),
    ],
)
def test_an_engine_that_is_not_built_is_an_error_with_a_fake_trtexec(
    fake_gpu, tmp_path, monkeypatch, mode, words
):
    monkeypatch.setenv("FAKE_TRTEXEC", mode)
    with pytest.raises(ExportError, match=words):
        build(find_machine(), tmp_path / "model.onnx", tmp_path / "model.plan", SHAPES)


def test_an_engine_that_says_something_else_is_not_left_with_a_fake_trtexec_and_a_fake_gpu(
    fake_gpu, converted, trained_run, tmp_path, monkeypatch
):
    monkeypatch.setenv("FAKE_TRTEXEC", "answers wrongly")
    with pytest.raises(ExportError, match="differs from the run"):
        export_tensorrt(trained_run, tmp_path / "heart")
    assert not (tmp_path / "heart").exists()


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_real_engine_says_what_the_run_says(trained_run, tmp_path, precision):
    try:
        find_machine()
    except InputError as error:
        pytest.skip(str(error).partition(";")[0])
    chosen = {} if precision == "fp32" else {precision: True}
    version, _, _, _ = export_tensorrt(trained_run, tmp_path / "heart", **chosen)
    run = loader("tensorrt")(version)["serving_default"].call
    rng, limit = np.random.default_rng(0), {"fp32": 1e-4, "fp16": 0.05, "int8": 0.5}[precision]
    for shape in ((1, 40, 48, 1), (5, 64, 33, 1), (20, 40, 48, 1)):
        batch = rng.integers(0, 256, shape).astype(np.float32)
        answer, expected = run({"images": batch}), Predictor.load(trained_run)(batch)
        assert answer["mask"].dtype == np.uint8 and answer["mask"].shape == shape[:3]
        np.testing.assert_allclose(answer["probabilities"], expected.probabilities, atol=limit)
    with pytest.raises(GraphRefusal, match="export it again with other --min and --max"):
        run({"images": np.zeros((1, 500, 500, 1), np.float32)})
