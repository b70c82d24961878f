"""Model repositories, served by the real Triton of nvidia-pytriton where that is installed.

Its build has the Python backend alone, so that computes the network here. What the repositories of
other backends say is read by it too, and runs with the Python backend in their place.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
import SimpleITK as sitk
from click.testing import CliRunner

pytest.importorskip("tf2onnx")
pytest.importorskip("onnxruntime")

from tfadvseg.cli import main  # noqa: E402
from tfadvseg.data.formats.raster import read_pages  # noqa: E402
from tfadvseg.errors import ExportError, InputError  # noqa: E402
from tfadvseg.export import triton  # noqa: E402
from tfadvseg.export.triton import MODELS, export_triton  # noqa: E402
from tfadvseg.inference.predictor import Predictor  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:tf2onnx", "ignore:np.object")


class Triton:
    """A server process that loads models when it is told to."""

    def __init__(self, home, folder, repositories):
        self.python = home / "bin" / "python"
        (site,) = home.glob("lib/python3*/site-packages")
        of_python = "import sysconfig; print(sysconfig.get_config_var('LIBDIR'))"
        libraries = subprocess.check_output([self.python, "-c", of_python], text=True).strip()
        server, backends = site / "pytriton" / "tritonserver", folder / "backends"
        shutil.copytree(server / "backends", backends)
        stub = "triton_python_backend_stub"
        version = site.parent.name.removeprefix("python")
        shutil.copy(server / "python_backend_stubs" / version / stub, backends / "python" / stub)
        self.kept = [keep_port(), keep_port()]
        self.ports = [kept.getsockname()[1] for kept in self.kept]
        command = [
            server / "bin" / "tritonserver",
            *(f"--model-repository={repository}" for repository in repositories),
            f"--backend-directory={backends}",
            "--model-control-mode=explicit",
            "--allow-metrics=false",
            *(f"--{kind}-address=127.0.0.1" for kind in ("http", "grpc")),
            *(f"--{k}-port={port}" for k, port in zip(("http", "grpc"), self.ports, strict=True)),
            *(f"--reuse-{kind}-port=true" for kind in ("http", "grpc")),
        ]
        environment = {
            **os.environ,
            "LD_LIBRARY_PATH": f"{site / 'nvidia_pytriton.libs'}:{libraries}",
            "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
        }
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            command, stdout=self.log, stderr=subprocess.STDOUT, env=environment
        )
        while self.post("v2/repository/index")[0] != 200:
            assert self.process.poll() is None, (folder / "log").read_text()[-3000:]
            time.sleep(0.1)

    def post(self, path, body=b"{}"):
        """Status and text; None where nobody listens."""
        url = f"http://127.0.0.1:{self.ports[0]}/{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body)) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return None, ""

    def load(self, name):
        """Loads a model and what it consists of; the error, if there is one."""
        status, text = self.post(f"v2/repository/models/{name}/load")
        return None if status == 200 else json.loads(text)["error"]

    def ask(self, folder, calls):
        """Answers to (model, inputs) over HTTP, and those over gRPC."""
        for number, (model, inputs) in enumerate(calls):
            np.savez(folder / f"{number:03d}.npz", model=model, **inputs)
        client = Path(__file__).with_name("triton_client.py")
        command = [self.python, client, *map(str, self.ports), folder]
        subprocess.run(command, check=True)
        return [
            [dict(np.load(folder / f"{n:03d}.{kind}.npz")) for n in range(len(calls))]
            for kind in ("http", "grpc")
        ]

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        for kept in self.kept:
            kept.close()


def keep_port():
    """A socket on a free port, which no other process gets; a server that shares ports does."""
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    kept.bind(("127.0.0.1", 0))
    return kept


def as_files(*contents):
    return {f"image_bytes/{n}": np.frombuffer(c, np.uint8) for n, c in enumerate(contents)}


def encoded(values, ending=".png"):
    return cv2.imencode(ending, values)[1].tobytes()


def decoded(content):
    return cv2.imdecode(content, cv2.IMREAD_UNCHANGED)


@pytest.fixture(scope="module")
def discs(trained_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("triton") / "discs"
    return export_triton(trained_run, out, backend="python", max_batch=4)[0]


@pytest.fixture(scope="module")
def heart(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("triton") / "heart"
    return export_triton(run, out, backend="python", confidence=True)[0]


@pytest.fixture(scope="module")
def spaced_run(make_run, tmp_path_factory):
    """A model with a pixel size; its images have colours."""
    data = tmp_path_factory.mktemp("spaced")
    for part, values in (("images", (0, 900)), ("masks", (0, 3))):
        (data / part).mkdir()
        for number in range(3):
            shape = (2, 40, 30, 3) if part == "images" else (2, 40, 30)
            rng = np.random.default_rng(number)
            pixels = rng.integers(*values, shape).astype(np.uint16)
            volume = sitk.GetImageFromArray(pixels, isVector=part == "images")
            volume.SetSpacing((0.8, 0.7, 2))
            sitk.WriteImage(volume, str(data / part / f"p{number}_v.mha"))
    settings = {"spacing_mm": 1.0, "window": (0, 900), "patient_pattern": r"(p\d)_"}
    return make_run(data, recipe="supervised", **settings)


@pytest.fixture(scope="module")
def spaced(spaced_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("triton") / "spaced"
    return export_triton(spaced_run, out, backend="python")[0]


@pytest.fixture(scope="module")
def variants(trained_run, discs, tmp_path_factory):
    """Repositories of the other backends, by command, each from the same run."""
    folder = tmp_path_factory.mktemp("variants")
    (folder / "model.plan").write_bytes(b"no engine: nothing here could load one")
    options = {
        "ort": [],
        "ort-trt": ["--backend=onnxruntime-tensorrt", "--fp16"],
        "plan": ["--backend=tensorrt", f"--plan={folder / 'model.plan'}"],
    }
    for name, more in options.items():
        command = ["export", "triton", str(trained_run), f"--out={folder / name}", *more]
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
    return folder


def standing_in(repository, out):
    """The repository of another backend, whose network the Python backend computes on the CPU."""
    shutil.copytree(repository, out)
    for path in list(out.iterdir()):
        path.rename(out / path.name.replace(repository.name, out.name, 1))
    for config in out.glob("*/config.pbtxt"):
        text = config.read_text().replace(f'"{repository.name}', f'"{out.name}')
        for backend in ("onnxruntime", "tensorrt"):
            text = text.replace(f'backend: "{backend}"', 'backend: "python"')
        config.write_text(text.replace("KIND_GPU", "KIND_CPU"))
    shutil.copy(MODELS / "network.py", out / out.name / "1" / "model.py")
    return out


@pytest.fixture(scope="module")
def home():
    """The environment that holds Triton."""
    folder = Path(os.environ.get("TFADVSEG_TRITON", Path(__file__).parents[2] / ".venv-triton"))
    if not (folder / "bin" / "python").exists():
        pytest.skip(f"no Triton in {folder}: `make triton-env`, or say where in TFADVSEG_TRITON")
    return folder


@pytest.fixture(scope="module")
def server(home, discs, heart, spaced, variants, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    stand_ins = [
        standing_in(variants / name, folder / f"{name}-here") for name in ("ort", "ort-trt")
    ]
    broken = folder / "broken" / "broken"
    shutil.copytree(discs / "discs", broken)
    config = (broken / "config.pbtxt").read_text().replace("max_batch_size", "max_bach_size")
    (broken / "config.pbtxt").write_text(config)
    others = [variants / name for name in ("ort", "ort-trt", "plan")]
    repositories = [discs, heart, spaced, *others, *stand_ins, broken.parent]
    started = Triton(home, folder, repositories)
    yield started
    started.stop()


def test_files_of_every_kind_are_as_in_process(server, trained_run, tmp_path):
    """PNG of 8 and 16 bits and JPEG, of several sizes, over HTTP and gRPC."""
    assert server.load("discs_image_bytes") is None
    predictor, data = Predictor.load(trained_run), Predictor.load(trained_run).config.data
    files, rng = sorted(Path(data, "images").iterdir())[:2], np.random.default_rng(3)
    for name, kind, size in (
        ("16.png", np.uint16, (64, 48)),
        ("8.png", np.uint8, (33, 70)),
        ("8.jpg", np.uint8, (50, 50)),
    ):
        image = rng.normal(60, 10, size)
        cv2.circle(image, (24, 20), 9, 180, -1)
        files.append(tmp_path / name)
        cv2.imwrite(str(files[-1]), image.clip(0, 300 if kind == np.uint16 else 255).astype(kind))
    calls = [("discs_image_bytes", as_files(file.read_bytes())) for file in files]
    for answers in server.ask(tmp_path, calls):
        for file, answer in zip(files, answers, strict=True):
            mask = decoded(answer["mask_bytes/0"])
            expected = predictor(read_pages(file).voxels).masks[0]
            assert set(np.unique(expected)) == {0, 1}
            np.testing.assert_array_equal(mask, expected)


def test_several_files_of_one_size_and_confidence(server, run, heart, tmp_path):
    assert server.load("heart_image_bytes") is None
    images = np.random.default_rng(4).integers(0, 256, (3, 48, 40)).astype(np.uint8)
    call = ("heart_image_bytes", as_files(*map(encoded, images)))
    expected = Predictor.load(run)(images[..., np.newaxis])
    for (answer,) in server.ask(tmp_path, [call]):
        assert len(answer) == 6
        for number in range(3):
            mask, trust = (decoded(answer[f"{n}_bytes/{number}"]) for n in ("mask", "confidence"))
            np.testing.assert_array_equal(mask, expected.masks[number])
            np.testing.assert_allclose(trust, expected.confidence[number] * 255, atol=0.501)


def test_example_of_the_documentation_runs(server, run, heart, tmp_path):
    assert server.load("heart_image_bytes") is None
    text = (Path(__file__).parents[2] / "docs" / "triton.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert "localhost:8000" in example
    example = example.replace("localhost:8000", f"127.0.0.1:{server.ports[0]}")
    image = np.random.default_rng(9).integers(0, 256, (40, 30)).astype(np.uint8)
    (tmp_path / "image.png").write_bytes(encoded(image))
    subprocess.run([server.python, "-c", example], cwd=tmp_path, check=True)
    expected = Predictor.load(run)(image[np.newaxis, ..., np.newaxis]).masks[0]
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "mask.png"), -1), expected)


def test_arrays_of_any_size(server, run, heart, tmp_path):
    assert server.load("heart") is None
    rng = np.random.default_rng(5)
    batches = [
        rng.integers(0, 256, shape).astype(np.float32) for shape in ((3, 50, 37, 1), (1, 64, 96, 1))
    ]
    answers = server.ask(tmp_path, [("heart", {"images": batch}) for batch in batches])
    for over in answers:
        for batch, answer in zip(batches, over, strict=True):
            expected = Predictor.load(run)(batch)
            np.testing.assert_allclose(answer["probabilities"], expected.probabilities, atol=1e-4)
            np.testing.assert_allclose(answer["confidence"], expected.confidence, atol=1e-4)
            np.testing.assert_array_equal(answer["mask"], expected.masks)


def test_a_pixel_size_and_colours(server, spaced_run, spaced, tmp_path):
    assert server.load("spaced_image_bytes") is None
    image = np.random.default_rng(6).integers(0, 900, (44, 35, 3)).astype(np.uint16)
    spacing = np.array([0.9, 0.6], np.float32)
    calls = [
        ("spaced_image_bytes", {**as_files(encoded(image[..., ::-1])), "spacing_mm": spacing}),
        ("spaced", {"images": image[np.newaxis].astype(np.float32), "spacing_mm": spacing}),
    ]
    expected = Predictor.load(spaced_run)(image[np.newaxis], (0.9, 0.6))
    for files, arrays in server.ask(tmp_path, calls):
        np.testing.assert_allclose(arrays["probabilities"], expected.probabilities, atol=1e-4)
        np.testing.assert_array_equal(decoded(files["mask_bytes/0"]), expected.masks[0])


def test_bad_files_are_refused_and_the_others_answered(server, discs, tmp_path):
    assert server.load("discs_image_bytes") is None
    grey = np.zeros((20, 20), np.uint8)
    good = encoded(grey)
    wide = good[:16] + (60000).to_bytes(4, "big") * 2 + good[24:]
    bad = {
        "expected an encoded PNG or JPEG": as_files(b"BM" + bytes(100)),
        "truncated or damaged": as_files(good[:-40]),
        "truncated or damaged (": as_files(wide),
        "expected 1 channel(s) as in training, received 3": as_files(
            encoded(np.stack([grey] * 3, -1))
        ),
        "images of one size": as_files(good, encoded(grey[:10])),
        "<= 4": as_files(*[good] * 5),  # more rows than max_batch
    }
    calls = [("discs_image_bytes", inputs) for inputs in [*bad.values(), as_files(good)]]
    for answers, status in zip(
        server.ask(tmp_path, calls), ("400", "StatusCode.INVALID_ARGUMENT"), strict=True
    ):
        for words, answer in zip(bad, answers, strict=False):
            assert words in str(answer["message"]) and str(answer["status"]) == status
        assert decoded(answers[-1]["mask_bytes/0"]).shape == (20, 20)


@pytest.mark.parametrize("name", ["ort", "ort-trt"])
def test_batches_across_requests(server, trained_run, name, tmp_path):
    """With the configuration of another backend, of which the Python backend takes the place."""
    assert server.load(f"{name}-here_image_bytes") is None
    sizes, rng = [(40, 48), (30, 30), (40, 48), (40, 48), (30, 30)] * 3, np.random.default_rng(8)
    images = [rng.integers(0, 256, size).astype(np.uint8) for size in sizes]
    calls = [(f"{name}-here_image_bytes", as_files(encoded(image))) for image in images]
    predictor = Predictor.load(trained_run)
    for answers in server.ask(tmp_path, calls):
        for image, answer in zip(images, answers, strict=True):
            expected = predictor(image[np.newaxis, ..., np.newaxis]).masks[0]
            mask = decoded(answer["mask_bytes/0"])
            assert np.mean(mask != expected) <= (0.002 if name == "ort-trt" else 0)


@pytest.mark.parametrize(
    ("name", "backend"), [("ort", "onnxruntime"), ("ort-trt", "onnxruntime"), ("plan", "tensorrt")]
)
def test_the_real_triton_misses_the_backend_alone(server, name, backend):
    told = server.load(name)
    assert told.startswith(f"load failed for model '{name}'")
    assert f"unable to find backend library for backend '{backend}'" in told


def test_the_real_triton_reads_configurations(server):
    """The control of the one before: a name that Triton does not know is refused as such."""
    assert "failed to poll from model repository" in server.load("broken")
    assert 'no field named "max_bach_size"' in Path(server.log.name).read_text()


def test_what_lies_in_a_repository(heart, run):
    found = (file for file in heart.rglob("*") if file.is_file() and file.suffix != ".pyc")
    files = {str(file.relative_to(heart)) for file in found}  # Triton leaves what it compiled
    assert files == {
        *(
            f"heart/{name}"
            for name in ("config.pbtxt", "labels.txt", "model.json", "model_card.md")
        ),
        *("heart/1/model.onnx", "heart/1/model.py"),
        *("heart_decode/1/model.py", "heart_decode/1/soundness.py", "heart_decode/config.pbtxt"),
        *("heart_encode/1/model.py", "heart_encode/config.pbtxt"),
        "heart_image_bytes/config.pbtxt",
    }
    assert (heart / "heart_image_bytes" / "1").is_dir()
    labels = (heart / "heart" / "labels.txt").read_text().splitlines()
    assert labels == list(Predictor.load(run).config.classes)
    about = json.loads((heart / "heart" / "model.json").read_text())
    assert about["parity"]["largest_difference"] <= 1e-4
    assert all("tfadvseg" not in file.read_text() for file in heart.rglob("*.py"))


def test_what_the_backends_say(variants):
    texts = {
        name: (variants / name / name / "config.pbtxt").read_text()
        for name in ("ort", "ort-trt", "plan")
    }
    assert (
        "KIND_AUTO" in texts["ort"]
        and "KIND_GPU" in texts["ort-trt"]
        and "KIND_GPU" in texts["plan"]
    )
    assert 'name: "tensorrt"' in texts["ort-trt"] and 'value: "FP16"' in texts["ort-trt"]
    assert all("dynamic_batching" in text for text in texts.values())
    plan = (variants / "plan" / "plan" / "1" / "model.plan").read_bytes()
    assert plan == (variants / "model.plan").read_bytes()
    assert json.loads((variants / "plan" / "plan" / "model.json").read_text())["parity"] is None


def test_options_that_do_not_go_together(run, tmp_path):
    plan, out = tmp_path / "model.plan", tmp_path / "heart"
    plan.touch()
    (tmp_path / "there").mkdir()
    specs = {"outputs": {"mask": {}, "probabilities": {}, "confidence": {}}}
    (tmp_path / "model.json").write_text(json.dumps({"signatures": {"serving_default": specs}}))
    for words, options in {
        "give it as --plan FILE": {"backend": "tensorrt"},
        "--plan is for --backend tensorrt": {"plan": plan},
        "no such file; `tfadvseg export tensorrt`": {"backend": "tensorrt", "plan": out},
        "--fp16: a plan has its": {"backend": "tensorrt", "plan": plan, "fp16": True},
        "--device cpu: TensorRT needs a GPU": {"backend": "onnxruntime-tensorrt", "device": "cpu"},
        "answers with confidence, mask, prob.* expected mask": {
            "backend": "tensorrt",
            "plan": plan,
        },
        "is there already": {"out": tmp_path / "there"},
        "expected letters, digits": {"out": tmp_path / "my heart"},
    }.items():
        with pytest.raises(InputError, match=words):
            export_triton(run, **{"out": out, **options})
    assert {path.name for path in tmp_path.iterdir()} == {"model.plan", "model.json", "there"}


def test_a_repository_appears_whole_or_not_at_all(run, tmp_path, monkeypatch):
    written = triton.write_onnx

    def watched(file, *arguments, **options):
        written(file, *arguments, **options)
        assert file.is_file() and not (tmp_path / "heart").exists()
        raise ExportError("the exported model differs from the run")

    monkeypatch.setattr(triton, "write_onnx", watched)
    with pytest.raises(ExportError):
        export_triton(run, tmp_path / "heart")
    assert list(tmp_path.iterdir()) == []
