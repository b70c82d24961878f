import resource
import subprocess
import sys

import pytest
import tensorflow as tf
from click.testing import CliRunner

from tfadvseg import run_folder
from tfadvseg.cli import main
from tfadvseg.errors import InputError
from tfadvseg.run_folder import RunFolder, write_whole


def test_an_existing_run_is_refused_unless_asked_for(tmp_path):
    (tmp_path / "config.yaml").write_text("")
    folder = RunFolder(tmp_path)
    with pytest.raises(InputError, match=r"--resume.*--overwrite"):
        folder.check(resume=False, overwrite=False)
    folder.check(resume=False, overwrite=True)
    folder.check(resume=True, overwrite=False)


def test_overwrite_never_removes_what_is_no_run(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="is not a run"):
        RunFolder(tmp_path).check(resume=False, overwrite=True)


def test_there_must_be_a_run_to_resume(tmp_path):
    with pytest.raises(InputError, match="no run to resume"):
        RunFolder(tmp_path / "none").check(resume=True, overwrite=False)


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fails(temporary):
        temporary.write_text("ne")
        raise OSError("no space")

    with pytest.raises(OSError):
        write_whole(path, fails)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.slow
def test_a_full_disk_leaves_the_previous_checkpoint(shared_phantom, tiny_options, tmp_path):
    """The disk is played by the kernel's limit on a file's size, lowered after the first one."""
    run = tmp_path / "run"
    script = tmp_path / "fill.py"
    script.write_text(
        "import resource, sys\n"
        "from tfadvseg.cli import main\n"
        "from tfadvseg.run_folder import RunFolder\n"
        "save = RunFolder.save_checkpoint\n"
        "def save_then_fill(self, *args, **kwargs):\n"
        "    save(self, *args, **kwargs)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))\n"
        "RunFolder.save_checkpoint = save_then_fill\n"
        "main(sys.argv[1:])\n"
    )
    command = ["fit", "--data", str(shared_phantom), "--out", str(run), "--recipe=supervised"]
    result = subprocess.run(
        [sys.executable, str(script), *command, *tiny_options], capture_output=True, text=True
    )
    assert result.returncode == 1, result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert "checkpoint of step 4 cannot be written" in result.stderr
    assert "that of step 2 is safe" in result.stderr
    assert [path.name for path in RunFolder(run).checkpoints()] == ["00000002"]
    assert not (run / "checkpoints" / "writing").exists()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY

    resumed = CliRunner().invoke(main, ["fit", "--out", str(run), "--resume"])
    assert resumed.exit_code == 0, resumed.output
    assert (run / "metrics.json").is_file()


def test_environment_names_made_up_gpus(monkeypatch):
    names = {"a": {"device_name": "Big 1"}, "b": {}}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [*names])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", names.__getitem__)
    assert run_folder.environment()["gpus"] == "Big 1, GPU"
