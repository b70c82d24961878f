"""A SavedModel against the run's own predictor, and what lies beside it."""

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import SimpleITK as sitk
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from tfadvseg.data.formats.raster import read_pages
from tfadvseg.errors import ExportError, InputError
from tfadvseg.export import parity, saved_model
from tfadvseg.export.model_card import model_card
from tfadvseg.export.saved_model import export_saved_model
from tfadvseg.inference.predictor import Predictor
from tfadvseg.run_folder import RunFolder

ABOUT = {"tfadvseg": "0", "checkpoint": "best", "run": "first", "classes": [], "signatures": {}}


@pytest.fixture(scope="module")
def exported(exported_run):
    return exported_run


@pytest.fixture(scope="module")
def plain(run, tmp_path_factory):
    """An export without confidence beside other versions, and the names seen while it was made."""
    model = tmp_path_factory.mktemp("plain") / "heart"
    (model / "7").mkdir(parents=True)
    (model / "notes").mkdir()
    seen = []
    check = saved_model.check_saved_model

    def watch(folder, *arguments):
        seen.extend(path.name for path in model.iterdir())
        (model / "8").mkdir()  # somebody else is faster
        (model / "8" / "saved_model.pb").touch()
        return check(folder, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saved_model, "check_saved_model", watch)
        folder, _ = export_saved_model(run, model)
    return folder, seen


@pytest.fixture(scope="module")
def signatures(exported):
    return tf.saved_model.load(str(exported)).signatures


@pytest.fixture(scope="module")
def predictor(run):
    return Predictor.load(run)


@pytest.fixture
def slices(rng):
    return rng.integers(0, 256, (3, 50, 37, 1)).astype(np.int16)


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def same(answer, expected):
    np.testing.assert_allclose(answer["probabilities"], expected.probabilities, atol=1e-6)
    np.testing.assert_array_equal(answer["mask"], expected.masks)
    np.testing.assert_allclose(answer["confidence"], expected.confidence, atol=1e-6)


def test_the_card_of_a_run_that_has_not_ended_does_not_deny_its_patients(run):
    assert "the run was not scored" in model_card("heart", 1, RunFolder(run), ABOUT)


def test_any_size_and_batch_of_floats(signatures, predictor, slices):
    for batch in (slices, slices[:1, :20]):
        images = tf.constant(batch, tf.float32)
        same(signatures["serving_default"](images=images), predictor(batch))


def test_raw_values_with_slope_and_intercept(signatures, predictor, slices):
    answer = signatures["raw"](
        pixels=tf.constant((slices + 500) * 4, tf.int32),
        slope=tf.fill([3], 0.25),
        intercept=tf.fill([3], -500.0),
        window=tf.zeros((3, 2)),
    )
    same(answer, predictor(slices))


def test_the_card_of_the_last_model_has_no_scores_of_the_best(run, tmp_path):
    scored = RunFolder(shutil.copytree(run, tmp_path / "run"))
    scored.write_json("metrics.json", {})
    card = model_card("heart", 1, scored, ABOUT | {"checkpoint": "last"})
    assert "those of its best model, not of the last" in card and "specificity" not in card


def test_a_window_of_ones_own_counts_for_its_image_alone(signatures, predictor, slices):
    """The phantom's images are shown from 0 to 255."""
    answer = signatures["raw"](
        pixels=tf.constant(slices, tf.int32),
        slope=tf.ones(3),
        intercept=tf.zeros(3),
        window=tf.constant([[0, 0], [50, 101], [255, 0]], tf.float32),
    )
    mapped = slices.astype(np.float32)
    mapped[1] = (mapped[1].clip(50, 101) - 50) * 5
    mapped[2] = 255 - mapped[2]  # a window the other way round inverts
    same(answer, predictor(mapped))


