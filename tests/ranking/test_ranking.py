"""The command `tfadvseg rank` on networks of which it is known what they do not know."""

import csv
import shutil

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from scipy.special import expit

from tfadvseg.cli import main
from tfadvseg.data.image import Source
from tfadvseg.data.io import read_image
from tfadvseg.inference.predictor import Predictor
from tfadvseg.inference.quality import Calibration
from tfadvseg.ranking.measures import Measures
from tfadvseg.ranking.observer import Observer, Survey
from tfadvseg.ranking.ranking import _features
from tfadvseg.run_folder import RunFolder


def call(*arguments):
    return CliRunner().invoke(main, ["rank", *map(str, arguments)])


def ranked(run, folder, out):
    """The rows of the table by case, in order."""
    result = call(run, folder, "--out", out)
    assert result.exit_code == 0, result.output
    with out.open(newline="") as stream:
        rows = {row["case"]: row for row in csv.DictReader(stream)}
    assert [int(row["rank"]) for row in rows.values()] == list(range(1, len(rows) + 1))
    return rows, result.output


@pytest.fixture
def out(tmp_path):
    return tmp_path / "ranked.csv"


def test_what_is_known_least_and_typical_comes_first(make_clear_run, data, add, out, read_page):
    for patient, grey in enumerate((255, 200, 135, 135), start=3):
        add(f"p{patient}_a", grey, seed=patient)
    rows, printed = ranked(make_clear_run(), data, out)
    first = next(iter(rows))
    assert first in ("p5_a", "p6_a") and "p1_a" not in rows and "p2_a" not in rows
    assert rows[first]["patient"] == first[:2] and rows[first]["patient_rank"] == "1"
    benefits = [float(row["benefit"]) for row in rows.values()]
    assert benefits[0] > 1 > float(rows["p3_a"]["benefit"])
    assert np.mean(benefits) == pytest.approx(1, abs=1e-3)
    gains = [float(row["gain"]) for row in rows.values()]
    assert gains == sorted(gains, reverse=True) and 0.5 <= sum(gains) <= 1.001
    assert f"{gains[0]:.1%}" in printed
    assert "left out as they are labelled: 2" in printed
    page = read_page(out.with_suffix(".html"))
    pictures = page.pictures()
    assert len(pictures) == 8
    assert pictures["p5_a: doubt"].mean() > pictures["p3_a: doubt"].mean() + 5
    assert "Whole patients" in page.headings
    assert 0 < float(rows["p5_a"]["patient_novelty"]) <= 1


def test_a_row_with_whole_names_fits_a_terminal_of_80_columns(make_clear_run, data, add, out):
    name = "p3_frame01_slice_04_long_scan"
    add(name, 135)
    _, printed = ranked(make_clear_run(), data, out)
    row = next(line for line in printed.splitlines() if "│    1 │" in line)
    assert name in row and len(row) <= 80 and row.count("│") == 7


def test_the_numbers_are_those_worked_out_by_hand(make_clear_run, data, add, out):
    """256 bright pixels, 64 of them grey; the probability of the vessel is expit(10 (x - 0.5))."""
    add("p3_a", 135)
    row = ranked(make_clear_run(), data, out)[0]["p3_a"]
    x = cv2.imread(str(data / "images" / "p3_a.png"), 0) / 255 * (1.001) ** -2.0  # batch norms
    teacher, student = expit(10 * (x - 0.5)), expit(9 * (x - 0.5))
    predicted = teacher > 0.5
    wrong = np.where(predicted, 1 - teacher, teacher).sum()
    size = predicted.sum() + teacher.sum()
    disputed, both = np.abs(teacher - student).sum(), (teacher + student).sum()
    assert float(row["error vessel"]) == pytest.approx(wrong / size / 2, abs=2e-4)
    assert float(row["disagreement vessel"]) == pytest.approx(disputed / both / 2, abs=2e-4)
    coin = -(teacher * np.log2(teacher) + (1 - teacher) * np.log2(1 - teacher)).sum()
    assert float(row["entropy vessel"]) == pytest.approx(coin / size / 2, abs=2e-4)


def test_ten_like_slices_of_a_patient_do_not_fill_the_top_ten(make_clear_run, data, add, out):
    for place in range(10):
        add(f"p3_{place}", 135, seed=place)
    for patient in range(4, 14):
        add(f"p{patient}_a", 170 + 5 * patient, seed=patient)
    rows, _ = ranked(make_clear_run(), data, out)
    first = [row["patient"] for row in list(rows.values())[:10]]
    assert first[0] == "p3" and first.count("p3") <= 2 and len(set(first)) >= 9
    places = {row["patient_rank"] for row in rows.values() if row["patient"] == "p3"}
    assert len(places) == 1 and places <= {"1", "2", "3"}


