"""The report on a sweep, whole, half-finished and damaged."""

import csv
import json
import shutil
from collections import Counter

import pytest

from tfadvseg.errors import InputError
from tfadvseg.report.sweep_report import write_sweep_report

WRITTEN = {"report.html", "results.csv", "results.json", "tables"}


@pytest.fixture
def judged_sweep(make_sweep, judged, tmp_path):
    """Two folds, two fractions, two recipes; every run has the same model and cases of its own."""
    run, metrics = judged
    folder = make_sweep(folds=2, fractions=("1", "1/2"), recipes=("supervised", "paper"))
    cases = metrics["per_case"]
    for path in sorted((folder / "runs").iterdir()):
        first = "fold0" in path.name
        own = {**metrics, "per_case": cases[:2] if first else cases[2:]}
        shutil.rmtree(path)
        shutil.copytree(run, path, ignore=shutil.ignore_patterns("tensorboard", "checkpoints"))
        (path / "metrics.json").write_text(json.dumps(own))
    return folder


def content_of(folder):
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def rows_of(folder):
    with (folder / "results.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_everything_is_written(make_sweep, read_page):
    folder = make_sweep(seeds=2)
    lines = write_sweep_report(folder)
    assert {path.name for path in folder.iterdir()} == WRITTEN | {"plan.json", "runs"}
    assert not list(folder.rglob("*.tmp"))
    assert lines[0].startswith("All 110 runs are finished: data nowhere, 5 folds")
    page = read_page(folder / "report.html")
    assert page.headings == [
        "Did the unlabelled images help?",
        "Do fewer labels reach all labels?",
        "Scores and labels",
        "Scores",
        "Classes",
        "Patient by patient",
        "Cases",
        "Training",
        "Discriminator",
        "More tables",
    ]
    assert all(line in page.text for line in lines)
    assert "paper (trained as adversarial)" in page.text
    tables = {path.name for path in (folder / "tables").iterdir()}
    assert {"table2.tex", "table3.tex", "class_dice.tex", "recipes_dice.tex"} <= tables


def test_the_flat_table_has_a_row_a_run_patient_and_class(make_sweep):
    folder = make_sweep(patients=10, fractions=("1", "1/2"), seeds=2)
    write_sweep_report(folder)
    rows = rows_of(folder)
    # 5 folds of 2 patients, 2 seeds, 2 fractions, 3 recipes; 3 classes and the foreground mean.
    assert len(rows) == 5 * 2 * 2 * 2 * 3 * 4
    assert Counter(row["class"] for row in rows)["(foreground mean)"] == len(rows) / 4
    paper = [row for row in rows if row["recipe"] == "paper" and row["fraction"] == "1"]
    assert {row["trained_as"] for row in paper} == {"adversarial"}
    assert {row["val_patients"] for row in rows} == {"2"}
    mean = next(row for row in rows if row["class"] == "(foreground mean)")
    own = [
        float(row["dice"])
        for row in rows
        if (row["run"], row["recipe"]) == (mean["run"], mean["recipe"])
        and row["patient"] == mean["patient"]
        and row["class"] in ("aorta", "pulmonary artery")
    ]
    assert float(mean["dice"]) == pytest.approx(sum(own) / 2)


def test_the_numbers_are_there_for_programs(make_sweep):
    folder = make_sweep(fractions=("1", "1/2"), gain=0.03)
    write_sweep_report(folder)
    content = content_of(folder)
    assert content["classes"] == ["background", "aorta", "pulmonary artery"]
    assert [a["verdict"] for a in content["answers"]["unlabelled"]] == ["none", "helped"]
    setting = next(
        s for s in content["settings"] if s["recipe"] == "paper" and s["fraction"] == "1"
    )
    assert (setting["trained_as"], setting["runs"], setting["planned"]) == ("adversarial", 5, 5)
    assert set(setting["scores"]["aorta"]) == {
        "miou",
        "dice",
        "specificity",
        "precision",
        "hd95_mm",
    }
    compared = content["comparisons"]["recipes"]
    gain = next(
        c
        for c in compared
        if c["measure"] == "dice"
        and (c["setting"]["recipe"], c["against"]["recipe"]) == ("paper", "adversarial")
    )
    assert gain["found"]["mean"] == pytest.approx(0.03, abs=0.01) and gain["verdict"] == "helped"
    assert len(gain["differences"]) == gain["found"]["patients"] == 20


def test_missing_runs_are_named(make_sweep, read_page):
    failed, missing = "fold0_1-2_paper_unet_seed0", "fold1_1-2_paper_unet_seed0"
    begun = "fold2_1-2_paper_unet_seed0"
    folder = make_sweep(fractions=("1/2",), skip=(failed, missing))
    (folder / "failures.json").write_text(json.dumps({failed: "step 31: ce_loss is NaN <b>"}))
    (folder / "runs" / begun / "metrics.json").unlink()
    lines = write_sweep_report(folder)
    assert lines[:4] == [
        "12 of 15 runs are finished: data nowhere, 5 folds, label fractions 1/2, 1 seed.",
        f"{failed} failed: step 31: ce_loss is NaN <b>",
        f"Unfinished (1): {begun}",
        f"Not begun (1): {missing}",
    ]
    page = read_page(folder / "report.html")
    assert all(line in page.text for line in lines) and "2 of 5 runs" in page.text
    content = content_of(folder)
    assert content["runs"]["failed"] == [failed] and content["runs"]["not begun"] == [missing]
    assert content["failures"] == {failed: "step 31: ce_loss is NaN <b>"}


def test_many_missing_runs_are_counted_and_settings_without_any_have_no_row(make_sweep, read_page):
    skip = [f"fold{fold}_1-8_paper_unet_seed0" for fold in range(10)]
    folder = make_sweep(fractions=("1/2", "1/8"), folds=10, patients=10, skip=skip)
    lines = write_sweep_report(folder)
    assert lines[1] == f"Not begun (10): {', '.join(skip[:5])} and 5 more"
    assert content_of(folder)["runs"]["not begun"] == skip
    latex = (folder / "tables" / "table3.tex").read_text()
    assert latex.count("paper &") == 1 and latex.count("supervised &") == 2
    latex = (folder / "tables" / "recipes_dice.tex").read_text()
    assert latex.count("paper against") == 2 and latex.count("adversarial against") == 2


def test_a_failure_that_was_mended_is_none(make_sweep):
    folder = make_sweep(fractions=("1/2",), folds=2)
    (folder / "failures.json").write_text(json.dumps({"fold0_1-2_paper_unet_seed0": "old"}))
    assert write_sweep_report(folder)[0].startswith("All 6 runs are finished")


def test_a_sweep_that_has_just_begun(make_sweep, read_page):
    folder = make_sweep(fractions=("1", "1/2"), folds=2)
    shutil.rmtree(folder / "runs")
    lines = write_sweep_report(folder)
    assert lines[0].startswith("0 of 10 runs are finished")
    assert "cannot be judged yet" in read_page(folder / "report.html").text
    assert rows_of(folder) == []


def test_only_the_supervised_recipe(make_sweep, read_page):
    folder = make_sweep(fractions=("1", "1/2"), recipes=("supervised",))
    write_sweep_report(folder)
    page = read_page(folder / "report.html")
    assert "1/2 of the labels: no run used unlabelled images." in page.text
    assert "Discriminator" not in page.headings


def test_several_models_are_kept_apart(make_sweep, read_page):
    folder = make_sweep(folds=2, fractions=("1", "1/2"), models=("unet", "attention_unet"))
    write_sweep_report(folder)
    text = read_page(folder / "report.html").text
    for model in ("U-Net", "Attention U-Net"):
        assert f"{model}, 1/2 of the labels: " in text and f"{model}, all labels: " in text


def test_no_distance_no_table_of_distances(make_sweep, read_page):
    folder = make_sweep(lambda *_: [0.5, 0.6], folds=2, fractions=("1", "1/2"))
    write_sweep_report(folder)
    text = read_page(folder / "report.html").text
    assert "HD95 in mm" not in text and "no HD95: the images do not tell" in text
    assert "HD95" not in (folder / "tables" / "table2.tex").read_text().partition("tabular")[2]
    assert not list((folder / "tables").glob("*hd95*"))


def test_old_runs_without_scores_of_patients_are_averaged_and_said_to_be(make_sweep, read_page):
    folder = make_sweep(folds=2, fractions=("1/2",), patients=6)
    for path in folder.glob("runs/*/metrics.json"):
        content = json.loads(path.read_text())
        del content["per_patient"]
        path.write_text(json.dumps(content))
    write_sweep_report(folder)
    assert "have no scores of patients" in read_page(folder / "report.html").text
    assert len(rows_of(folder)) == 6 * 3 * 4


@pytest.mark.parametrize("content", ["{", '{"split": "test"}', "[]"])
def test_damaged_scores_are_refused_and_nothing_is_written(make_sweep, content):
    folder = make_sweep(folds=2, fractions=("1/2",))
    (folder / "runs" / "fold0_1-2_paper_unet_seed0" / "metrics.json").write_text(content)
    with pytest.raises(InputError, match="fold0_1-2_paper_unet_seed0/metrics.json"):
        write_sweep_report(folder)
    assert {path.name for path in folder.iterdir()} == {"plan.json", "runs"}


@pytest.mark.parametrize("content", ["{", "{}", '{"runs": 3}'])
def test_a_damaged_plan_is_refused(make_sweep, content):
    folder = make_sweep(folds=2, fractions=("1/2",))
    (folder / "plan.json").write_text(content)
    with pytest.raises(InputError, match="plan.json"):
        write_sweep_report(folder)


def test_without_models_the_page_says_why_there_are_no_pictures(make_sweep, read_page):
    folder = make_sweep(folds=2, fractions=("1/2",))
    write_sweep_report(folder)
    page = read_page(folder / "report.html")
    assert "No pictures: " in page.text and "best.keras is not there" in page.text
    assert not page.pictures()


@pytest.mark.slow
def test_cases_are_shown_across_all_fractions(judged_sweep, read_page):
    """Of fold 0 all models are there but one, of fold 1 none but the one that ranks the cases."""
    for name in ("fold0_1_supervised", "fold1_1_supervised", "fold1_1-2_supervised"):
        (judged_sweep / "runs" / f"{name}_unet_seed0" / "best.keras").unlink()
    (judged_sweep / "runs" / "fold1_1_adversarial_unet_seed0" / "best.keras").unlink()
    write_sweep_report(judged_sweep)
    page = read_page(judged_sweep / "report.html")
    assert "Ranked by the Dice of U-Net, paper, 1/2 of the labels, first seed." in page.text
    found = {}
    for alt in page.pictures():
        case, _, kind = alt.partition(": ")
        found.setdefault(case, set()).add(kind)
    panels = {"image", "label", "prediction", "confidence"}
    across = [{"supervised, 1/2", "paper, 1", "paper, 1/2"}] * 2 + [{"paper, 1/2"}]
    assert [found[case] - panels for case in sorted(found)] == across
    assert all(panels <= kinds for kinds in found.values())
    assert page.text.count("no model") == 2 * 1 + 3
