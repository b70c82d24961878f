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


def test_it_says_what_it_compared_and_wrote(tmp_path, adversarial_run):
    out = tmp_path / "models" / "net"
    result = call("savedmodel", adversarial_run, "--out", out, "--confidence")
    assert result.exit_code == 0, result.output
    assert "0 of " in result.stdout and "mask pixels differ" in result.stdout
    assert f"Wrote {out / '1'} (model card: " in result.stdout.replace("\n", "")


@pytest.mark.parametrize("kind", ["tensorrt", "tftrt"])
def test_without_a_gpu_no_engine_is_made(tmp_path, make_run, monkeypatch, kind):
    """One line, status 2, and nothing written."""
    pytest.importorskip("tf2onnx")
    monkeypatch.setattr("tfadvseg.inference.engines.cuda.LIBRARY", "libcuda_that_is_not_there.so")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    result = call(kind, make_run(recipe="supervised"), "--out", tmp_path / "m")
    mend = "--onnx-only" if kind == "tensorrt" else "--python"
    assert result.exit_code == 2 and "NVIDIA GPU" in result.stderr and mend in result.stderr
    assert len(result.stderr.splitlines()) == 1 and not (tmp_path / "m").exists()


def test_sizes_of_an_engine_are_read_before_any_work(tmp_path):
    (tmp_path / "config.yaml").write_text("{}")
    result = call("tensorrt", tmp_path, "--out", tmp_path / "m", "--min", "64x64")
    assert result.exit_code == 2
    assert "--min: expected BATCHxHEIGHTxWIDTH, as 8x256x256, received '64x64'" in result.stderr
