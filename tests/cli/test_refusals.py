"""Every wrong input: exit status 2, at most three lines, the mend named, nothing written."""

import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from tfadvseg.cli import main


def refused(arguments, *words):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
    lines = [line for line in result.output.splitlines() if line.strip()]
    assert 1 <= len(lines) <= 3, result.output
    assert "Traceback" not in result.output
    missing = [word for word in words if word not in result.output]
    assert not missing, (missing, result.output)


@pytest.fixture
def refuses_fit(tmp_path):
    def check(data, *words, options=()):
        out = tmp_path / "run"
        refused(["fit", "--data", data, "--out", out, "--recipe", "supervised", *options], *words)
        assert not out.exists()

    return check


def first(folder, part):
    return sorted((folder / part).iterdir())[0]


def test_missing_folder(refuses_fit, tmp_path):
    refuses_fit(tmp_path / "nowhere", "nowhere", "no such folder")


def test_empty_folder(refuses_fit, tmp_path):
    (tmp_path / "data" / "images").mkdir(parents=True)
    refuses_fit(tmp_path / "data", "no image found", ".png")


def test_folder_with_other_files_only(refuses_fit, tmp_path):
    (tmp_path / "data" / "images").mkdir(parents=True)
    (tmp_path / "data" / "images" / "a.bmp").write_bytes(b"")
    refuses_fit(tmp_path / "data", "only .bmp")


def test_no_mask_at_all(refuses_fit, phantom):
    shutil.rmtree(phantom / "masks")
    refuses_fit(phantom, "masks", "no mask found")


@pytest.mark.parametrize("part", ["images", "masks"])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_truncated_file_is_named(refuses_fit, phantom, part, share):
    file = first(phantom, part)
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    refuses_fit(phantom, file.name, part, "truncated")


def test_several_unreadable_images_are_all_named(refuses_fit, phantom):
    files = sorted((phantom / "images").iterdir())[:3]
    for file in files:
        file.write_bytes(b"not an image")
    refuses_fit(phantom, *(file.name for file in files))


def test_mask_of_another_size(refuses_fit, phantom):
    file = first(phantom, "masks")
    cv2.imwrite(str(file), np.zeros((10, 12), np.uint8))
    refuses_fit(phantom, file.name, "12x10", "48x48")


def test_masks_of_0_and_255(refuses_fit, phantom):
    for file in (phantom / "masks").iterdir():
        cv2.imwrite(str(file), np.eye(48, dtype=np.uint8) * 255)
    refuses_fit(phantom, "hold 0 and 255 alone", "write 1 instead of 255")


def test_class_index_beyond_the_classes(refuses_fit, phantom):
    file = first(phantom, "masks")
    cv2.imwrite(str(file), np.full((48, 48), 9, np.uint8))
    refuses_fit(phantom, file.name, "class index 9", "3 classes")


def test_image_with_other_channels(refuses_fit, phantom):
    file = sorted((phantom / "images").iterdir())[1]
    cv2.imwrite(str(file), np.zeros((48, 48, 3), np.uint8))
    refuses_fit(phantom, "channel(s)", file.name)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("test_patients=9", "test_patients"),
        ("val_patients=4", "val_patients"),
        ("labelled_patients=30", "at most"),
    ],
)
def test_fewer_patients_than_the_split_needs(refuses_fit, phantom, option, words):
    refuses_fit(phantom, words, options=["--set", option])


def test_paper_without_unlabelled_images_offers_adversarial(phantom, tmp_path):
    refused(
        ["fit", "--data", phantom, "--out", tmp_path / "run", "--recipe", "paper"],
        "no unlabelled image",
        "--recipe adversarial",
        "--unlabelled",
    )


def test_missing_or_empty_unlabelled_folder(phantom, tmp_path):
    call = ["fit", "--data", phantom, "--out", tmp_path / "run", "--unlabelled"]
    refused([*call, tmp_path / "nowhere"], "nowhere")
    (tmp_path / "empty").mkdir()
    refused([*call, tmp_path / "empty"], "no image found")


def test_the_data_folder_as_its_own_pool(phantom, tmp_path, monkeypatch):
    monkeypatch.chdir(phantom.parent)
    out = tmp_path / "run"
    for pool in (phantom, f"{phantom.name}/../{phantom.name}", phantom / "images"):
        for command in (
            ["fit", "--data", phantom.name, "--out", out],
            ["crossval", "--data", phantom.name, "--out", out],
            ["data", "check", phantom.name],
        ):
            refused([*command, "--unlabelled", pool], "unlabelled", "is the data folder itself")
    assert not out.exists()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("lambda_advv=1", "did you mean lambda_adv?"),
        ("t_semi=7", "at most 1"),
        ("steps=-1", "at least 1"),
        ("depth", "name=value"),
        ("steps=[", "not YAML"),
    ],
)
def test_wrong_settings(refuses_fit, phantom, setting, words):
    refuses_fit(phantom, words, options=["--set", setting])


def test_unknown_recipe(phantom, tmp_path):
    refused(
        ["fit", "--data", phantom, "--out", tmp_path / "r", "--recipe", "magic"], "magic", "paper"
    )


def test_missing_configuration_file(tmp_path):
    refused(["fit", tmp_path / "none.yaml"], "none.yaml")


