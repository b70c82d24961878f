"""`tfadvseg crossval`: what it refuses, and what it prints without training."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tfadvseg.cli import main


def call(*arguments):
    return CliRunner().invoke(main, ["crossval", *map(str, arguments)])


def refused(out, *arguments):
    result = call("--out", out, *arguments)
    assert result.exit_code == 2, (result.output, result.exception)
    lines = result.output.splitlines()
    assert len([line for line in lines if not line.startswith("Warning: ")]) == 1, lines
    assert not out.exists()
    return lines[-1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--folds=5"], "--folds: expected at most 4"),
        (["--recipes=supervised,papr"], "--recipes: expected supervised, adversarial, paper"),
        (["--recipes="], "--recipes: expected supervised"),
        (["--models=unett"], "did you mean unet?"),
        (["--label-fractions=3/2"], "above 0 and at most 1, such as 1,1/2,0.25, received '3/2'"),
        (["--label-fractions=1,0"], "received '0'"),
        (["--label-fractions=1/0"], "received '1/0'"),
        (["--label-fractions=half"], "received 'half'"),
        (["--gpus=one"], "--gpus: expected numbers"),
        (["--set=stepss=3"], "did you mean steps?"),
        (["--folds=2", "--set=val_patients=2"], "leaves none to train"),
        (["--set=val_patients=[phantom000]"], "val_patients: expected a number"),
    ],
)
def test_wrong_calls_are_refused_in_a_line(shared_phantom, tmp_path, options, words):
    assert words in refused(tmp_path / "cv", "--data", shared_phantom, *options)


def test_data_must_be_given(tmp_path):
    assert "--data DIR" in refused(tmp_path / "cv")
    assert "no such folder" in refused(tmp_path / "cv", "--data", tmp_path / "nowhere")


def test_a_folder_with_something_else_is_refused_before_the_data_are_read(tmp_path):
    (tmp_path / "thesis.tex").touch()
    result = call("--out", tmp_path, "--data", tmp_path / "nowhere")
    assert result.exit_code == 2 and "is not a sweep" in result.output


def test_refusals_come_before_tensorflow_is_loaded(shared_phantom, tmp_path):
    script = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from tfadvseg.cli import main\n"
        f"call = ['crossval', '--data', {str(shared_phantom)!r}, '--out', 'cv', '--folds', '9']\n"
        "assert CliRunner().invoke(main, call).exit_code == 2\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)


def test_a_dry_run_prints_the_plan_and_times_a_few_steps(shared_phantom, tmp_path, tiny_options):
    result = call(
        *("--data", shared_phantom, "--out", tmp_path / "cv", "--dry-run", "--folds=4"),
        *("--label-fractions=1/2,1", "--recipes=supervised", "--seeds=2", *tiny_options),
    )
    assert result.exit_code == 0, result.output
    rows = [line.split("│") for line in result.stdout.splitlines() if line.startswith("│")]
    # fold, fraction, labelled, images, validation, labels used, unlabelled, test, trainings
    assert [cell.strip() for cell in rows[1][1:-1]] == "0 1/2 1 3 1 2 1 1 2".split()
    assert len(rows) == 4 * 2
    assert "16 runs of 6 steps: recipes supervised; models unet; seeds 0, 1." in result.stdout
    assert "(by a few steps)" in result.stdout
    assert not (tmp_path / "cv").exists()


def test_a_dry_run_knows_the_time_from_finished_runs(shared_phantom, tmp_path, tiny_options):
    """Of 4 runs, one is finished and took 100 s: 5 min are left, half as long with two jobs."""
    out = tmp_path / "cv"
    run = out / "runs" / "fold0_1_supervised_unet_seed0"
    run.mkdir(parents=True)
    (run / "metrics.json").write_text("{}")
    (out / "durations.json").write_text(json.dumps({run.name: 100.0}))
    command = ["--data", shared_phantom, "--out", out, "--folds=4", "--label-fractions=1"]
    command += ["--recipes=supervised", "--dry-run", *tiny_options]
    assert "is not a sweep" in call(*command).output
    write_plan(out, shared_phantom, tiny_options)
    assert "Time left: about 5 min (from runs finished here: 1)." in call(*command).stdout
    assert (
        "Time left: about 2 min (from runs finished here: 1)." in call(*command, "--jobs=2").stdout
    )


def write_plan(out, data, options):
    """The plan that crossval writes before it makes the first run."""
    from tfadvseg.config import Config, parse_assignment
    from tfadvseg.crossval.folder import SweepFolder
    from tfadvseg.crossval.material import read_material
    from tfadvseg.crossval.plan import Wanted
    from tfadvseg.crossval.planning import make_plan

    settings = dict(parse_assignment(option.removeprefix("--set=")) for option in options)
    material = read_material(Config.from_mapping({"data": str(data), **settings}), 4)
    SweepFolder(out).enter(make_plan(material, Wanted(4, (1,), ("supervised",), ("unet",), 1)))
