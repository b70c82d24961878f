"""`tfadvseg export` as a command."""

import pytest
from click.testing import CliRunner

from tfadvseg.cli import main


def call(*arguments):
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


def test_what_is_no_run_is_refused(tmp_path):
    result = call("savedmodel", tmp_path, "--out", tmp_path / "m")
    assert result.exit_code == 2 and "not a run folder" in result.stderr
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("extra", [[], pytest.param(["--confidence"], marks=pytest.mark.slow)])
def test_it_says_what_it_compared_and_wrote(tmp_path, shared_phantom, tiny_options, extra):
    run = tmp_path / "run"
    fit = ["fit", "--data", shared_phantom, "--out", run, "--recipe", "adversarial", *tiny_options]
    assert CliRunner().invoke(main, list(map(str, fit))).exit_code == 0
    result = call("savedmodel", run, "--out", tmp_path / "models" / "net", *extra)
    assert result.exit_code == 0, result.output
    assert "0 of " in result.stdout and "mask pixels differ" in result.stdout
    wrote = f"Wrote {tmp_path / 'models' / 'net' / '1'} (model card: "
    assert wrote in result.stdout.replace("\n", "")