def test_files_of_several_sizes_and_depths_in_one_batch(signatures, predictor, tmp_path, rng):
    contents, expected = [], []
    for number, (ending, kind, size) in enumerate(
        [("png", np.uint8, (30, 40)), ("png", np.uint16, (50, 20)), ("jpg", np.uint8, (64, 64))]
    ):
        file = tmp_path / f"{number}.{ending}"
        cv2.imwrite(str(file), rng.integers(0, 250, size).astype(kind))
        contents.append(file.read_bytes())
        expected.append(predictor(read_pages(file).voxels))
    answer = signatures["image_bytes"](image_bytes=tf.constant(contents))
    for mask, trust, one in zip(
        answer["mask_bytes"].numpy(), answer["confidence_bytes"].numpy(), expected, strict=True
    ):
        decoded = cv2.imdecode(np.frombuffer(mask, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(decoded, one.masks[0])
        levels = cv2.imdecode(np.frombuffer(trust, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_allclose(levels, one.confidence[0] * 255, atol=0.501)


@pytest.mark.slow
def test_no_discriminator_goes_along_unless_it_is_asked_for(plain, exported):
    folder, _ = plain
    outputs = json.loads((folder / "assets.extra" / "model.json").read_text())["signatures"]
    assert set(outputs["serving_default"]["outputs"]) == {"probabilities", "mask"}
    weights = "variables/variables.data-00000-of-00001"
    assert (folder / weights).stat().st_size < (exported / weights).stat().st_size


@pytest.mark.filterwarnings("ignore:spacings differ")
def test_pixel_sizes_are_asked_for_where_the_model_needs_them(make_run, tmp_path):
    data = tmp_path / "data"
    for part, values in (("images", (0, 900)), ("masks", (0, 3))):
        (data / part).mkdir(parents=True)
        for number in range(4):
            rng = np.random.default_rng(number)
            volume = sitk.GetImageFromArray(rng.integers(*values, (2, 40, 30)).astype(np.int16))
            volume.SetSpacing((0.5 + 0.25 * number, 0.7, 2))
            sitk.WriteImage(volume, str(data / part / f"p{number}_v.nii.gz"))
    settings = {"spacing_mm": 1.0, "window": (0, 900), "patient_pattern": r"(p\d)_"}
    run = make_run(data, recipe="supervised", labelled_patients=2, **settings)
    folder, found = export_saved_model(run, tmp_path / "heart")
    assert found.holds() and found.calls >= 5
    about = json.loads((folder / "assets.extra" / "model.json").read_text())
    for signature in about["signatures"].values():
        assert signature["inputs"]["spacing_mm"] == {"dtype": "float32", "shape": [None, 2]}
    batch = np.random.default_rng(0).integers(0, 900, (2, 40, 30, 1)).astype(np.float32)
    answer = tf.saved_model.load(str(folder)).signatures["serving_default"](
        images=tf.constant(batch), spacing_mm=tf.constant([[0.7, 0.5], [0.7, 2]])
    )
    for number, spacing in enumerate(((0.7, 0.5), (0.7, 2))):
        expected = Predictor.load(run)(batch[number : number + 1], spacing)
        np.testing.assert_allclose(
            answer["probabilities"][number], expected.probabilities[0], atol=1e-6
        )


def test_warm_up_requests_fit_their_signatures(exported, signatures):
    file = str(exported / "assets.extra" / "tf_serving_warmup_requests")
    names = []
    for record in tf.data.TFRecordDataset(file).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        request = log.predict_log.request
        names.append(request.model_spec.signature_name)
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        signatures[names[-1]](**{name: tf.constant(value) for name, value in inputs.items()})
    assert sorted(names) == ["image_bytes", "raw", "serving_default"]


def test_what_lies_beside_the_model(run, exported):
    extra = exported / "assets.extra"
    card = (extra / "model_card.md").read_text()
    assert "# heart, version 1" in card and "* 2: pulmonary artery" in card
    assert "`image_bytes` string [-] gives `mask_bytes` string [-]" in card
    models = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((extra / "models.config").read_text(), models)
    assert models.model_config_list.config[0].base_path == "/models/heart"
    about = json.loads((extra / "model.json").read_text())
    assert about["parity"]["calls"] == 15 and about["parity"]["differing_mask_pixels"] == 0
    text = "".join(file.read_text() for file in (*extra.glob("*.json"), *extra.glob("*.md")))
    patients = json.loads((run / "split.json").read_text())["patients"]
    assert not any(name in text for part in patients.values() for name in part)
    assert str(run.parent) not in text


def test_versions_count_up_and_come_whole(plain):
    folder, seen = plain
    assert folder.name == "9" and (folder / "saved_model.pb").is_file()
    assert [name for name in seen if re.fullmatch(r"\d+", name)] == ["7"]
    assert not [path for path in folder.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_an_export_that_says_something_else_is_not_left(run, tmp_path, monkeypatch):
    original = parity._ask

    def altered(*arguments):
        answers = original(*arguments)
        answers[0]["mask"] = (answers[0]["mask"] + 1) % 3
        return answers

    monkeypatch.setattr(parity, "_ask", altered)
    with pytest.raises(ExportError, match="differs from the run.*2304 of .* nothing was exported"):
        export_saved_model(run, tmp_path / "heart")
    assert not (tmp_path / "heart").exists()


@pytest.mark.slow
def test_an_export_that_cannot_be_loaded_is_not_left(run, tmp_path, monkeypatch):
    save = tf.saved_model.save

    def spoilt(module, folder, **more):
        save(module, folder, **more)
        (tmp_path / "heart" / folder / "saved_model.pb").write_bytes(b"spoilt")

    monkeypatch.setattr(tf.saved_model, "save", spoilt)
    with pytest.raises(ExportError, match="fails where it is loaded again"):
        export_saved_model(run, tmp_path / "heart")
    assert not (tmp_path / "heart").exists()


def test_refusals(make_run, run, tmp_path):
    with pytest.raises(InputError, match="no discriminator"):
        export_saved_model(make_run(recipe="supervised"), tmp_path / "m", confidence=True)
    with pytest.raises(InputError, match="nowhere: the data of .* give --data DIR"):
        export_saved_model(run, tmp_path / "m", data=tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file; expected the folder of a model"):
        export_saved_model(run, tmp_path / "file")
    assert not (tmp_path / "m").exists()


def test_example_of_the_documentation_runs(
    exported, shared_phantom, tmp_path, monkeypatch, predictor
):
    text = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "saved_models" / "heart").mkdir(parents=True)
    (tmp_path / "saved_models" / "heart" / "1").symlink_to(exported)
    image = sorted((shared_phantom / "images").iterdir())[0]
    shutil.copy(image, tmp_path / "image.png")
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(example, found)
    np.testing.assert_array_equal(
        found["mask"][..., 0], predictor(read_pages(image).voxels).masks[0]
    )
