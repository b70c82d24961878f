import csv
import json
import shutil
from io import StringIO

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from rich.console import Console

from tfadvseg.building import build_model
from tfadvseg.cli import main
from tfadvseg.config import Config, read_settings
from tfadvseg.data.formats.raster import write_png
from tfadvseg.data.geometry import Geometry
from tfadvseg.data.image import Image
from tfadvseg.data.phantom import write_phantom
from tfadvseg.errors import DataWarning, InputError, TrainingError
from tfadvseg.evaluation import evaluate
from tfadvseg.inference.predictor import Predictor
from tfadvseg.models import AdversarialSegmenter
from tfadvseg.preparation import prepare
from tfadvseg.run_folder import RunFolder
from tfadvseg.training import Round, fit, fitting, rounds, session
from tfadvseg.training.rounds import uses_unlabelled
from tfadvseg.training.session import Session


class Killed(BaseException):
    """What a test raises in place of the kill signal: nothing may catch it."""


def kill_after(monkeypatch, saves):
    """Ends the process's training right after the given number of checkpoints."""
    original, count = RunFolder.save_checkpoint, []

    def save(self, *args, **kwargs):
        original(self, *args, **kwargs)
        count.append(1)
        if len(count) == saves:
            raise Killed

    monkeypatch.setattr(RunFolder, "save_checkpoint", save)


def weights_of(path):
    model = keras.models.load_model(path)
    variables = [*model.variables, *model.optimizer.variables]
    if model.discriminator is not None:
        variables += model.discriminator_optimizer.variables
    return [np.asarray(v) for v in variables]


def history_of(run):
    with (run / "history.csv").open() as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="session")
def finished(shared_phantom, tiny, tmp_path_factory):
    """A run of recipe paper that nothing interrupted, and its metrics."""
    out = tmp_path_factory.mktemp("runs") / "paper"
    config = Config(**tiny, data=str(shared_phantom), labelled_patients=1)
    return out, fit(config, out)


def test_fit_leaves_a_whole_run_folder(finished):
    out, result = finished
    for name in (
        "config.yaml",
        "split.json",
        "history.csv",
        "tensorboard",
        "checkpoints",
        "best.keras",
        "last.keras",
        "calibration.json",
        "metrics.json",
        "environment.json",
        "report.html",
    ):
        assert (out / name).exists(), name
    assert not list(out.rglob("*.tmp"))
    assert json.loads((out / "metrics.json").read_text()) == result
    found = len(tf.config.list_physical_devices("GPU"))
    told = json.loads((out / "environment.json").read_text())["gpus"]
    assert told == "none" if found == 0 else told.count(",") == found - 1
    assert result["split"] == "test" and result["cases"] == result["quality"]["cases"] == 3
    assert isinstance(keras.models.load_model(out / "last.keras"), AdversarialSegmenter)


def test_history_has_every_figure_and_blanks_where_there_is_none(finished):
    rows = history_of(finished[0])
    assert [row["step"] for row in rows] == ["2", "4", "6"]
    assert [row["stage"] for row in rows] == ["adversarial", *["semi-supervised"] * 2]
    for name in ("semi_loss", "kept", "d_fake_unlabelled"):
        assert rows[0][name] == "" and float(rows[1][name]) >= 0
    for name in ("ce_loss", "adv_loss", "d_loss", "d_real", "d_fake_labelled", "val_dice"):
        assert all(row[name] for row in rows), name
    assert float(rows[-1]["learning_rate"]) == 0


def test_split_json_names_the_patients(finished):
    split = json.loads((finished[0] / "split.json").read_text())
    patients = split["patients"]
    assert len(patients["labelled"]) == 1
    assert len({name for names in patients.values() for name in names}) == 4


