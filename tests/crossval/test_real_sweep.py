"""One sweep with real trainings: killed after its first run, then finished by the same call."""

import csv
import json
import os
import shutil
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from tfadvseg.data.phantom import write_phantom
from tfadvseg.inference.predictor import Predictor

pytestmark = pytest.mark.slow

CLI = [sys.executable, "-m", "tfadvseg.cli"]
# Sums over several threads come in any order; these runs are compared number by number.
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}


def run(folder, *arguments):
    result = subprocess.run(
        [*CLI, *arguments], cwd=folder, env=ONE_THREAD, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def is_at_work(folder):
    """Whether any process names the folder in its call."""
    return subprocess.run(["pgrep", "-f", f"worker.*{folder}"], capture_output=True).stdout != b""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, tiny_options):
    """A folder with a phantom `p` and a sweep `cv`: two folds, half of the labels, two recipes."""
    folder = tmp_path_factory.mktemp("crossval")
    write_phantom(folder / "p", patients=6, slices=2, size=48, seed=1)
    out = folder / "cv"
    command = ["crossval", "--data", "p", "--out", str(out), "--folds=2", "--recipes=paper"]
    command += ["--label-fractions=1/2", *tiny_options, "--set=validate_every=6"]
    with (folder / "first.txt").open("w") as stream:
        first = subprocess.Popen(
            [*CLI, *command], cwd=folder, env=ONE_THREAD, stdout=stream, stderr=stream
        )
    while not list(out.glob("runs/*/metrics.json")):
        assert first.poll() is None, (folder / "first.txt").read_text()
        time.sleep(0.1)
    first.kill()
    first.wait()
    (finished,) = out.glob("runs/*/metrics.json")
    stamp = finished.stat().st_mtime_ns
    while is_at_work(out):
        time.sleep(0.1)
    text = run(folder, *command, "--jobs=2")
    assert finished.stat().st_mtime_ns == stamp
    (folder / "second.txt").write_text(text)
    return folder


@pytest.fixture(scope="module")
def plan(workspace):
    return json.loads((workspace / "cv" / "plan.json").read_text())


def read(workspace, run, name):
    return json.loads((workspace / "cv" / "runs" / run["name"] / name).read_text())


def test_every_run_trains_and_tests_the_planned_patients(workspace, plan):
    assert len(plan["runs"]) == 4
    for planned in plan["runs"]:
        fold = plan["folds"][planned["fold"]]
        patients = read(workspace, planned, "split.json")["patients"]
        for part in ("labelled", "unlabelled"):
            assert patients[part] == planned[part] != []
        assert (patients["val"], patients["test"]) == (fold["val"], fold["test"])
        scores = read(workspace, planned, "metrics.json")
        assert scores["split"] == "test"
        assert [row["patient"] for row in scores["per_patient"]] == fold["test"]


def test_the_call_tells_the_budget_every_run_and_the_answers(workspace):
    text = (workspace / "second.txt").read_text()
    assert "labels used" in text and "4 runs of 6 steps" in text
    assert "4/4 fold" in text and "All 4 runs are finished" in text
    for name in ("report.html", "results.csv", "results.json"):
        assert (workspace / "cv" / name).stat().st_size > 0
    assert json.loads((workspace / "cv" / "failures.json").read_text()) == {}


def test_recipes_of_a_fold_begin_with_the_same_weights_and_take_the_same_steps(workspace, plan):
    first_losses = {}
    for planned in plan["runs"]:
        with (workspace / "cv" / "runs" / planned["name"] / "history.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        assert rows[-1]["step"] == "6"
        first_losses.setdefault(planned["fold"], []).append(float(rows[0]["ce_loss"]))
    for one, other in first_losses.values():
        assert one == pytest.approx(other, rel=0.02)


def poisoned(workspace, patients):
    """The data with the masks of some patients turned into other classes."""
    data = shutil.copytree(workspace / "p", workspace / "poisoned")
    with (data / "cases.csv").open() as stream:
        files = [row["file"] for row in csv.DictReader(stream) if row["patient"] in patients]
    for file in files:
        mask = cv2.imread(str(data / "masks" / file), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(data / "masks" / file), (mask + 1) % 3)
    return data


def test_the_masks_of_test_patients_change_their_scores_and_nothing_else(workspace, plan):
    """The run that uses all a run can use: labelled, unlabelled and validation patients."""
    planned = next(each for each in plan["runs"] if each["trained_as"] == "paper")
    data = poisoned(workspace, plan["folds"][planned["fold"]]["test"])
    config, again = f"cv/configs/{planned['name']}.yaml", workspace / "again"
    run(workspace, "fit", config, "--data", str(data), "--out", "again")
    clean = workspace / "cv" / "runs" / planned["name"]
    for name in ("best", "last"):
        ours, theirs = (Predictor.load(folder, name).model for folder in (again, clean))
        for one, other in zip(ours.variables, theirs.variables, strict=True):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    scores, before = (
        json.loads((folder / "metrics.json").read_text()) for folder in (again, clean)
    )
    assert scores["pooled"] != before["pooled"]
    run(workspace, "evaluate", "again", "--data", "p", "--split", "test", "--json", "true.json")
    assert json.loads((workspace / "true.json").read_text()) == before
