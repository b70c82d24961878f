"""The sweep with runs that take no time: a stand-in for `fit` does as it is told."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from tfadvseg.crossval import sweep
from tfadvseg.crossval.folder import SweepFolder
from tfadvseg.crossval.planning import make_plan
from tfadvseg.crossval.sweep import check_gpus, duration, run_sweep
from tfadvseg.errors import InputError

STAND_IN = """
import json, os, pathlib, sys, time
arguments = sys.argv[1:]
out = pathlib.Path(arguments[arguments.index("--out") + 1])
with (out.parents[2] / "calls.txt").open("a") as calls:
    print(out.name, *arguments, os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES"), file=calls)
told = json.loads((out.parents[2] / "told.json").read_text()).get(out.name, "finish")
(out / "checkpoints" / "00000005").mkdir(parents=True, exist_ok=True)
if told == "fail":
    print("step 3\\nError: the loss is [no] number")
    sys.exit(1)
if told == "crash":
    raise ZeroDivisionError("at once")
if told == "kill":
    os.kill(os.getpid(), 9)
if told == "hang":
    time.sleep(600)
if told == "meet":
    until = time.monotonic() + 60
    while len(list(out.parent.iterdir())) < 2:
        assert time.monotonic() < until, "alone"
scores = {"pooled": {"foreground": {"dice": 0.5}}}
(out / "metrics.json").write_text(json.dumps(scores))
"""


@pytest.fixture
def out(tmp_path, monkeypatch):
    """A folder for a sweep whose runs are played."""
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    monkeypatch.setattr(sweep, "_command", lambda arguments: [sys.executable, script, *arguments])
    monkeypatch.setattr(sweep, "LOOK_EVERY", 0.01)
    tell(tmp_path / "sweep")
    return tmp_path / "sweep"


def tell(out, **told):
    (out.parent / "told.json").write_text(json.dumps(told))
    (out.parent / "calls.txt").unlink(missing_ok=True)


def calls(out):
    lines = (out.parent / "calls.txt").read_text().splitlines()
    return {line.split()[0]: line.split()[1:] for line in lines}


def test_every_run_is_made_by_its_configuration(plan, out):
    assert run_sweep(plan, out) == {}
    assert set(calls(out)) == set(plan.trainings) and len(plan.trainings) == 6
    for name, (command, config, *_) in calls(out).items():
        assert command == "fit" and Path(config) == out / "configs" / f"{name}.yaml"
        assert "test_patients" in Path(config).read_text()
        log = (out / "logs" / f"{name}.log").read_text()
        assert log.startswith(f"$ tfadvseg fit {config} --out ")
    assert json.loads((out / "plan.json").read_text()) == json.loads(json.dumps(plan.to_json()))
    assert set(json.loads((out / "durations.json").read_text())) == set(plan.trainings)


def test_a_failing_run_is_recorded_and_the_sweep_goes_on(plan, out):
    names = list(plan.trainings)
    tell(out, **{names[0]: "fail", names[1]: "kill", names[2]: "crash"})
    with Console(record=True, quiet=True) as console:
        failures = run_sweep(plan, out, console=console)
    assert failures == {
        names[0]: "the loss is [no] number",
        names[1]: "ended by signal 9 (Killed); the memory may have been too small",
        names[2]: "exit status 1: ZeroDivisionError: at once",
    }
    assert json.loads((out / "failures.json").read_text()) == failures
    assert all(SweepFolder(out).is_finished(name) for name in names[3:])
    tell(out)
    assert run_sweep(plan, out) == {}
    assert list(calls(out)) == names[:3]  # what is finished is not repeated
    assert json.loads((out / "failures.json").read_text()) == {}


def test_every_end_of_a_run_is_told_in_a_line(plan, out, capsys):
    names = list(plan.trainings)
    tell(out, **{names[1]: "fail"})
    run_sweep(plan, out, console=Console(width=80))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert lines[0].startswith(f"1/6 {names[0]}: Dice 0.500, ")
    assert lines[1].startswith(f"2/6 {names[1]}: FAILED: the loss is [no] number (see ")
    assert "left" in lines[4] and "left" not in lines[5]


def test_a_run_that_was_cut_off_goes_on_and_one_without_checkpoint_begins_anew(plan, out):
    names = list(plan.trainings)
    run_sweep(plan, out)
    cut, begun = (out / "runs" / name for name in names[:2])
    for run in (cut, begun):
        (run / "metrics.json").unlink()
    (begun / "checkpoints" / "00000005").rmdir()
    (begun / "config.yaml.tmp").touch()
    tell(out)
    run_sweep(plan, out)
    assert calls(out)[names[0]][:2] == ["fit", "--resume"]
    assert calls(out)[names[1]][:2] == ["fit", str(out / "configs" / f"{names[1]}.yaml")]
    assert set(calls(out)) == set(names[:2])
    assert not (begun / "config.yaml.tmp").exists()


def test_jobs_share_the_gpus(plan, out, monkeypatch):
    run_sweep(plan, out, jobs=2, gpus=("0", "3"))
    assert {call[-1] for call in calls(out).values()} == {"0", "3"}
    environments = [sweep._environment(slot, 3, ("0", "3")) for slot in range(3)]
    assert [each["CUDA_VISIBLE_DEVICES"] for each in environments] == ["0", "3", "0"]
    assert environments[0]["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"


def test_two_jobs_work_at_once(plan, out):
    first, second, *_ = plan.trainings
    tell(out, **{first: "meet", second: "meet"})
    assert run_sweep(plan, out, jobs=2) == {}


@pytest.fixture
def ctrl_c():
    """SIGINT raises, also where these tests are a background job of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_the_runs_and_another_sweep_is_refused_meanwhile(plan, out, capsys):
    names, refused = list(plan.trainings), []
    tell(out, **{names[1]: "hang"})

    def interrupt():
        while not (out / "runs" / names[1] / "checkpoints").exists():
            time.sleep(0.02)
        try:
            run_sweep(plan, out)
        except InputError as error:
            refused.append(str(error))
        os.kill(os.getpid(), signal.SIGINT)

    helper = threading.Thread(target=interrupt)
    helper.start()
    with pytest.raises(KeyboardInterrupt):
        run_sweep(plan, out, console=Console())
    helper.join()
    assert "another sweep is at work" in refused[0]
    assert "the same call goes on with the 5 runs left" in capsys.readouterr().out
    with pytest.raises(ProcessLookupError):
        os.kill(int(calls(out)[names[1]][-2]), 0)
    assert json.loads((out / "failures.json").read_text()) == {}
    tell(out)
    assert run_sweep(plan, out) == {}
    assert list(calls(out)) == names[1:]


def test_a_run_ends_with_its_sweep_however_that_ends(tmp_path):
    """The pipe closes when the process that holds its other end is killed."""
    command = ["data", "phantom", str(tmp_path / "p"), "--patients=100000"]
    worker = subprocess.Popen(
        [sys.executable, "-m", "tfadvseg.crossval.worker", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    while not any(tmp_path.rglob("*.png")):
        assert worker.poll() is None
        time.sleep(0.02)
    worker.stdin.close()
    assert worker.wait() == 1


def test_another_plan_in_the_same_folder_is_refused(plan, out, material, wanted):
    run_sweep(plan, out)
    before = (out / "plan.json").read_text()
    other = make_plan(material(steps=11), wanted(fractions="1/2", recipes="paper"))
    with pytest.raises(InputError, match="steps is 10 .* received 11"):
        run_sweep(other, out)
    assert (out / "plan.json").read_text() == before


def test_a_folder_that_is_no_sweep_is_refused(plan, tmp_path):
    (tmp_path / "thesis.tex").touch()
    for path in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(InputError, match="is not a sweep"):
            run_sweep(plan, path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_sweep_that_ended_before_it_had_a_plan_begins_again(plan, out):
    out.mkdir()
    for name in (".lock", "plan.json.tmp"):
        (out / name).touch()
    assert run_sweep(plan, out) == {}


def test_gpus_that_are_not_there_are_refused():
    check_gpus(())
    with pytest.raises(InputError, match="--gpus 97: TensorFlow sees 0 of 1"):
        check_gpus(("97",))


@pytest.mark.parametrize(
    ("seconds", "text"), [(5.4, "5 s"), (600, "10 min"), (5340, "89 min"), (7260, "2 h 01 min")]
)
def test_durations_for_people(seconds, text):
    assert duration(seconds) == text