def test_a_run_that_is_killed_twice_resumes_to_the_same_weights(
    finished, shared_phantom, tiny, tmp_path, monkeypatch
):
    """Once where the semi-supervised stage begins, once within it."""
    out = tmp_path / "run"
    config = Config(**tiny, data=str(shared_phantom), labelled_patients=1)
    for resume in (False, True):
        with monkeypatch.context() as patch:
            kill_after(patch, 1)
            with pytest.raises(Killed):
                fit(config, out, resume=resume)
        assert not (out / "metrics.json").exists()
        keras.utils.set_random_seed(12345)  # another process knows nothing of this one's seeds
    result = fit(config, out, resume=True)
    assert result == finished[1]
    for ours, theirs in zip(
        weights_of(out / "last.keras"), weights_of(finished[0] / "last.keras"), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert [row["step"] for row in history_of(out)] == ["2", "4", "6"]


@pytest.mark.slow
def test_a_resumed_run_computes_as_before_and_repeats_no_warning(
    shared_phantom, tiny, tmp_path, monkeypatch
):
    """Killed right after the checkpoint of the round whose warning it is."""
    monkeypatch.setattr(session, "troubles", lambda history, *_: {"odd": "something is odd"})
    said = [Console(file=StringIO()), Console(file=StringIO())]
    config = Config(**tiny, data=str(shared_phantom), precision="bfloat16", recipe="supervised")
    with monkeypatch.context() as patch:
        kill_after(patch, 2)
        with pytest.raises(Killed):
            fit(config, tmp_path / "run", console=said[0])
    seen, original = [], RunFolder.save_checkpoint

    def save(self, model, *args, **kwargs):
        seen.append({layer.compute_dtype for layer in model.segmenter.layers})
        original(self, model, *args, **kwargs)

    monkeypatch.setattr(RunFolder, "save_checkpoint", save)
    fit(config, tmp_path / "run", resume=True, console=said[1])
    assert [one.file.getvalue().count("something is odd") for one in said] == [1, 0]
    assert seen and all("bfloat16" in types for types in seen)
    assert keras.config.dtype_policy().name == "float32"  # nothing is left behind


def test_all_networks_compute_as_configured():
    names = ("background", "a")
    config = Config(classes=names, channels=1, base_filters=4, depth=2, precision="bfloat16")
    model = build_model(config.replace(recipe="adversarial", discriminator_filters=(4, 4)))
    for network in (model.segmenter, model.averaged, model.discriminator):
        assert "bfloat16" in {layer.compute_dtype for layer in network.layers}


def test_resuming_a_finished_run_trains_nothing(finished):
    before = weights_of(finished[0] / "last.keras")
    assert fit(Config(), finished[0], resume=True) == finished[1]
    for a, b in zip(before, weights_of(finished[0] / "last.keras"), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("saves", "words"), [(1, "step 2 is safe: go on"), (0, "yet: begin again")]
)
def test_ctrl_c_tells_what_is_safe(saves, words, shared_phantom, tiny, tmp_path, monkeypatch):
    original = Session._round

    def stop(self, part):
        if len(self.state["history"]) == saves:
            raise KeyboardInterrupt
        original(self, part)

    monkeypatch.setattr(Session, "_round", stop)
    options = [f"--set={name}={value}" for name, value in tiny.items()]
    call = ["fit", "--data", str(shared_phantom), "--recipe=supervised", "--out"]
    result = CliRunner().invoke(main, [*call, str(tmp_path / "run"), *options])
    assert result.exit_code == 1 and result.stderr.strip() == "Aborted!"
    line = result.stdout.splitlines()[-1]
    assert line.startswith("Stopped; ") and words in line
    assert line.endswith(f"with tfadvseg fit --out {tmp_path / 'run'} --resume")


def test_resume_refuses_a_damaged_checkpoint(finished, tmp_path):
    run = shutil.copytree(finished[0], tmp_path / "run")
    (model,) = run.glob("checkpoints/*/model.keras")
    model.write_bytes(model.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"model\.keras: truncated or damaged"):
        fit(Config(), run, resume=True)


def test_a_run_without_a_window_goes_on_with_what_that_meant(tmp_path):
    """Whatever is the default for its data now: predictions are made by its own settings."""
    folder = RunFolder(tmp_path)
    (tmp_path / "config.yaml").write_text("window: null\n")
    assert fitting._as_begun(folder, None).window == "percentile"
    (tmp_path / "config.yaml").write_text("window: lung\n")
    assert fitting._as_begun(folder, None).window == "lung"


def test_resume_counts_epochs(finished):
    """Those of the run are three of two steps, for three labelled slices."""
    assert fit(Config(epochs=3), finished[0], resume=True) == finished[1]
    with pytest.raises(InputError, match="epochs: expected those of .*, 6 steps, received 8 steps"):
        fit(Config(epochs=4), finished[0], resume=True)


def test_who_stops_a_run_while_it_begins_leaves_no_half_of_it(
    shared_phantom, tiny, tmp_path, monkeypatch
):
    def interrupted():
        raise Killed

    monkeypatch.setattr(fitting, "environment", interrupted)
    with pytest.raises(Killed):
        fit(Config(**tiny, data=str(shared_phantom), labelled_patients=1), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_better_model_does_not_keep_the_calibration_of_the_last_best(
    shared_phantom, tiny, tmp_path, monkeypatch
):
    """A stopped run was evaluated; it is stopped again after its model became better."""
    config = Config(**tiny, data=str(shared_phantom), recipe="supervised")
    stale, kept = tmp_path / "run" / "calibration.json", []
    original = RunFolder.save_checkpoint

    def save(self, *args, best, **kwargs):
        stale.write_text("{}")
        original(self, *args, best=best, **kwargs)
        kept.append((best, stale.exists()))

    monkeypatch.setattr(RunFolder, "save_checkpoint", save)
    fit(config, tmp_path / "run")
    assert kept and all(best is not there for best, there in kept)
    assert json.loads(stale.read_text())["coefficients"]


def test_resume_refuses_other_data(finished, shared_phantom, phantom, tmp_path):
    run = shutil.copytree(finished[0], tmp_path / "run")
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace(str(shared_phantom), str(phantom)))
    split = json.loads((run / "split.json").read_text())
    (phantom / "masks" / f"{split['labelled'][0]}.png").unlink()
    with pytest.raises(InputError, match="not those that this run began with"):
        fit(Config(), run, resume=True)


@pytest.mark.parametrize(
    "recipe", ["supervised", pytest.param("adversarial", marks=pytest.mark.slow)]
)
def test_recipes_without_unlabelled_images(recipe, shared_phantom, tiny, tmp_path):
    config = Config(**tiny, data=str(shared_phantom), recipe=recipe)
    fit(config, tmp_path / "run")
    row = history_of(tmp_path / "run")[-1]
    assert ("d_loss" in row) is (recipe == "adversarial")
    assert "semi_loss" not in row
    model = keras.models.load_model(tmp_path / "run" / "best.keras")
    assert (model.discriminator is None) is (recipe == "supervised")


def test_recipes_of_a_seed_start_from_the_same_segmenter_and_seeds_from_others():
    config = Config(base_filters=4, depth=2, classes=("background", "a"), channels=1, steps=9)
    models = [
        build_model(config.replace(recipe=recipe)) for recipe in ("supervised", "adversarial")
    ]
    other = build_model(config.replace(recipe="supervised", seed=5))
    ours, theirs, others = (model.segmenter.get_weights() for model in (*models, other))
    assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))
    assert any((a != b).any() for a, b in zip(ours, others, strict=True))


