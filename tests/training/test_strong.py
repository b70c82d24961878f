"""Recipe strong, from the command of a run to what lies in its folder."""

import csv
import itertools
import json
import re
import shutil

import cv2
import keras
import numpy as np
import pytest
from rich.console import Console

from tfadvseg.config import Config
from tfadvseg.errors import DataWarning, InputError
from tfadvseg.models import TeacherSegmenter
from tfadvseg.preparation import prepare
from tfadvseg.run_folder import RunFolder
from tfadvseg.training import fit, session
from tfadvseg.training.pseudo_labels import Examiner


def strong(data, tiny):
    return Config(**tiny, data=str(data), recipe="strong", labelled_patients=1)


@pytest.fixture
def config(shared_phantom, tiny):
    return strong(shared_phantom, tiny)


def rows_of(run):
    with (run / "history.csv").open() as stream:
        return list(csv.DictReader(stream))


def killed_when(condition, patch, folder):
    """What a kill leaves: the run as it lies there after the first checkpoint of such a state."""
    save = RunFolder.save_checkpoint

    def save_and_copy(self, model, step, state, **options):
        save(self, model, step, state, **options)
        if condition(state) and not folder.exists():
            shutil.copytree(self.path, folder)

    patch.setattr(RunFolder, "save_checkpoint", save_and_copy)
    return folder


@pytest.fixture(scope="module")
def resumed(shared_phantom, tiny, tmp_path_factory):
    """Two runs, one of which was killed and resumed, and whom the examiner of the whole asked."""
    config, asked = strong(shared_phantom, tiny), []
    folder = tmp_path_factory.mktemp("runs")

    class Spy(Examiner):
        def __init__(self, model, pool, ignore_label):
            asked.append(set(pool.patients))
            super().__init__(model, pool, ignore_label)

    with pytest.MonkeyPatch.context() as patch:
        killed_when(lambda state: len(state["history"]) == 2, patch, folder / "run")
        whole = fit(config, folder / "whole", examiner=Spy)
    keras.utils.set_random_seed(12345)
    assert fit(config, folder / "run", resume=True) == whole
    return folder, asked


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights(resumed, config, read_page):
    folder, _ = resumed
    models = [keras.models.load_model(folder / run / "last.keras") for run in ("whole", "run")]
    assert isinstance(models[0], TeacherSegmenter)
    for ours, theirs in zip(*(model.variables for model in models), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    rows, classes = rows_of(folder / "run"), config.classes or ("background", "aorta")
    assert [row["stage"] for row in rows] == ["adversarial", *["semi-supervised"] * 3]
    assert rows == [
        {**r, "steps_per_second": s["steps_per_second"]}
        for r, s in zip(rows_of(folder / "whole"), rows, strict=True)
    ]
    for name in classes[:2]:
        for column in (f"trusted {name}", f"kept {name}"):
            assert rows[0][column] == "" and 0 <= float(rows[1][column]) <= 1
    records = [json.loads((folder / run / "trust.json").read_text()) for run in ("whole", "run")]
    assert records[0] == records[1]
    assert [one["step"] for one in records[0]["rounds"]] == [int(row["step"]) for row in rows[:-1]]
    page = read_page(folder / "run" / "report.html")
    assert "Pseudo-labels" in page.headings
    assert all(
        chart in page.text for chart in ("Kept", "Trusted", "Precision", "Right, from step 4 on")
    )


@pytest.mark.slow
def test_thresholds_are_found_on_patients_that_s_does_not_train_on(resumed):
    folder, asked = resumed
    split = json.loads((folder / "whole" / "split.json").read_text())["patients"]
    assert asked == [set(split["val"])] and not asked[0] & set(split["labelled"])


def test_what_a_recipe_decides_is_written_down(config):
    strong, _ = prepare(config)
    assert (strong.t_semi, strong.lambda_semi) == ("auto", 1.0)
    paper, _ = prepare(config.replace(recipe="paper"))
    assert (paper.t_semi, paper.lambda_semi, paper.warmup) == (0.2, 0.1, config.warmup or 0.3)
    assert prepare(config.replace(lambda_semi=0.7))[0].lambda_semi == 0.7


def test_a_class_that_no_validation_patient_shows_is_told(config, tmp_path):
    folder = shutil.copytree(str(config.data), tmp_path / "phantom")
    config = config.replace(data=str(folder))
    for case in prepare(config)[1].val:
        mask = cv2.imread(str(case.mask), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(case.mask), np.where(mask == 1, 2, mask))
    trusted = "aorta: in no mask of the validation patients, .* nor in what recipe strong trusts"
    with pytest.warns(DataWarning, match=trusted):
        prepare(config)
    with pytest.warns(DataWarning, match="aorta: .* no part in best.keras; take validation"):
        prepare(config.replace(recipe="supervised", t_semi=None))


def test_no_validation_patient_is_refused(config):
    with pytest.raises(InputError, match="there is no validation patient; set val_patients to 1"):
        prepare(config.replace(val_patients=0))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"recipe": "strong", "t_semi": 0.4}, "finds its thresholds, received 0.4; drop it, or"),
        ({"recipe": "paper", "t_semi": "auto"}, "auto is of recipe strong, received recipe paper"),
        ({"t_semi": "all"}, "expected a number or auto, received 'all'"),
        ({"recipe": "strong", "unlabelled_batch_size": 1}, "expected 2 or more, received 1"),
        ({"recipe": "strong", "averaging": 0}, "averaged weights, received 0"),
        ({"recipe": "strong", "lambda_adv_unlabelled": 0.1}, "has no such loss, received 0.1"),
        ({"recipe": "strong", "discriminator_fakes": "both"}, "kinds of images anyway, received"),
    ],
)
def test_refusals(settings, words):
    with pytest.raises(InputError, match=words):
        Config(**settings)


