"""predict --confidence, from a run that does not know yet how often it is right."""

import csv
import json

import cv2
import pytest
from click.testing import CliRunner

from tfadvseg.cli import main
from tfadvseg.export.saved_model import export_saved_model


def call(*arguments, status=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, (result.output, result.exception)
    return " ".join(result.output.split())


@pytest.mark.parametrize("recipe", ["supervised", "adversarial"])
def test_a_run_learns_how_often_it_is_right(make_run, shared_phantom, tmp_path, recipe):
    run, images = make_run(recipe=recipe), shared_phantom / "images"
    predict = ["predict", run, images, "--confidence", "--out"]
    refusal = call(*predict, tmp_path / "a", status=2)
    assert "--split val" in refusal and not (tmp_path / "a").exists()
    call("evaluate", run, "--split", "val")
    call(*predict, tmp_path / "a")
    with (tmp_path / "a" / "quality.csv").open(newline="") as stream:
        told = {row["case"]: row for row in csv.DictReader(stream)}
    assert len(told) == len(list(images.iterdir()))
    call("evaluate", run, "--json", tmp_path / "test.json")
    for case in json.loads((tmp_path / "test.json").read_text())["per_case"]:
        row, expected = told[case["case"]], case["predicted_dice"]["foreground"]
        assert float(row["predicted_dice"]) == pytest.approx(expected, abs=1e-4)
        chances = cv2.imread(str(tmp_path / "a" / "confidence" / f"{case['case']}.png"), -1)
        assert chances.mean() / 255 == pytest.approx(float(row["confidence"]), abs=3e-3)


@pytest.mark.slow
def test_an_export_without_the_discriminator_lacks_evidence(make_run, shared_phantom, tmp_path):
    run = make_run(recipe="adversarial")
    call("evaluate", run, "--split", "val")
    export_saved_model(run, tmp_path / "m")
    predict = ["predict", tmp_path / "m", shared_phantom / "images", "--out", tmp_path / "o"]
    assert "export it with --confidence" in call(*predict, "--confidence", status=2)