@pytest.mark.slow
@pytest.mark.parametrize("upwards", [True, False])
def test_a_volume_names_the_slice_of_which_least_is_known(
    upwards, make_clear_run, data, add, out, read_page
):
    """By its place in the file, whichever way that runs, as viewers count."""
    add("p3_ct", 255, 255, 130, 255, upwards=upwards)
    add("p4_ct", 140, 255, upwards=upwards)
    run = make_clear_run()
    rows, printed = ranked(run, data, out)
    assert rows["p3_ct"]["slice"] == "3" and rows["p4_ct"]["slice"] == "1"
    assert "3 of 4" in printed
    page = read_page(out.with_suffix(".html"))
    assert "slice 3 of 4" in page.text
    assert (
        page.pictures()["p3_ct: doubt"].max() > 100
    )  # the slice that is drawn is the doubtful one
    files = (out, out.with_suffix(".html"))
    before = [file.read_bytes() for file in files]
    ranked(run, data, out)
    assert [file.read_bytes() for file in files] == before


def test_without_a_teacher_there_is_no_disagreement(make_clear_run, data, add, out):
    add("p3_a", 135)
    rows, _ = ranked(make_clear_run(averaging=0), data, out)
    assert not any(name.startswith("disagreement") for name in rows["p3_a"])
    assert "entropy vessel" in rows["p3_a"]


@pytest.mark.slow
def test_a_folder_of_images_and_a_table(make_clear_run, data, add, out, tmp_path):
    run, pool = make_clear_run(), tmp_path / "pool"
    add("p3_a", 135)
    add("p4_a", 255)
    pool.mkdir()
    for name in ("p3_a", "p4_a"):
        (data / "images" / f"{name}.png").rename(pool / f"{name}.png")
    assert list(ranked(run, pool, out)[0]) == ["p3_a", "p4_a"]
    table = tmp_path / "table.csv"
    table.write_text("image,patient\npool/p3_a.png,x\npool/p4_a.png,p2\n")
    rows, printed = ranked(run, table, out)
    assert list(rows) == ["p3_a"] and "may not train: 1" in printed


def test_labelled_images_that_are_gone_are_said(make_clear_run, data, add, out, tmp_path):
    run = make_clear_run()
    add("p3_a", 135)
    data.rename(tmp_path / "moved")
    rows, printed = ranked(run, tmp_path / "moved", out)
    assert rows["p3_a"]["novelty"] == "1.0000"
    assert "of the 1 images that the run was trained on, 1 are not in" in printed


def test_a_folder_of_images_does_not_hide_whose_they_are(make_clear_run, data, add, out):
    run = make_clear_run()
    add("p2_b", 135)
    add("p3_a", 135)
    (data / "cases.csv").write_text(
        "file,patient\np1_a.png,p1\np2_a.png,p2\np2_b.png,p2\np3_a.png,someone\n"
    )
    settings = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(settings.replace("patient_pattern", "# patient_pattern"))
    rows, printed = ranked(run, data / "images", out)
    assert list(rows) == ["p3_a"] and rows["p3_a"]["patient"] == "someone"
    assert "left out as they are labelled: 1" in printed and "may not train: 2" in printed


def test_a_pool_of_the_run_does_not_hide_whose_images_it_has(
    make_clear_run, data, add, out, tmp_path
):
    """Its images, ranked as a bare folder; a labelled image has the name of one of them."""
    add("p2_b", 135)
    add("p3_a", 135)
    pool = tmp_path / "pool"
    (pool / "images").mkdir(parents=True)
    for name in ("p2_b", "p3_a"):
        (data / "images" / f"{name}.png").rename(pool / "images" / f"{name}.png")
    shutil.copy(pool / "images" / "p3_a.png", pool / "images" / "p1_a.png")
    (pool / "cases.csv").write_text("file,patient\np2_b.png,p2\np3_a.png,x\np1_a.png,y\n")
    run = make_clear_run()
    settings = (run / "config.yaml").read_text().replace("patient_pattern", "# patient_pattern")
    settings = settings.replace("unlabelled: null", f"unlabelled: {pool}")
    (run / "config.yaml").write_text(settings)
    (data / "cases.csv").write_text("file,patient\np1_a.png,p1\np2_a.png,p2\n")
    rows, printed = ranked(run, pool / "images", out)
    assert {name: row["patient"] for name, row in rows.items()} == {"p3_a": "x", "p1_a": "y"}
    assert "may not train: 1" in printed