def test_outliers_of_a_recipe_without_unlabelled_images(config):
    with pytest.warns(DataWarning, match="supervised uses no unlabelled image: exclude_outliers"):
        prepare(config.replace(recipe="supervised", exclude_outliers=True))


@pytest.fixture
def noise(tmp_path):
    """A pool of two patients of bright noise."""
    rng, folder = np.random.default_rng(1), tmp_path / "pool" / "images"
    folder.mkdir(parents=True)
    for name in ("noise_1", "noise_2"):
        cv2.imwrite(str(folder / f"{name}.png"), rng.integers(150, 255, (48, 48), np.uint8))
    (folder.parent / "cases.csv").write_text(
        "file,patient\nnoise_1.png,noise_1\nnoise_2.png,noise_2\n"
    )
    return folder.parent


def tells_of_outliers(run, console, page, exclude):
    """That the command and the report say who is unlike the others, and what was done."""
    record = json.loads((run / "outliers.json").read_text())
    beyond = {name for name, far in record["patients"].items() if far > record["limit"]}
    assert {"noise_1", "noise_2"} <= beyond and record["excluded"] == exclude
    told = " ".join(console.export_text().split())
    assert f"{len(beyond)} of 3 unlabelled patients are unlike the labelled ones" in told
    left = 3 - len(beyond)
    assert (f"They are left out, {left} are left." in told) == exclude
    assert f"{'left out' if exclude else 'used all the same'}: noise_" in page
    assert ("unlabelled, with those left out" in page) == exclude
    assert "best.keras is the model of step" in told and "best.keras is the model of step" in page
    assert "judged on one patient, phantom002; with two or more (val_patients) it is" in told
    assert re.search(r"D\(label\) 0\..* kept \(right\): background \d+% \(\d+%\), aorta 0%", told)
    assert ("Leave them out with --exclude-outliers." in told) != exclude


@pytest.mark.filterwarnings("ignore:8-bit images of 2 patients")
def test_unlabelled_images_of_another_kind_are_told(config, noise, tmp_path, read_page):
    """A hidden training patient is like the others; bright noise is not."""
    console, run = Console(record=True, width=200), tmp_path / "run"
    fit(config.replace(unlabelled=str(noise), steps=8, warmup=0.5), run, console=console)
    tells_of_outliers(run, console, read_page(run / "report.html").text, exclude=False)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:8-bit images of 2 patients")
