"""The methods of the comparison: their losses by hand, their runs, and their tables."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # `benchmarks` is no part of the package

from benchmarks.semi_supervised import run, table  # noqa: E402
from benchmarks.semi_supervised.ablations import (  # noqa: E402
    FIXED,
    FixedThreshold,
    HarderIntensities,
    MovedTeacher,
    NoisyMaps,
    OwnTeacher,
    SegmenterAlone,
    WithoutBoxes,
    WithoutDice,
    WithoutIntensities,
    WithoutQuotas,
    WithoutWaiting,
)
from benchmarks.semi_supervised.fixmatch import FixMatch, confident_cross_entropy  # noqa: E402
from benchmarks.semi_supervised.intensities import harder  # noqa: E402
from benchmarks.semi_supervised.mean_teacher import MeanTeacher, consistency  # noqa: E402
from benchmarks.semi_supervised.methods import METHODS, find_method  # noqa: E402
from tfadvseg.config import Config  # noqa: E402
from tfadvseg.data.pipeline import Pool  # noqa: E402
from tfadvseg.models import Discriminator, TeacherSegmenter, UNet, cutmix, teacher  # noqa: E402
from tfadvseg.models.teacher import Lesson  # noqa: E402
from tfadvseg.run_folder import RunFolder  # noqa: E402
from tfadvseg.sampling import Views, grid, linear  # noqa: E402
from tfadvseg.training import fit  # noqa: E402
from tfadvseg.training.pseudo_labels import quotas  # noqa: E402

CLASSES, IGNORED = 3, 255


def make(trainer, norm="instance", rate=0.1, d=None, **settings):
    keras.utils.set_random_seed(1)
    segmenter = UNet(CLASSES, 1, base_filters=4, depth=2, norm=norm)
    model = trainer(segmenter, d, averaging=0.9, **settings)
    model.compile(keras.optimizers.SGD(rate), d and keras.optimizers.SGD(rate))
    return model


@pytest.fixture
def batch():
    rng = np.random.default_rng(23)
    images, unlabelled = rng.random((2, 16, 16, 1)), rng.random((3, 16, 16, 1))
    masks = rng.integers(0, CLASSES, (2, 16, 16))
    masks[rng.random(masks.shape) < 0.2] = IGNORED
    images, unlabelled = (tf.constant(x, tf.float32) for x in (images, unlabelled))
    return (images, tf.constant(masks, tf.int32)), unlabelled


@pytest.fixture
def seen(batch):
    """The same, with the unlabelled images as they are and changed."""
    points = grid(tf.shape(batch[1])) + [2.0, -1.0]  # two rows up, one column to the right
    return batch[0], Views(batch[1], linear(batch[1], points) ** 2, points)


def step(model, data):
    model.reset_metrics()
    return {name: float(value) for name, value in model.train_step(data).items()}


def softmax(logits):
    powers = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def weights(network):
    return [variable.numpy() for variable in network.variables]


def same(first, second):
    return all(np.allclose(a, b, atol=1e-6) for a, b in zip(first, second, strict=True))


# === Losses ===


def test_consistency_by_hand():
    student, teacher = np.log([[[[0.5, 0.5], [0.9, 0.1]]]]), np.log([[[[0.8, 0.2], [0.9, 0.1]]]])
    assert float(consistency(student, teacher)) == pytest.approx((0.3**2 * 2 + 0) / 4)


def test_no_gradient_reaches_the_teacher():
    logits = [tf.Variable(np.random.default_rng(n).random((1, 2, 2, 3))) for n in (0, 1)]
    with tf.GradientTape() as tape:
        loss = consistency(*logits)
    student, teacher = tape.gradient(loss, logits)
    assert np.abs(student).max() > 0 and teacher is None


def test_confident_cross_entropy_is_a_mean_over_all_pixels():
    logits = np.log([[[[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]]]])
    lesson = Lesson(None, tf.constant([[[0, 1, 1]]]), tf.constant([[[1.0, 0.0, 1.0]]], tf.float64))
    expected = -(np.log(0.5) + np.log(0.8)) / 3
    assert float(confident_cross_entropy(lesson, logits)) == pytest.approx(expected)


def test_the_weight_of_consistency_grows():
    model = make(MeanTeacher, rampup_steps=10)
    found = []
    for passed in (0, 5, 10, 20):
        model.optimizer.iterations.assign(passed)
        found.append(float(model.rampup()))
    np.testing.assert_allclose(found, [np.exp(-5), np.exp(-1.25), 1, 1], rtol=1e-5)


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_mean_teacher_step_against_numpy(norm, batch):
    model = make(MeanTeacher, norm, rampup_steps=10, seed=4, lambda_semi=2.0)
    (images, masks), unlabelled = batch
    noise = np.clip(0.1 * tf.random.stateless_normal((3, 16, 16, 1), (4, 0)), -0.2, 0.2)
    taught = softmax(model.averaged(unlabelled + noise, training=False).numpy())
    halves = [softmax(model.segmenter(x, training=True).numpy()) for x in (images, unlabelled)]
    counted = masks.numpy() != IGNORED
    own = np.take_along_axis(halves[0], np.where(counted, masks, 0)[..., None], -1)[..., 0]
    ce, semi = -np.log(own[counted]).mean(), ((halves[1] - taught) ** 2).mean()
    values = step(make(MeanTeacher, norm, rampup_steps=10, seed=4, lambda_semi=2.0), batch)
    expected = {"ce_loss": ce, "semi_loss": semi, "loss": ce + 2 * np.exp(-5) * semi}
    assert values == pytest.approx(expected, rel=1e-4)


def cross_entropy(said, classes, counts):
    return -(np.log(np.take_along_axis(said, classes[..., None], -1)[..., 0]) * counts).mean()


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize(("features", "own"), [(False, False), (False, True), (True, False)])
def test_fixmatch_step_against_numpy(features, own, norm, seen):
    settings = {"t_semi": 0.4, "seed": 5, "lambda_semi": 1.0}
    settings |= {"features": features, "own_intensities": own}
    model, moved = make(FixMatch, norm, **settings), seen[1].moved
    probabilities = softmax(model.segmenter(moved, training=True).numpy())
    classes, sure = probabilities.argmax(-1), probabilities.max(-1) > 0.4
    assert 0 < sure.mean() < 1
    seeds, drawn = tf.random.split(tf.constant([5, 0], tf.int64), 5), []
    for box_seed, seed in ((seeds[0], seeds[1]), (seeds[2], seeds[3])):
        box = cutmix.boxes(3, 16, 16, box_seed).numpy() > 0
        image = (seen[1].changed if own else harder(moved, seed)).numpy()
        drawn.append(
            [
                np.where(box.reshape(box.shape + (1,) * (x.ndim - 3)), np.roll(x, 1, 0), x)
                for x in (image, classes, sure)
            ]
        )
    images, expected, counts = map(np.concatenate, zip(*drawn, strict=True))
    # One pass, one batch's statistics.
    said = softmax(model.segmenter(images, training=True).numpy())
    semi = cross_entropy(said, expected, counts)
    if features:  # the second stream, after UniMatch
        dropped = softmax(model._perturbed(moved, seeds[4]).numpy())
        semi = (semi + cross_entropy(dropped, classes, sure)) / 2
    values = step(make(FixMatch, norm, **settings), seen)
    assert values["kept"] == pytest.approx(sure.mean())
    assert values["semi_loss"] == pytest.approx(semi, rel=1e-4)
    assert values["loss"] == pytest.approx(values["ce_loss"] + values["semi_loss"], rel=1e-5)


def test_perturbed_features_without_dropping_are_the_network_itself(batch, monkeypatch):
    monkeypatch.setattr("benchmarks.semi_supervised.fixmatch.DROPPED", 0.0)
    model = make(FixMatch, features=True)
    seed = tf.constant([1, 2], tf.int64)
    whole = model.segmenter(batch[1], training=True).numpy()
    np.testing.assert_allclose(model._perturbed(batch[1], seed), whole, atol=1e-5)
    monkeypatch.setattr("benchmarks.semi_supervised.fixmatch.DROPPED", 0.5)
    assert not np.allclose(model._perturbed(batch[1], seed), whole, atol=1e-2)


@pytest.mark.parametrize("trainer", [MeanTeacher, FixMatch])
def test_unlabelled_images_leave_the_moving_averages(trainer, batch, seen):
    settings = {"features": True, "t_semi": 0.0} if trainer is FixMatch else {}
    found = []
    for data in (seen if trainer is FixMatch else batch, (batch[0], None)):
        model = make(trainer, "batch", rate=0.0, **settings)
        start = weights(model.segmenter)
        values = step(model, data)
        assert ("semi_loss" in values) is (data[1] is not None)
        found.append([v.numpy() for v in model.segmenter.non_trainable_variables])
    assert same(*found)
    assert not same(start, weights(model.segmenter))


@pytest.mark.parametrize("trainer", [MeanTeacher, FixMatch])
def test_unlabelled_images_move_s(trainer, batch, seen):
    settings = {"features": True, "t_semi": 0.0} if trainer is FixMatch else {}
    models = [make(trainer, lambda_semi=weight, **settings) for weight in (0.0, 1.0)]
    for model in models:
        step(model, seen if trainer is FixMatch else batch)
    assert not same(*(weights(model.segmenter) for model in models))


# === Recipe strong without a part ===


def strong(trainer=TeacherSegmenter, **settings):
    model = make(trainer, d=Discriminator(CLASSES, (4, 8)), **settings)
    model.set_trust(np.array([[0.0, 1, 0]] * CLASSES), np.zeros(CLASSES), np.full(CLASSES, 0.5))
    return model


def test_views_with_a_part_less_or_another(seen):
    moved, changed = seen[1].moved, seen[1].changed
    seed = tf.constant([5, 0], tf.int64)
    box, other = cutmix.boxes(3, 16, 16, seed), tf.random.experimental.stateless_fold_in(seed, 1)
    harder_still = harder(moved, other)
    assert not np.allclose(harder_still, moved, atol=0.01)
    shown = {
        TeacherSegmenter: cutmix.pasted(changed, box),
        WithoutBoxes: changed,
        WithoutIntensities: cutmix.pasted(moved, box),
        HarderIntensities: cutmix.pasted(harder_still, box),
        MovedTeacher: cutmix.pasted(changed, box),
    }
    lessons = {trainer: strong(trainer, seed=5)._teach(seen[1])[0] for trainer in shown}
    for trainer, images in shown.items():
        np.testing.assert_allclose(lessons[trainer].images, images)
    classes = {trainer: lesson.classes.numpy() for trainer, lesson in lessons.items()}
    assert not np.array_equal(classes.pop(WithoutBoxes), classes[TeacherSegmenter])
    taught = tf.argmax(strong().averaged(moved, training=False), axis=-1)
    found = classes.pop(MovedTeacher)
    np.testing.assert_array_equal(found, cutmix.pasted(taught, box))
    assert not np.array_equal(found, classes[TeacherSegmenter])
    assert all(np.array_equal(one, classes[TeacherSegmenter]) for one in classes.values())


def test_without_dice_l_semi_is_cross_entropy(seen, monkeypatch):
    found = float(strong(WithoutDice).train_step(seen)["semi_loss"])
    assert float(strong().train_step(seen)["semi_loss"]) > found
    monkeypatch.setattr(teacher, "DICE", 0.0)
    assert float(strong().train_step(seen)["semi_loss"]) == pytest.approx(found, rel=1e-5)


def test_without_quotas_all_classes_count_alike():
    assert np.all(strong(WithoutQuotas).class_weights == 1.0)
    assert np.all(strong().class_weights == 0.5)


@pytest.mark.parametrize(("trainer", "learns"), [(TeacherSegmenter, 0), (WithoutWaiting, 1)])
def test_d_that_does_not_wait(trainer, learns, seen, monkeypatch):
    monkeypatch.setattr(teacher, "ENOUGH", 100.0)
    assert float(strong(trainer).train_step(seen)["d_learns"]) == learns


def test_noise_lowers_the_ones_of_label_maps(seen):
    """D that weighs the first class alone tells what it saw of it, mean noise 0.1 everywhere."""
    (images, masks), unlabelled = seen
    ones = (images, tf.zeros_like(masks)), unlabelled
    judged = {}
    for trainer in (TeacherSegmenter, NoisyMaps):
        model = strong(trainer)
        valid = tf.ones(masks.shape, tf.float32)
        labels = tf.one_hot(tf.zeros_like(masks), CLASSES)
        first = FirstClass(CLASSES, (4,))
        _, real, _ = model._judge_labelled(first, labels, valid, model.segmenter(images))
        judged[trainer] = real.numpy()
        assert np.isfinite(float(model.train_step(ones)["d_loss"]))
    assert np.all(judged[TeacherSegmenter] == 1) and np.all(judged[NoisyMaps] >= 0.8)
    assert judged[NoisyMaps].mean() == pytest.approx(0.9, abs=0.02)


class FirstClass(Discriminator):
    def call(self, class_map, training=False):
        return class_map[..., :1]


def test_own_teacher_is_s():
    model = strong(OwnTeacher)
    assert model.teacher is model.segmenter and strong().teacher is not model.segmenter


@pytest.fixture
def held_out():
    rng = np.random.default_rng(0)
    masks = rng.integers(0, CLASSES, (5, 16, 16)).astype(np.uint8)
    return Pool(rng.random((5, 16, 16, 1)).astype(np.float32), masks)


def test_trust_without_d(held_out):
    model = strong()
    trust = SegmenterAlone(model, held_out, IGNORED).renew()
    assert np.all(trust.coefficients[:, 2] == 0) and np.any(trust.coefficients[:, 1] != 1)


def test_a_fixed_threshold_on_the_teachers_probability(held_out, seen, monkeypatch):
    monkeypatch.setattr("benchmarks.semi_supervised.ablations.FIXED", 0.4)
    model = strong(WithoutBoxes)
    trust = FixedThreshold(model, held_out, IGNORED).renew()
    said = softmax(model.averaged(held_out.images, training=False).numpy())
    classes, trusted, right = (
        said.argmax(-1),
        said.max(-1) >= 0.4,
        said.argmax(-1) == held_out.masks,
    )
    shares = [trusted[classes == k].mean() if (classes == k).any() else 0 for k in range(CLASSES)]
    np.testing.assert_allclose(trust.shares, shares)
    np.testing.assert_allclose(
        trust.class_weights, quotas(np.array(shares), np.full(CLASSES, True))
    )
    known = [k for k in range(CLASSES) if (trusted & (classes == k)).any()]
    precisions = [right[trusted & (classes == k)].mean() for k in known]
    np.testing.assert_allclose(trust.precisions[known], precisions)
    own = softmax(model.averaged(seen[1].plain, training=False).numpy()).max(-1)
    unmoved = seen[1]._replace(points=grid(tf.shape(seen[1].plain)))
    kept = (model._teach(unmoved)[0].weights.numpy() > 0).mean()
    assert 0 < kept == pytest.approx((own >= 0.4).mean(), abs=0.01)
    assert FIXED == 0.95


# === Runs ===


@pytest.fixture
def settings(shared_phantom, tiny):
    return {**tiny, "data": str(shared_phantom), "labelled_patients": 1}


def rows_of(folder):
    with (folder / "history.csv").open() as stream:
        return [{**row, "steps_per_second": ""} for row in csv.DictReader(stream)]


# One with a trainer of its own, one with an examiner; the others differ in their losses alone.
@pytest.mark.parametrize("name", ["unimatch", "strong_fixed_threshold"])
def test_a_method_trains_and_a_killed_run_resumes_to_the_same(
    name, settings, tmp_path, monkeypatch
):
    """What a kill leaves is what lies there after the first checkpoint."""
    method = find_method(name)
    config = Config(**settings | dict(method.settings))
    extension = {"build": method.build, "examiner": method.examiner}
    save = RunFolder.save_checkpoint

    def save_and_copy(self, *args, **kwargs):
        save(self, *args, **kwargs)
        if not (tmp_path / "run").exists():
            shutil.copytree(self.path, tmp_path / "run")

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "save_checkpoint", save_and_copy)
        whole = fit(config, tmp_path / "whole", **extension)
    keras.utils.set_random_seed(12345)
    assert fit(config, tmp_path / "run", resume=True, **extension) == whole
    models = [keras.models.load_model(tmp_path / run / "last.keras") for run in ("whole", "run")]
    assert type(models[0]) is type(models[1])
    for ours, theirs in zip(*(weights(model) for model in models), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    rows = rows_of(tmp_path / "run")
    assert rows == rows_of(tmp_path / "whole") and rows[-1]["semi_loss"] != ""
    assert (models[0].discriminator is None) is not name.startswith("strong")


@pytest.mark.parametrize(
    "name", [n for n in METHODS if METHODS[n].build is not METHODS["paper"].build]
)
def test_every_model_is_saved_and_loaded(name, settings, tmp_path):
    decided = {**METHODS[name].settings, "discriminator_filters": (4, 8)}
    config = Config(**settings, classes=("a", "b", "c"), channels=1).replace(**decided)
    model = METHODS[name].build(config)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model) and loaded.get_config() == model.get_config()
    assert same(weights(model), weights(loaded))


def call(folder, *options):
    return [
        *("--data", str(folder), "--config", str(ROOT / "examples" / "phantom.yaml")),
        *("--seeds", "0", "--labelled", "1", *options),
    ]


def test_a_wrong_call_is_refused(shared_phantom, tmp_path, capsys):
    out = ("--out", str(tmp_path), "--results", str(tmp_path / "kept"))
    assert run.main(call(shared_phantom, *out, "--methods", "magic")) == 2
    assert "expected some of supervised_batch, " in capsys.readouterr().err
    norm = ("--methods", "supervised_batch", "--set", "norm=instance")
    assert run.main(call(shared_phantom, *out, *norm)) == 2
    assert "method supervised_batch decides it (batch)" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_trains_keeps_skips_and_tells_failures(shared_phantom, tiny, tmp_path, capsys):
    out, kept = tmp_path / "runs", tmp_path / "kept"
    given = [f"{name}={value}" for name, value in {**tiny, "steps": 2}.items()]
    arguments = call(shared_phantom, "--out", str(out), "--results", str(kept), "--set", *given)
    script = [sys.executable, str(ROOT / "benchmarks" / "semi_supervised" / "run.py"), *arguments]
    # The only training patients are two: with both labelled there is no unlabelled image.
    script += ["--methods", "mean_teacher+lambda_semi=3", "--labelled", "2,1"]
    result = subprocess.run(script, capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    assert result.stdout.splitlines()[-1] == "FAILED: phantom_2_mean_teacher+lambda_semi=3_seed0"
    folder = kept / "phantom_1_mean_teacher+lambda_semi=3_seed0"
    files = {"config.yaml", "split.json", "environment.json", "history.csv", "metrics.json"}
    assert {file.name for file in folder.iterdir()} == files
    assert not any(str(tmp_path) in (folder / name).read_text() for name in files)
    assert "lambda_semi: 3.0" in (folder / "config.yaml").read_text()
    assert json.loads((folder / "metrics.json").read_text())["per_case"] == []
    assert list(json.loads((folder / "split.json").read_text())) == ["patients"]
    made_with = json.loads((folder / "environment.json").read_text())
    assert made_with["tensorflow"] == tf.__version__ and "platform" not in made_with
    again = script[2:]  # in this process
    assert run.main(again) == 1 and "1 of 2 runs are finished." in capsys.readouterr().out
    assert run.main([*again, "--set", "steps=4"]) == 2
    assert "this run has steps 2, wanted is 4" in capsys.readouterr().err
    default = [part for part in again if not part.startswith("base_filters=")]  # that is 16
    assert run.main(default) == 2
    assert "this run has base_filters 4, wanted is 16" in capsys.readouterr().err


# === Tables ===


def write_result(folder, name, dice_of_patients, pooled, validation):
    target = folder / name
    target.mkdir(parents=True)

    def scores(value):
        return {"background": {"dice": 1.0}, "aorta": {"dice": value}}

    content = {
        "split": "test",
        "pooled": {"foreground": {"dice": pooled}, "per_class": scores(pooled)},
        "per_case": [],
        "per_patient": [
            {"patient": f"p{n}", "per_class": scores(v)} for n, v in enumerate(dice_of_patients)
        ],
    }
    (target / "metrics.json").write_text(json.dumps(content))
    (target / "history.csv").write_text(f"step,stage,val_dice\n1,a,{validation}\n2,a,0.1\n")


def test_table_on_handmade_files(tmp_path):
    base = np.array([0.5, 0.6, 0.7, 0.8, 0.9])
    write_result(tmp_path, "heart_x_5_supervised_batch_seed0", base, 0.7, 0.60)
    write_result(tmp_path, "heart_x_5_supervised_batch_seed1", base, 0.8, 0.70)
    write_result(tmp_path, "heart_x_5_supervised_instance_seed0", base - 0.1, 0.9, 0.50)
    write_result(tmp_path, "heart_x_5_fixmatch_seed0", base + 0.02, 0.72, 0.62)
    write_result(tmp_path, "heart_x_5_fixmatch_seed1", base + 0.04, 0.84, 0.64)
    write_result(tmp_path, "heart_x_10_strong_seed0", base, 0.9, 0.8)
    text = table.section(tmp_path, ("supervised_batch", "supervised_instance", "fixmatch"))
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("#")] == [
        *("## heart_x: 5 labelled patients", "## heart_x: 10 labelled patients")
    ]
    # The better supervised method is that with the better validation Dice, not test Dice.
    head = "| method | seeds | validation Dice | test Dice | against supervised_batch, points: "
    assert head + "validation | test | over patients (95% interval) |" in lines
    first = "| supervised_batch | 2 of 2 | 0.650 ±0.071 | 0.750 ±0.071 | - | - | - |"
    other = (
        "| fixmatch | 2 of 2 | 0.630 ±0.014 | 0.780 ±0.085 | -2.0 | +3.0 | +3.0 (+3.0 to +3.0) |"
    )
    assert lines.index(first) < lines.index(other)
    assert "| supervised_instance | 1 of 2 | 0.500 | 0.900 | - | - | - |" in lines  # a seed lacks
    assert "| fixmatch | 0.780 ±0.085 |" in lines  # of the one class
    missing = [line for line in lines if line.startswith("Missing")]
    assert missing == ["Missing, not finished or not run: supervised_instance (seed 1)."]


def test_variants_of_strong_are_compared_with_it_alone(tmp_path):
    base = np.array([0.5, 0.6, 0.7, 0.8, 0.9])
    write_result(tmp_path, "x_5_supervised_batch_seed0", base - 0.1, 0.6, 0.5)
    write_result(tmp_path, "x_5_strong_seed0", base, 0.8, 0.7)
    write_result(tmp_path, "x_5_strong_without_d_seed0", base - 0.02, 0.75, 0.72)
    methods, variants = table.section(tmp_path).split("with one part less")
    assert "| strong | 1 of 1 | 0.700 | 0.800 | +20.0 | +20.0 | +10.0 (+10.0 to +10.0) |" in methods
    assert "without_d" not in methods
    row = "| strong_without_d | 1 of 1 | 0.720 | 0.750 | +2.0 | -5.0 | -2.0 (-2.0 to -2.0) |"
    assert row in variants and "| strong | 1 of 1 | 0.700 | 0.800 | - | - | - |" in variants
    assert "supervised" not in variants


def test_the_device_is_told_where_it_is_not_the_cpu(tmp_path):
    base = np.array([0.5, 0.6, 0.7, 0.8, 0.9])
    write_result(tmp_path, "x_5_strong_seed0", base, 0.8, 0.7)  # as kept by earlier versions
    write_result(tmp_path, "x_5_fixmatch_seed0", base, 0.8, 0.7)
    (tmp_path / "x_5_strong_seed0").joinpath("environment.json").write_text('{"gpus": "none"}')
    assert "rained on" not in table.section(tmp_path)
    (tmp_path / "x_5_fixmatch_seed0").joinpath("environment.json").write_text('{"gpus": "Big"}')
    assert "Trained on Big: fixmatch. All others on a CPU.\n" in table.section(tmp_path)
    (tmp_path / "x_5_strong_seed0").joinpath("environment.json").write_text('{"gpus": "Big"}')
    assert "All were trained on: Big.\n" in table.section(tmp_path)


@pytest.mark.parametrize("lacking", ["strong", "supervised_batch", "strong_without_d"])
def test_a_difference_takes_all_seeds_of_both(lacking, tmp_path):
    """Seeds differ in difficulty; a baseline that lacks one is none."""
    base = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    gains = {"supervised_batch": 0.0, "strong": 0.1, "strong_without_d": 0.05}
    for method, gain in gains.items():
        for seed in (0, 1):
            if (method, seed) != (lacking, 1):
                write_result(tmp_path, f"x_5_{method}_seed{seed}", base + gain, 0.5 + gain, 0.5)
    group = table.groups(tmp_path)["x", 5]
    told = ("-", "-") if lacking != "strong_without_d" else ("+10.0", "+10.0 (+10.0 to +10.0)")
    assert group.gain("strong") == told
    lines = table.section(tmp_path).splitlines()
    rows = [line for line in lines if line.startswith("| strong_without_d |") and " of 2" in line]
    assert len(rows) == 1 and (" -5.0 |" in rows[0]) == (lacking == "supervised_batch")
    assert (group.baseline() is None) == (lacking == "supervised_batch")


def test_a_difference_is_over_the_seeds_of_both(tmp_path):
    """With three in common; the fourth seed of `strong`, an easy one, does not count."""
    base = np.array([0.1, 0.2, 0.3, 0.4])
    for seed in range(4):
        easy = 0.3 * (seed == 3)
        write_result(tmp_path, f"x_5_strong_seed{seed}", base + easy, 0.6 + easy, 0.5)
        if seed < 3:
            write_result(tmp_path, f"x_5_supervised_batch_seed{seed}", base - 0.1, 0.5, 0.4)
        if seed < 2:
            write_result(tmp_path, f"x_5_fixmatch_seed{seed}", base, 0.6, 0.5)
    assert table.groups(tmp_path)["x", 5].gain("strong") == ("+10.0", "+10.0")
    lines = table.section(tmp_path).splitlines()
    assert "| fixmatch | 2 of 4 | 0.500 ±0.000 | 0.600 ±0.000 | - | - | - |" in lines


def test_the_baseline_is_chosen_over_the_seeds_of_all(tmp_path):
    """The better one on seeds 0 to 2; on seed 3, which the other lacks, all is harder."""
    patients = [0.5, 0.6]
    for seed, validation in enumerate((0.6, 0.6, 0.6, 0.1)):
        write_result(tmp_path, f"x_5_supervised_batch_seed{seed}", patients, 0.5, validation)
        if seed < 3:
            write_result(tmp_path, f"x_5_supervised_instance_seed{seed}", patients, 0.5, 0.55)
    assert table.groups(tmp_path)["x", 5].baseline() == "supervised_batch"


def test_another_precision_is_told(tmp_path):
    for name in ("strong_seed0", "strong_seed1", "fixmatch_seed0"):
        write_result(tmp_path, f"x_5_{name}", [0.5, 0.6], 0.8, 0.7)
        (tmp_path / f"x_5_{name}" / "config.yaml").write_text("precision: bfloat16\n")
    assert "All others in" not in table.section(tmp_path)
    (tmp_path / "x_5_strong_seed1" / "config.yaml").write_text("precision: float32\n")
    told = "In float32: strong (seed 1). All others in bfloat16.\n"
    assert told in table.section(tmp_path)
