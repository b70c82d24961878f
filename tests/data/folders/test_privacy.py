"""Names and IDs of DICOM headers stay where they are, unless somebody asks for them."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from tfadvseg.cli import main
from tfadvseg.config import Config
from tfadvseg.data.formats.volumes import write_volume
from tfadvseg.data.image import Image
from tfadvseg.data.io import read_image
from tfadvseg.preparation import prepare

PEOPLE = ("Quellmann^Annabella", "Rosenthal^Bertholdine", "Vandenberg^Carlottina")
# Long enough that no number and no picture has them by chance.
SECRETS = ("ID-4711", *(name for person in PEOPLE for name in person.split("^")))


@pytest.fixture
def folder(tmp_path, write_series):
    """Three patients' series with masks; one folder is named by the patient's ID and name."""
    root = tmp_path / "data"
    (root / "masks").mkdir(parents=True)
    for number, person in enumerate(PEOPLE):
        name = f"ID-4711-{number}_quellmann" if number == 0 else f"scan{number}"
        header = {"PatientName": person, "PatientID": f"ID-4711-{number}"}
        uid = {"SeriesInstanceUID": f"1.2.{number}", "seed": number}
        write_series(root / "images" / name, **header, **uid)
        image = read_image(root / "images" / name)
        labels = np.indices(image.voxels.shape[:3]).sum(axis=0).astype(np.uint8) % 3
        write_volume(root / "masks" / f"{name}.nii.gz", Image(labels, image.geometry))
    return root


def told(result, *folders):
    """Which secrets stand in the output or in a file, by its name or by its content."""
    texts = [result.output.encode()]
    for path in (path for folder in folders for path in folder.rglob("*")):
        texts += [path.name.encode(), path.read_bytes() if path.is_file() else b""]
    return {secret for secret in SECRETS for text in texts if secret.encode() in text}


def run(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.slow
def test_a_run_tells_no_name_and_no_id(tmp_path, folder, tiny_options):
    out = tmp_path / "run"
    fit = run("fit", "--data", folder, "--out", out, "--recipe=supervised", *tiny_options)
    assert told(fit, out) == set()
    patients = json.loads((out / "split.json").read_text())["patients"]
    names = {name for part in patients.values() for name in part}
    assert len(names) == 3 and all(name.startswith("patient-") for name in names)
    assert told(run("evaluate", out, "--json", tmp_path / "scores.json")) == set()
    files = ["--json", tmp_path / "check" / "c.json", "--report", tmp_path / "check" / "c.html"]
    (tmp_path / "check").mkdir()
    assert told(run("data", "check", folder, *files), tmp_path / "check") == set()
    _, again = prepare(Config(data=str(folder), recipe="supervised"))
    assert again.to_json()["patients"] == patients


@pytest.mark.slow
def test_who_asks_for_identifiers_gets_them(tmp_path, folder, tiny_options):
    out = tmp_path / "run"
    options = ("--recipe=supervised", "--keep-identifiers", *tiny_options, "--set=steps=2")
    run("fit", "--data", folder, "--out", out, *options)
    patients = json.loads((out / "split.json").read_text())["patients"]
    assert {name for part in patients.values() for name in part} == {
        f"ID-4711-{k}" for k in range(3)
    }