def test_rounds_meet_exactly_at_the_stage_switch():
    config = Config(steps=10, warmup=0.3, validate_every=4)
    assert list(rounds(config)) == [
        Round(0, 3, "adversarial"),
        Round(3, 4, "semi-supervised"),
        Round(4, 8, "semi-supervised"),
        Round(8, 10, "semi-supervised"),
    ]
    assert list(rounds(config, start=8)) == [Round(8, 10, "semi-supervised")]
    supervised = rounds(config.replace(recipe="supervised"))
    assert [(r.stop, r.stage) for r in supervised] == [(n, "supervised") for n in (4, 8, 10)]


@pytest.mark.parametrize(
    ("settings", "stages"),
    [
        ({}, ["semi-supervised"]),
        ({"discriminator_fakes": "both"}, ["adversarial", "semi-supervised"]),
        ({"lambda_adv_unlabelled": 0.1}, ["adversarial", "semi-supervised"]),
        ({"recipe": "adversarial", "discriminator_fakes": "both"}, []),
    ],
)
def test_unlabelled_images_take_part_where_something_learns_from_them(settings, stages):
    config, every = Config(**settings), ("adversarial", "semi-supervised")
    assert [stage for stage in every if uses_unlabelled(config, stage)] == stages


def test_the_models_stage_begins_where_the_rounds_switch():
    config = Config(
        steps=10, warmup=0.3, classes=("background", "a"), channels=1, base_filters=4, depth=1
    )
    switch = next(r.start for r in rounds(config) if r.stage == "semi-supervised")
    assert build_model(config).semi_start == switch == 3


def test_a_loss_that_is_no_number_stops_with_step_and_name(shared_phantom, tiny, tmp_path):
    config = Config(
        **{**tiny, "learning_rate": 1e38}, data=str(shared_phantom), recipe="supervised"
    )
    with pytest.raises(TrainingError, match=r"step \d+: ce_loss is (NaN|Inf)") as error:
        fit(config, tmp_path / "run")
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_early_stopping_stops(shared_phantom, tiny, tmp_path):
    # Nothing moves, not even the averages of batch norm.
    still = {"learning_rate": 1e-12, "norm": "instance"}
    settings = {**tiny, **still, "steps": 20, "early_stopping": 2}
    fit(Config(**settings, data=str(shared_phantom), recipe="supervised"), tmp_path / "run")
    assert [row["step"] for row in history_of(tmp_path / "run")] == ["2", "4", "6"]