def test_unlabelled_images_of_another_kind_are_left_out_after_resume_too(
    config, noise, tmp_path, monkeypatch, read_page
):
    config = config.replace(unlabelled=str(noise), exclude_outliers=True, steps=8, warmup=0.5)
    console, run = Console(record=True, width=200), tmp_path / "whole"
    with monkeypatch.context() as patch:
        killed = killed_when(lambda state: state.get("outliers"), patch, tmp_path / "killed")
        whole = fit(config, run, console=console)
    tells_of_outliers(run, console, read_page(run / "report.html").text, exclude=True)
    make_stream, used = session.training_stream, []

    def spy(labelled, unlabelled, **options):
        used.append(set(unlabelled.patients))
        return make_stream(labelled, unlabelled, **options)

    monkeypatch.setattr(session, "training_stream", spy)
    assert fit(config, killed, resume=True) == whole
    record = json.loads((killed / "outliers.json").read_text())
    assert record["names"] and used == [set(record["patients"]) - set(record["names"])]


def trust_all(monkeypatch):
    """What such a small network says is not trusted otherwise."""
    told = TeacherSegmenter.set_trust

    def always(self, coefficients, thresholds, class_weights):
        told(self, coefficients, np.zeros_like(thresholds), np.ones_like(class_weights))

    monkeypatch.setattr(TeacherSegmenter, "set_trust", always)


@pytest.fixture
def falling(monkeypatch):
    """Validation that falls from the second round on."""
    scores = itertools.chain([0.9], itertools.repeat(0.2))  # of what the masks show
    judge = session.score_cases

    def score(predictor, cases, split, **options):
        result = judge(predictor, cases, split, **options)
        if split == "val":
            score = next(scores)
            for one in result["pooled"]["per_class"].values():
                one |= {"dice": score, "miou": score}
        return result

    monkeypatch.setattr(session, "score_cases", score)


def optimizers_of(model):
    """The moments of both, without the steps they took."""
    both = model.optimizer, model.discriminator_optimizer
    return [v.numpy() for one in both for v in one.variables if v is not one.iterations]


@pytest.mark.slow
def test_a_stage_that_harms_is_given_up(config, tmp_path, monkeypatch, falling, read_page):
    """Back to the first round's model, and on without unlabelled images; also when resumed."""
    trust_all(monkeypatch)
    killed = killed_when(lambda state: state["given_up"], monkeypatch, tmp_path / "killed")
    console = Console(record=True, width=200)
    # Patience ends with the third validation of the stage, but what follows it has its own.
    settings = {"warmup": 0.3, "steps": 12, "early_stopping": 3}
    fit(config.replace(**settings), tmp_path / "run", console=console)
    models = [keras.models.load_model(killed / f"{name}.keras") for name in ("best", "last")]
    for kept in (type(models[0]).get_weights, optimizers_of):
        for ours, theirs in zip(*(kept(model) for model in models), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert [int(model.optimizer.iterations) for model in models] == [2, 10]
    fit(config.replace(**settings), killed, resume=True)
    assert [row["stage"] for row in rows_of(killed)][-1] == "adversarial"
    rows = rows_of(tmp_path / "run")
    stages = [row["stage"] for row in rows]
    assert stages == [*["adversarial"] * 2, *["semi-supervised"] * 3, "adversarial"]
    assert [float(row["val_dice"]) for row in rows] == [0.9, *[0.2] * 5]
    assert rows[-1]["kept"] == "" and rows[4]["kept"] != ""
    told = "the semi-supervised stage is given up: on the validation patients Dice stayed"
    assert f"Warning: {told}" in " ".join(console.export_text().split())
    assert f"Step 10: {told}" in read_page(tmp_path / "run" / "report.html").text


@pytest.mark.slow
def test_no_unlabelled_image_is_used_once_the_stage_is_given_up(
    config, tmp_path, falling, monkeypatch
):
    """Though D would learn from them before the stage; rounds with the same images share graphs."""
    make_stream, made = session.training_stream, []

    def spy(labelled, unlabelled, **options):
        made.append(unlabelled is not None)
        return make_stream(labelled, unlabelled, **options)

    monkeypatch.setattr(session, "training_stream", spy)
    settings = {"recipe": "paper", "discriminator_fakes": "both", "t_semi": 0.0}
    fit(config.replace(warmup=0.3, steps=12, **settings), tmp_path / "run")
    used = [row["d_fake_unlabelled"] != "" for row in rows_of(tmp_path / "run")]
    assert used == [True] * 5 + [False] and made == [True, False]
