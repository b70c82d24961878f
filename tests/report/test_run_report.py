"""The report on a single run."""

import json
import shutil

import pytest
from rich.console import Console

from tfadvseg.data.folders.split import Split
from tfadvseg.errors import InputError
from tfadvseg.report.run_report import write_run_report
from tfadvseg.run_folder import RunFolder
from tfadvseg.training import finish


def test_what_fit_writes_at_its_end(judged, read_page):
    run, metrics = judged
    page = read_page(run / "report.html")
    assert page.headings == [
        "Scores",
        "Cases",
        "Confidence",
        "Training",
        "Data",
        "Settings",
        "Made with",
    ]
    assert "Recipe paper, unet, seed 0, 400 of 400 steps." in page.text
    assert "on the test split, 3 cases of 1 patient (fewer than 5 patients give no" in page.text
    pooled = metrics["pooled"]["per_class"]["background"]["dice"]
    assert f"{pooled:.3f}" in page.text
    kinds = {alt.partition(": ")[2] for alt in page.pictures()}
    assert kinds == {"image", "label", "prediction", "confidence"}
    assert page.count("svg", role="img") == 3 + 3
    before, after = (
        metrics["calibration"][said]["foreground"]["ece"] for said in ("before", "after")
    )
    assert f"segmenter's probability: ECE {before:.3f}" in page.text
    assert f"calibrated: ECE {after:.3f}" in page.text
    assert f"mean error {metrics['quality']['mean_absolute_error']:.3f}" in page.text
    assert "Labelled patients: phantom" in page.text and "lambda_semi" in page.text
    assert "no HD95: the images do not tell their pixel size" in page.text


def test_a_run_without_a_case_to_judge_it(judged, tmp_path, read_page):
    run = tmp_path / "run"
    shutil.copytree(judged[0], run)
    for name in ("metrics.json", "report.html"):
        (run / name).unlink()
    assert finish(RunFolder(run), Split((), (), (), ()), Console(quiet=True)) is None
    page = read_page(run / "report.html")
    assert "There are no scores" in page.text and page.headings[0] == "Training"


def test_scores_are_over_patients_with_their_interval(make_run, make_metrics, tmp_path, read_page):
    dice = {f"p{n}": [0.5 + n / 100, 0.7] for n in range(40)}
    make_run(tmp_path / "run", make_metrics(dice))
    write_run_report(tmp_path / "run")
    page = read_page(tmp_path / "run" / "report.html")
    assert "Dice 0.698, mean over the patients, on the test split, 40 cases of 40" in page.text
    assert "40 patients (95% interval" in page.text
    assert "10 more patients with a higher Dice" in page.text
    assert "p0" in page.text and "p39" not in page.text
    assert "best.keras is not there" in page.text


def test_scores_that_were_made_without_a_calibration(judged, tmp_path, read_page):
    run, metrics = judged
    older = {
        name: value for name, value in metrics.items() if name not in ("calibration", "quality")
    }
    for case in older["per_case"]:
        assert "predicted_dice" in case
    older["per_case"] = [
        {name: value for name, value in case.items() if name != "predicted_dice"}
        for case in older["per_case"]
    ]
    write_run_report(run, content=older, file=tmp_path / "older.html")
    assert "Confidence" not in read_page(tmp_path / "older.html").headings


def test_another_evaluation_goes_to_another_file(judged, make_metrics, tmp_path, read_page):
    run, metrics = judged
    before = (run / "report.html").read_bytes()
    other = {**metrics, "split": "val"}
    assert write_run_report(run, content=other, file=tmp_path / "val.html") == tmp_path / "val.html"
    assert "on the val split" in read_page(tmp_path / "val.html").text
    assert (run / "report.html").read_bytes() == before


def test_a_run_that_is_not_finished(judged, tmp_path, read_page):
    run = tmp_path / "run"
    shutil.copytree(judged[0], run)
    for name in ("metrics.json", "history.csv", "report.html"):
        (run / name).unlink()
    write_run_report(run)
    assert (
        "0 of 400 steps. There are no scores: the run is not finished"
        in read_page(run / "report.html").text
    )


def test_what_is_no_run_is_refused(judged, tmp_path):
    with pytest.raises(InputError, match="not a run folder"):
        write_run_report(tmp_path)
    run = tmp_path / "run"
    shutil.copytree(judged[0], run)
    content = json.loads((run / "metrics.json").read_text())
    del content["pooled"]
    (run / "metrics.json").write_text(json.dumps(content))
    (run / "report.html").unlink()
    with pytest.raises(InputError, match=r"metrics.json.*'pooled' is missing"):
        write_run_report(run)
    assert not (run / "report.html").exists()


def test_names_from_the_data_cannot_break_the_page(make_run, make_metrics, tmp_path, read_page):
    name = "<script>alert(1)</script>"
    make_run(tmp_path / "run", make_metrics({name: [0.5, 0.5]}))
    write_run_report(tmp_path / "run")
    page = read_page(tmp_path / "run" / "report.html")
    assert page.count("script") == 0 and name in page.text
