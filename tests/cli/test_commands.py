"""The main commands as real processes, on a tiny phantom, from an empty folder to pictures."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from tfadvseg.cli import main
from tfadvseg.cli.fit import _defaults_beside

CLI = [sys.executable, "-m", "tfadvseg.cli"]


def run(folder, *arguments, status=0):
    """A command as a process of its own."""
    result = subprocess.run(
        [*CLI, *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=600
    )
    assert result.returncode == status, result.stderr
    return result


def refused(*arguments):
    """The line of a refused command, which is called in this process."""
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 2, (result.output, result.exception)
    return result.stderr


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, tiny_options):
    """A folder with a phantom `p` and a finished run `r` of recipe paper."""
    folder = tmp_path_factory.mktemp("work")
    run(folder, "data", "phantom", "p", "--patients=4", "--slices=3", "--size=48")
    fit = run(
        folder, "fit", "--data", "p", "--out", "r", "--set=labelled_patients=1", *tiny_options
    )
    assert fit.stderr == ""
    assert "one value covers 8x8 pixels" in fit.stdout
    assert "Run folder: r" in fit.stdout
    return folder


def test_evaluate_prints_a_table_and_writes_json(workspace):
    result = run(workspace, "evaluate", "r", "--split", "val", "--json", "val.json")
    assert "pulmonary" in result.stdout and "Wrote val.json" in result.stdout
    assert "Predicted and true Dice of 3 cases: Pearson" in " ".join(result.stdout.split())
    content = json.loads((workspace / "val.json").read_text())
    assert content["split"] == "val" and content["cases"] == len(content["per_case"]) == 3
    assert set(content["pooled"]) == {"foreground", "all", "per_class"}
    assert set(content["pooled"]["foreground"]) == {
        "miou",
        "dice",
        "specificity",
        "precision",
        "recall",
    }


def test_predict_writes_masks_overlays_and_confidence(workspace):
    result = run(workspace, "predict", "r", "p/images", "--out", "o", "--overlay", "--confidence")
    assert "Overlays: o/overlay" in result.stdout and "predicted Dice" in result.stdout
    assert len((workspace / "o" / "quality.csv").read_text().splitlines()) == 13
    images = sorted((workspace / "p" / "images").iterdir())
    assert len(images) == 12
    for image in images:
        mask = cv2.imread(str(workspace / "o" / image.name), cv2.IMREAD_UNCHANGED)
        overlay = cv2.imread(str(workspace / "o" / "overlay" / image.name), cv2.IMREAD_UNCHANGED)
        trust = cv2.imread(str(workspace / "o" / "confidence" / image.name), cv2.IMREAD_UNCHANGED)
        assert mask.shape == trust.shape == overlay.shape[:2] == (48, 48)
        assert mask.max() <= 2 and mask.dtype == np.uint8
        assert overlay.shape[2] == 3


def test_predict_never_replaces_its_input(workspace):
    before = {path: path.read_bytes() for path in (workspace / "p" / "images").iterdir()}
    images = workspace / "p" / "images"
    assert "could replace them" in refused("predict", workspace / "r", images, "--out", images)
    assert before == {path: path.read_bytes() for path in (workspace / "p" / "images").iterdir()}


@pytest.mark.slow
def test_the_same_command_resumes(workspace, tiny_options):
    command = ["fit", "--data", "p", "--out", "r", "--set=labelled_patients=1", *tiny_options]
    assert "Nothing left to train" in run(workspace, *command, "--resume").stdout
    assert "--resume" in run(workspace, *command, status=2).stderr


@pytest.mark.slow
def test_fit_without_data_trains_on_a_phantom_beside_the_run(workspace, tiny_options):
    """Its own `labelled_fraction` makes way for what excludes it."""
    own = ("--set=steps=2", "--set=labelled_patients=1")
    run(workspace, "fit", "--recipe=supervised", *tiny_options, *own)
    assert (workspace / "runs" / "phantom-data" / "cases.csv").is_file()
    assert (workspace / "runs" / "phantom" / "metrics.json").is_file()


def test_the_phantoms_steps_make_way_for_epochs():
    assert "steps" in _defaults_beside({}) and "labelled_fraction" in _defaults_beside({"steps": 1})
    assert "steps" not in _defaults_beside({"epochs": 1})


def test_help_and_version_do_not_load_tensorflow():
    script = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from tfadvseg.cli import main\n"
        "for call in (['--help'], ['--version'], ['fit', '--help']):\n"
        "    assert CliRunner().invoke(main, call).exit_code == 0\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_refusals_come_before_tensorflow_is_loaded(tmp_path):
    script = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from tfadvseg.cli import main\n"
        "assert CliRunner().invoke(main, ['fit', '--set', 't_semi=7']).exit_code == 2\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)


def test_predict_finds_a_bad_image_before_it_writes_a_mask(workspace):
    folder = workspace / "mixed"
    folder.mkdir()
    good = sorted((workspace / "p" / "images").iterdir())[0].read_bytes()
    (folder / "a.png").write_bytes(good)
    (folder / "b.png").write_bytes(good[:60])
    result = run(workspace, "predict", "r", "mixed", "--out", "o2", status=2)
    assert "b.png" in result.stderr and len(result.stderr.splitlines()) == 1
    cv2.imwrite(str(folder / "b.png"), np.zeros((9, 9, 3), np.uint8))
    line = refused("predict", workspace / "r", folder, "--out", workspace / "o2")
    assert "1 channel" in line and len(line.splitlines()) == 1
    assert not (workspace / "o2").exists()