@pytest.mark.slow
def test_patients_unlike_the_labelled_ones(make_clear_run, data, add, out, read_page):
    run = make_clear_run()
    for name in ("p3_a", "p4_a", "p5_a"):
        add(name, 135)
    found = {"names": ["p5", "p9"], "excluded": False}
    RunFolder(run).write_json("outliers.json", found)
    rows, printed = ranked(run, data, out)
    warning = "another part of the body: p5; look at them"
    assert "p5_a" in rows and warning in " ".join(printed.split())
    assert warning in read_page(out.with_suffix(".html")).text
    RunFolder(run).write_json("outliers.json", found | {"excluded": True})
    rows, printed = ranked(run, data, out)
    assert {*rows} == {"p3_a", "p4_a"} and "who are unlike the labelled ones: 1" in printed


class TestRefusals:
    def refused(self, out, *arguments, words):
        result = call(*arguments, "--out", out)
        assert result.exit_code == 2, result.output
        assert len(result.output.splitlines()) == 1
        assert not [word for word in words if word not in result.output], result.output
        assert not out.with_suffix(".html").exists() and not out.is_file()

    def test_wrong_outputs(self, tmp_path):
        for name, word in (("a.txt", ".csv"), ("none/a.csv", "no folder")):
            self.refused(tmp_path / name, tmp_path, tmp_path, words=[word])

    def test_files_of_another_kind(self, make_clear_run, data, add, tmp_path):
        add("p3_a", 135)
        run, table = make_clear_run(), tmp_path / "list.csv"
        table.write_text("image,patient\ndata/images/p3_a.png,p3\n")
        result = call(run, table, "--out", table)
        assert result.exit_code == 2 and "it would be lost" in result.output
        assert table.read_text().startswith("image,patient")
        page = tmp_path / "own.html"
        page.write_text("<p>mine</p>")
        assert call(run, data, "--out", page.with_suffix(".csv")).exit_code == 2
        assert page.read_text() == "<p>mine</p>" and not page.with_suffix(".csv").exists()

    def test_no_run(self, tmp_path, out):
        self.refused(out, tmp_path, tmp_path, words=["not a run folder"])

    def test_no_calibration(self, make_clear_run, data, add, out):
        add("p3_a", 135)
        run = make_clear_run()
        (run / "calibration.json").unlink()
        self.refused(out, run, data, words=["calibration.json", "evaluate"])

    def test_nothing_to_label(self, make_clear_run, data, out, tmp_path):
        run = make_clear_run()
        self.refused(out, run, data, words=["no image to label", "of 2, 2 have a mask"])
        self.refused(out, run, tmp_path / "nowhere", words=["no such folder"])

    def test_images_that_do_not_fit(self, make_clear_run, data, add, out):
        run = make_clear_run()
        add("p3_a", 135)
        cv2.imwrite(str(data / "images" / "p4_a.png"), np.zeros((8, 8, 3), np.uint8))
        self.refused(out, run, data, words=["p4_a.png", "3 channel(s), expected 1"])
        (data / "images" / "p4_a.png").write_bytes(b"no image")
        self.refused(out, run, data, words=["p4_a.png", "decoded"])


@pytest.mark.parametrize("size", [32, [32, 31]])  # the network pads 31 to 32, with background
def test_features_are_those_of_the_predicted_foreground(size, make_clear_run, data, add):
    add("p3_a", 135)
    run = make_clear_run(image_size=size)
    observer = Observer(Predictor.load(run), Calibration.read(run))
    image = read_image(Source((data / "images" / "p3_a.png",)))
    _, features, foreground = observer.look(image)
    grid = observer.predictor.chain.prepare(image.voxels.astype(np.float32), np.ones(2, np.float32))
    vessel = observer.predictor.chain.judge(grid)[0].numpy()[0, ..., 1]
    deepest = observer.encoder(grid).numpy()[0]
    rows, columns = deepest.shape[:2]
    vessel = np.pad(vessel, [(0, 0), (0, 32 - vessel.shape[1])])
    parts = vessel.reshape(rows, len(vessel) // rows, columns, -1).mean(axis=(1, 3))
    assert foreground == pytest.approx(parts.sum(), rel=1e-4)
    mean = (deepest * parts[..., np.newaxis]).sum(axis=(0, 1)) / parts.sum()
    np.testing.assert_allclose(features, mean, rtol=1e-3, atol=1e-6)
    assert not np.allclose(features, deepest.mean(axis=(0, 1)), rtol=1e-2)


def test_cases_of_a_patient_count_by_their_foreground():
    nothing = Measures(np.zeros((0, 3, 1)), np.zeros((0, 3, 1)))
    features = np.array([[0.0, 1.0], [4.0, 0.0], [7.0, 0.0]])
    seen = Survey(nothing, np.zeros(0, int), features, np.array([3, 1, 0]))
    found = _features(seen, np.array([0, 0, 1]), 2)
    np.testing.assert_allclose(found, [[0.8, 0.6], [1.0, 0.0]])
