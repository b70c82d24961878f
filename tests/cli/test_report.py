"""`tfadvseg report`, and the page of `tfadvseg evaluate`."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tfadvseg.building import build_model
from tfadvseg.cli import main
from tfadvseg.config import Config
from tfadvseg.preparation import prepare
from tfadvseg.run_folder import RunFolder, environment


def call(*arguments, status=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, (result.output, result.exception)
    return result.output


@pytest.fixture(scope="module")
def run(shared_phantom, tiny, tmp_path_factory):
    """A run that has its networks but was never trained."""
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "untrained")
    config, split = prepare(Config(**tiny, data=str(shared_phantom), recipe="adversarial"))
    folder.create()
    (folder.path / "config.yaml").write_text(config.to_yaml())
    folder.write_json("split.json", split.to_json())
    folder.write_json("environment.json", environment())
    build_model(config).save(folder.path / "best.keras")
    return folder.path


@pytest.fixture
def sweep(tmp_path):
    """A sweep of one run that is not begun."""
    run = {"name": "fold0_1-2_paper_unet_seed0", "fold": 0, "fraction": "1/2", "recipe": "paper"}
    run |= {"trained_as": "paper", "model": "unet", "seed": 0, "labelled": ["a"], "unlabelled": []}
    run["budget"] = {"labelled_patients": 1, "labelled_images": None, "val_patients": 1}
    plan = {"data": "d", "fractions": ["1/2"], "folds": [{}], "runs": [run]}
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "plan.json").write_text(json.dumps(plan))
    return tmp_path / "sweep"


def test_a_sweep(sweep):
    output = call("report", sweep)
    assert "0 of 1 runs are finished" in output and "Not begun (1): fold0_1-2_paper" in output
    assert "Wrote" in output
    for name in ("report.html", "results.csv", "results.json", "tables/budget.tex"):
        assert (sweep / name).is_file(), name


def test_a_run(run):
    assert "report.html" in call("report", run)
    assert "There are no scores" in (run / "report.html").read_text()


@pytest.mark.slow
def test_evaluate_writes_the_page_of_what_it_evaluated(run, tmp_path):
    output = call("evaluate", run, "--split", "val", "--report", tmp_path / "val.html")
    assert "val.html" in output
    page = (tmp_path / "val.html").read_text()
    assert "on the val split, 3 cases of 1 patient" in page
    assert page.count("data:image/png") == 12


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_other_folders_are_refused(tmp_path, name):
    output = call("report", tmp_path / name, status=2)
    assert len(output.splitlines()) == 1
    assert "plan.json" in output and "config.yaml" in output and "found neither" in output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--json", "--report"])
def test_evaluate_replaces_nothing_but_its_own_files(run, option):
    before = (run / "config.yaml").read_bytes()
    assert "it would be lost" in call("evaluate", run, option, run / "config.yaml", status=2)
    assert (run / "config.yaml").read_bytes() == before


@pytest.mark.parametrize("name", ["folder", "missing/page.html"])
def test_a_page_that_cannot_be_written_is_refused_before_anything_is_read(run, tmp_path, name):
    (tmp_path / "folder").mkdir()
    assert "cannot be written" in call("evaluate", run, "--report", tmp_path / name, status=2)


def test_refusals_come_before_tensorflow_is_loaded(tmp_path):
    script = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from tfadvseg.cli import main\n"
        "assert CliRunner().invoke(main, ['report', 'nowhere']).exit_code == 2\n"
        "assert 'tensorflow' not in sys.modules and 'scipy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