@pytest.mark.slow
def test_early_stopping_waits_for_the_unlabelled_images(shared_phantom, tiny, tmp_path):
    """Nothing moves, from the first round on; patience begins with the stage."""
    still = {"learning_rate": 1e-12, "norm": "instance", "warmup": 0.5, "labelled_patients": 1}
    settings = {**tiny, **still, "steps": 20, "early_stopping": 2}
    fit(Config(**settings, data=str(shared_phantom), recipe="paper"), tmp_path / "run")
    assert [row["step"] for row in history_of(tmp_path / "run")][-3:] == ["10", "12", "14"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:3 of 12 masks have no foreground", "ignore:no class in any")
def test_validation_masks_without_a_class_judge_nothing(phantom, tiny, tmp_path):
    """As without validation: told, the last model is the best, and nothing stops early."""
    config = Config(
        **{**tiny, "steps": 6, "early_stopping": 1}, data=str(phantom), recipe="supervised"
    )
    for case in prepare(config)[1].val:
        write_png(case.mask, np.zeros_like(cv2.imread(str(case.mask), cv2.IMREAD_UNCHANGED)))
    with pytest.warns(DataWarning, match="no class in any mask of the validation patients"):
        prepare(config)
    fit(config, tmp_path / "run")
    rows = history_of(tmp_path / "run")
    assert [row["step"] for row in rows] == ["2", "4", "6"]
    assert not any("val_dice" in row for row in rows)
    files = [(tmp_path / "run" / f"{name}.keras").read_bytes() for name in ("best", "last")]
    assert files[0] == files[1]


@pytest.mark.slow
def test_a_class_that_validation_masks_do_not_show_has_no_part_in_the_best(
    shared_phantom, tiny, tmp_path, monkeypatch
):
    """One pixel that is taken for it gives it Dice 0, and none leaves it out."""
    shown = {"dice": 0.8, "miou": 0.7, "recall": 0.9}
    unknown = {"dice": 0.0, "miou": 0.0, "recall": None}
    classes = {"background": shown, "aorta": shown, "pulmonary artery": unknown}
    pooled = {"foreground": {"dice": 0.4, "recall": 0.9}, "per_class": classes}
    monkeypatch.setattr(session, "score_cases", lambda *_, **__: {"pooled": pooled})
    config = Config(**{**tiny, "steps": 2}, data=str(shared_phantom), recipe="supervised")
    fit(config, tmp_path / "run")
    (row,) = history_of(tmp_path / "run")
    assert float(row["val_dice"]) == pytest.approx(0.8)
    assert float(row["val_miou"]) == pytest.approx(0.7)


@pytest.mark.slow
def test_a_run_that_nobody_judges_ends_with_its_last_model(
    shared_phantom, tiny, tmp_path, read_page
):
    nobody = {"val_patients": 0, "test_patients": 0, "recipe": "supervised", "steps": 2}
    console, run = Console(record=True, width=200), tmp_path / "run"
    assert fit(Config(**{**tiny, **nobody}, data=str(shared_phantom)), run, console=console) is None
    assert "best.keras is the last model, unjudged" in console.export_text()
    assert "There are no scores" in read_page(run / "report.html").text
    assert not (run / "metrics.json").exists() and not (run / "calibration.json").exists()
    files = [(run / f"{name}.keras").read_bytes() for name in ("best", "last")]
    assert files[0] == files[1]


@pytest.mark.slow
def test_weights_that_are_no_numbers_replace_no_checkpoint(
    shared_phantom, tiny, tmp_path, monkeypatch
):
    """The last step of a round can spoil them: no loss tells any more."""
    steps = session.Session._steps

    def spoil(self, part):
        row = steps(self, part)
        if part.start:
            weight = self.model.segmenter.trainable_variables[0]
            weight.assign(np.full(weight.shape, np.nan))
        return row

    monkeypatch.setattr(session.Session, "_steps", spoil)
    config = Config(**tiny, data=str(shared_phantom), recipe="supervised")
    with pytest.raises(TrainingError, match="step 4: a weight is no finite number"):
        fit(config, tmp_path / "run")
    (kept,) = RunFolder(tmp_path / "run").checkpoints()
    assert int(kept.name) == 2


def test_resume_writes_what_was_lost_after_the_last_checkpoint(finished, tmp_path):
    run = shutil.copytree(finished[0], tmp_path / "run")
    whole = (run / "history.csv").read_text()
    (run / "history.csv").write_text(whole.rsplit("\n", 2)[0] + "\n")
    fit(Config(), run, resume=True)
    assert (run / "history.csv").read_text() == whole


def test_best_is_the_best_validated_model(finished):
    rows = history_of(finished[0])
    best = max(float(row["val_dice"]) for row in rows)
    score = evaluate(finished[0], split="val", checkpoint="best")["pooled"]["foreground"]["dice"]
    assert score == pytest.approx(best, abs=1e-6)


def test_predictions_have_the_images_size_whatever_it_is(finished):
    predictor = Predictor.load(finished[0])
    for shape in ((1, 48, 48), (3, 31, 77), (2, 200, 9)):
        image = np.random.default_rng(0).integers(0, 255, (*shape, 1), dtype=np.uint8)
        result = predictor(image)
        assert result.masks.shape == result.confidence.shape == shape
        assert result.probabilities.shape == (*shape, 3)
        np.testing.assert_allclose(result.probabilities.sum(axis=-1), 1, atol=1e-5)
        np.testing.assert_array_equal(result.masks, result.probabilities.argmax(axis=-1))
        assert 0 <= result.confidence.min() and result.confidence.max() <= 1


def test_predictor_refuses_other_channels(finished):
    with pytest.raises(InputError, match="1 channel"):
        Predictor.load(finished[0])(np.zeros((1, 8, 8, 3), np.uint8))


def test_a_volume_is_predicted_slice_by_slice_on_its_own_axes(finished):
    """Large enough for several batches; the file's axes run against the networks'."""
    predictor = Predictor.load(finished[0])
    voxels = np.random.default_rng(0).integers(0, 255, (3, 900, 800, 1), dtype=np.uint8)
    grid = Geometry((800, 900, 3), (1, 1, 5), (0, 0, 0), (-1, 0, 0, 0, 1, 0, 0, 0, -1))
    parts = [part for part, _ in predictor.stream(Image(voxels, grid))]
    assert [part.stop for part in parts] == [1, 2, 3]
    mask = predictor.segment(Image(voxels, grid))
    expected = predictor(voxels[::-1, :, ::-1]).masks
    # Ties of an untrained network may fall otherwise in a batch of another size.
    assert (mask[::-1, :, ::-1] != expected).mean() < 1e-4
    assert len(np.unique(mask)) > 1 and (mask != expected).mean() > 1e-2


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.full((48, 48), 7, np.uint8), "class index 7"),
        (np.zeros((5, 6), np.uint8), "6x5"),
    ],
)
def test_evaluate_refuses_masks_that_do_not_fit(finished, phantom, mask, words):
    write_png(sorted((phantom / "masks").iterdir())[0], mask)
    with pytest.raises(InputError, match=words):
        evaluate(finished[0], data=phantom)