def test_run_folder_that_exists(phantom, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("")
    refused(["fit", "--data", phantom, "--out", tmp_path / "run"], "--resume", "--overwrite")


@pytest.fixture(scope="module")
def written_to(make_run, shared_phantom):
    """Commands that make a folder, up to the folder."""
    run, data = make_run(recipe="supervised"), ["--data", shared_phantom]
    return {
        "fit": ["fit", *data, "--recipe", "supervised", "--out"],
        "crossval": ["crossval", *data, "--out"],
        "predict": ["predict", run, shared_phantom / "images", "--out"],
        "phantom": ["data", "phantom"],
    }


COMMANDS = ("fit", "crossval", "predict", "phantom")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_where_a_folder_is_to_be(written_to, command, tmp_path):
    file = tmp_path / "cases.csv"
    file.touch()
    for out in (file, file / "deep" / "run"):
        refused([*written_to[command], out], "cases.csv", "folder", "another")
    assert file.read_bytes() == b""


@pytest.mark.skipif(sys.platform != "linux", reason="takes a folder where not even root may write")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_where_nothing_can_be_written(written_to, command):
    refused([*written_to[command], "/proc/run"], "nothing can be written in /proc", "another")


def test_a_damaged_model_is_called_so(make_run, shared_phantom, tmp_path):
    run = Path(shutil.copytree(make_run(recipe="supervised"), tmp_path / "run"))
    content = bytearray((run / "best.keras").read_bytes())
    cut, content[len(content) // 2] = content[:3000], content[len(content) // 2] ^ 255
    for damaged in (content, cut, b""):
        (run / "best.keras").write_bytes(damaged)
        for call in (
            ["evaluate", run],
            ["predict", run, shared_phantom / "images", "--out", tmp_path / "out"],
        ):
            refused(call, "best.keras: truncated or damaged", "copy it again")
    assert not (tmp_path / "out").exists()


def test_resume_with_other_settings(phantom, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("steps: 5\nearly_stopping: 3\n")
    call = ["fit", "--out", tmp_path / "run", "--resume", "--set"]
    refused([*call, "steps=6"], "steps", "5", "6")
    refused([*call, "early_stopping=null"], "early_stopping is 3", "received None")


def test_data_that_moved_is_asked_for_with_the_split_that_is_there(make_run, phantom, tmp_path):
    table = phantom / "cases.csv"
    table.write_text(table.read_text().replace(",test", ",val"))
    run = make_run(phantom, recipe="supervised")
    moved = phantom.rename(tmp_path / "moved")
    refused(["evaluate", run], "no such folder", "--data DIR --split val")
    result = CliRunner().invoke(main, ["evaluate", str(run), "--data", str(moved), "--split=val"])
    assert result.exit_code == 0 and "val split, 6 cases" in result.output


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_folder_that_is_no_run(command, tmp_path):
    more = [tmp_path, "--out", tmp_path / "o"] if command == "predict" else []
    refused([command, tmp_path / "nowhere", *more], "not a run folder")


def test_predict_what_is_not_there(tmp_path):
    (tmp_path / "config.yaml").write_text("recipe: supervised\n")
    call = ["predict", tmp_path, tmp_path / "none.png", "--out", tmp_path / "o"]
    refused(call, "none.png", "no such file")


def test_confidence_without_a_calibration(tmp_path):
    (tmp_path / "config.yaml").write_text("recipe: supervised\n")
    call = ["predict", tmp_path, tmp_path / "none.png", "--out", tmp_path / "o", "--confidence"]
    (tmp_path / "split.json").write_text('{"val": ["a"]}')
    refused(call, "calibration.json", f"tfadvseg evaluate {tmp_path} --split val")
    (tmp_path / "split.json").write_text('{"val": []}')
    refused(call, "calibration.json", "train with val_patients")
    refused([*call, "--checkpoint", "last"], "--checkpoint last", "drop one of the two")
    (tmp_path / "calibration.json").write_text('{"coefficients": []}')
    refused(call, "calibration.json", "damaged", "delete it")
    (tmp_path / "model.onnx").touch()
    about = {"classes": ["background", "heart"], "channels": 1, "settings": {"recipe": "paper"}}
    (tmp_path / "model.json").write_text(json.dumps(about))
    refused(call, "does not say how often it is right", "export it again")


def test_predict_with_an_engine_that_does_not_fit(make_run, shared_phantom, tmp_path, monkeypatch):
    monkeypatch.setattr("tfadvseg.inference.engines.cuda.LIBRARY", "libcuda_that_is_not_there.so")
    run, export, out = make_run(recipe="supervised"), tmp_path / "m", tmp_path / "out"
    (export / "1").mkdir(parents=True)
    (export / "1" / "model.onnx").touch()
    about = {"classes": ["background", "heart"], "channels": 1, "settings": {"recipe": "paper"}}
    (export / "1" / "model.json").write_text(json.dumps(about))
    for model, options, words in (
        (run, ["--engine=tensorrt"], ["needs an NVIDIA GPU (no driver", "pip install"]),
        (export, ["--engine=openvino"], ["exported for onnxruntime", "give the run"]),
        (export, ["--checkpoint=last"], ["holds one model"]),
    ):
        refused(["predict", model, shared_phantom / "images", "--out", out, *options], *words)
        assert not out.exists()


def test_phantom_into_a_full_folder(phantom):
    refused(["data", "phantom", phantom], "phantom")


def test_data_inside_the_run_folder_is_never_deleted(phantom, tmp_path):
    (phantom.parent / "config.yaml").write_text("")
    call = ["fit", "--data", phantom, "--out", phantom.parent, "--recipe", "supervised"]
    refused([*call, "--overwrite"], "inside the run folder")
    assert (phantom / "cases.csv").is_file()


def test_an_ignore_label_that_is_a_class(refuses_fit, phantom):
    text = (phantom / "dataset.json").read_text()
    (phantom / "dataset.json").write_text(text.replace('"ignore_label": 255', '"ignore_label": 0'))
    refuses_fit(phantom, "ignore_label", "from 1 to 255")