@pytest.mark.slow
def test_overwrite_trains_anew(finished, shared_phantom, tiny, tmp_path):
    run = shutil.copytree(finished[0], tmp_path / "run")
    config = Config(**{**tiny, "steps": 2}, data=str(shared_phantom), recipe="supervised")
    fit(config, run, overwrite=True)
    (row,) = history_of(run)
    assert (row["step"], row["stage"]) == ("2", "supervised")
    assert [path.name for path in RunFolder(run).checkpoints()] == ["00000002"]
    assert keras.models.load_model(run / "best.keras").discriminator is None


def test_evaluate_on_a_moved_data_folder(finished, phantom):
    moved = evaluate(finished[0], data=phantom, split="test")
    assert moved == finished[1]
    everything = evaluate(finished[0], data=phantom)
    assert everything["split"] == "all" and everything["cases"] == 12


@pytest.mark.slow
def test_volumes_are_trained_on_and_measured_in_mm(tmp_path, tiny):
    write_phantom(tmp_path / "p", patients=4, slices=3, size=48, format="nifti")
    settings = {**tiny, "labelled_patients": 1, "spacing_mm": 360 / 32}
    result = fit(Config.from_mapping({"data": str(tmp_path / "p"), **settings}), tmp_path / "r")
    assert result["cases"] == 1
    saved = json.loads((tmp_path / "r" / "split.json").read_text())
    assert saved["test"] == ["phantom003"] and len(saved["unlabelled"]) == 1
    surface = result["surface"]["foreground"]
    assert surface["measured"] + surface["missed"] + surface["invented"] > 0
    assert surface["without_spacing"] == 0
    config = Config.from_mapping(read_settings(tmp_path / "r" / "config.yaml"))
    assert config.window == "C200 W850"


def test_pixel_sizes_that_no_image_tells_are_refused(phantom, tiny, tmp_path):
    config = Config.from_mapping({"data": str(phantom), **tiny, "spacing_mm": 2})
    with pytest.raises(InputError, match="do not say their pixel size in mm"):
        fit(config.replace(recipe="supervised"), tmp_path / "r")
    assert not (tmp_path / "r").exists()
