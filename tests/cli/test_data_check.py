"""`tfadvseg data check`: what it prints and writes, its exit statuses, its page."""

import json
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
import SimpleITK as sitk
from click.testing import CliRunner

from tfadvseg.cli import main
from tfadvseg.data.formats.raster import write_png
from tfadvseg.pictures import PALETTE


def call(*arguments, status=0):
    result = CliRunner().invoke(main, ["data", "check", *map(str, arguments)])
    assert result.exit_code == status, (result.output, result.exception)
    return result


@pytest.fixture
def page_of(read_page, tmp_path):
    """The page of a data folder."""

    def make(root, status=0):
        call(root, "--report", tmp_path / "page.html", status=status)
        return read_page(tmp_path / "page.html")

    return make


def lines_of(result):
    return [line for line in result.output.splitlines() if line.strip()]


def colours(picture):
    return {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}


def test_a_sound_folder(phantom):
    result = call(phantom, "--folds", 2)
    assert result.stderr == ""
    for words in ("12 cases, 12 slices, 4 patients", "3 slices, 1 patient", "1x48x48 (12)"):
        assert words in result.stdout
    assert re.search(r"2 pulmonary artery +│ +0\.\d{3}% │ +\d+ │ +4 │", result.stdout)


def test_names_are_printed_as_they_are(phantom):
    """Not as marks of Rich, which takes brackets for styles and colons for pictures."""
    name = "aorta [left] :heart: [/b]"
    text = (phantom / "dataset.json").read_text()
    (phantom / "dataset.json").write_text(text.replace('"aorta"', f'"{name}"'))
    assert name in call(phantom, "--folds", 2).stdout


def test_warnings_leave_the_status_at_0(phantom):
    result = call(phantom, "--folds", 5)
    assert re.fullmatch(r"Warning: classes in the masks of fewer .*\n", result.stderr)
    assert "12 cases" in result.stdout


def test_three_broken_files_are_all_named(phantom):
    files = sorted((phantom / "images").iterdir())[:3]
    for file in files:
        file.write_bytes(file.read_bytes()[:40])
    result = call(phantom, status=2)
    assert all(file.name in result.stderr for file in files)
    assert len(lines_of(result)) == 2
    assert result.stderr.startswith("Error: 3 files in ")
    assert result.stdout == f"{phantom}: 12 cases, 3 errors, 1 warning\n"


def test_a_patient_in_two_splits_is_one_line(phantom):
    table = phantom / "cases.csv"
    table.write_text(table.read_text().replace("train", "test", 1))
    result = call(phantom, status=2)
    assert len(lines_of(result)) == 1 and "in two splits" in result.stderr


def test_the_same_picture_in_training_and_test(phantom):
    images = sorted((phantom / "images").iterdir())
    images[0].write_bytes(images[-1].read_bytes())
    result = call(phantom, status=2)
    assert len(lines_of(result)) == 2
    assert f"labelled and test (1): {images[0].stem} = {images[-1].stem}" in result.stderr


def test_json_and_report_are_written_with_errors_too(read_page, phantom, tmp_path):
    first = sorted((phantom / "masks").iterdir())[0]
    cv2.imwrite(str(first), np.full((48, 48), 9, np.uint8))
    target = tmp_path / "check.json"
    result = call(phantom, "--json", target, "--report", tmp_path / "check.html", status=2)
    assert f"Wrote {target}\n" in result.stdout
    assert f"Wrote {tmp_path / 'check.html'}\n" in result.stdout
    (error,) = json.loads(target.read_text())["errors"]
    assert (error["kind"], error["cases"]) == ("class", [first.stem])
    assert f"Error: {error['text']}\n" == result.stderr
    assert error["text"] in read_page(tmp_path / "check.html").text
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "check.html",
        "check.json",
        "phantom",
    ]


def test_a_pool_and_the_patients_of_a_pattern(phantom, tmp_path):
    pool = tmp_path / "pool"
    for number in range(2):
        write_png(pool / f"new7_{number}.png", np.full((48, 48), number, np.uint8))
    result = call(phantom, "--unlabelled", pool, "--folds", 2, "--patient-pattern", r"(new\d)")
    assert re.search(r"unlabelled +│ 2 cases, 2 slices, 1 patient ", result.stdout)
    assert "known patient" not in result.stderr
    assert "2 of 14 images hold one value only: new7_0, new7_1" in result.stderr


@pytest.mark.parametrize("option", ["--json", "--report"])
def test_a_file_that_cannot_be_written_is_refused_at_once(phantom, tmp_path, option):
    result = call(phantom, option, tmp_path / "none" / "file", status=2)
    assert "there is no folder" in result.stderr and len(lines_of(result)) == 1
    if sys.platform == "linux":  # not even root may write there
        assert "nothing can be written" in call(phantom, option, "/proc/f", status=2).stderr
    assert "is a folder" in call(phantom, option, tmp_path, status=2).stderr


@pytest.mark.parametrize("option", ["--json", "--report"])
def test_a_file_of_another_kind_is_not_replaced(phantom, tmp_path, option):
    table, own = (phantom / "cases.csv").read_bytes(), tmp_path / "own"
    result = call(phantom, option, phantom / "cases.csv", status=2)
    assert "it would be lost" in result.stderr and len(lines_of(result)) == 1
    assert (phantom / "cases.csv").read_bytes() == table
    for _ in range(2):  # the second time it is its own file
        assert f"Wrote {own}" in call(phantom, option, own).stdout


def test_page_has_the_summary_and_an_overlay_of_each_case(page_of, phantom, tmp_path):
    page = page_of(phantom)
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in (
        page.elements
    )
    for words in ("No errors.", "1 warning", "12 of 12 cases", "phantom003_slice02", "48x48"):
        assert words in page.text
    pictures = page.pictures().values()
    assert len(pictures) == 12 and {picture.shape for picture in pictures} == {(192, 192, 3)}
    assert all(tuple(PALETTE[1].tolist()) in colours(picture) for picture in pictures)
    assert "rgb(230, 159, 0)" in (tmp_path / "page.html").read_text()


def test_names_on_the_page_are_escaped(page_of, tmp_path):
    root = tmp_path / "<i>data&"
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for number in range(2):
        write_png(root / "images" / f"<b>{number}&.png", image + number)
        write_png(root / "masks" / f"<b>{number}&.png", np.eye(8, dtype=np.uint8))
    (root / "cases.csv").write_text('file,patient\n<b>0&.png,"<u>"\n<b>1&.png,[red]\n')
    labels = {"background": 0, "<script>alert(1)</script> [bold]": 1}
    (root / "dataset.json").write_text(json.dumps({"labels": labels}))
    page = page_of(root)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"b", "i", "u", "script"}
    for name in ("<b>0&", "<u>", "<i>data&", "<script>alert(1)</script> [bold]"):
        assert name in page.text
    assert "<script>alert(1)</script> [bold]" in call(root).stdout
    (root / "images" / "<b>0&.png").write_bytes(b"")
    assert "images/<b>0&.png: " in page_of(root, status=2).text


def test_a_volume_is_shown_by_the_slice_with_the_most_foreground(page_of, tmp_path):
    root = tmp_path / "data"
    for number in range(2):
        image = sitk.GetImageFromArray(np.zeros((5, 10, 20), np.int16) + np.arange(20))
        labels = np.zeros((5, 10, 20), np.uint8)
        labels[3 - number, 2:8, 4:16] = 2
        labels[:, 0] = 255
        mask = sitk.GetImageFromArray(labels)
        for folder, volume in (("images", image), ("masks", mask)):
            volume.SetSpacing((2, 8, 40))
            (root / folder).mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(volume, str(root / folder / f"v{number}.nii.gz"))
    page = page_of(root)
    assert "slice 4 of 5" in page.text and "slice 3 of 5" in page.text
    for picture in page.pictures().values():
        assert picture.shape == (192, 96, 3)
        assert tuple(PALETTE[2].tolist()) in colours(picture)
        ignored = PALETTE[(255 - 1) % (len(PALETTE) - 1) + 1]
        assert tuple(ignored.tolist()) not in colours(picture)


def test_at_most_sixty_pictures_evenly_over_the_patients(page_of, tmp_path):
    root = tmp_path / "data"
    rows = ["file,patient"]
    for patient, number in ((0, 40), (1, 25), (2, 3)):
        for index in range(number):
            name = f"p{patient}_{index:02d}.png"
            write_png(root / "images" / name, np.eye(6, dtype=np.uint8) * (index + 40 * patient))
            rows.append(f"{name},p{patient}")
            if patient == 0:
                mask = np.zeros((6, 6), np.uint8)
                mask[0, : index % 2 + 1] = 1
                write_png(root / "masks" / name, mask)
    (root / "cases.csv").write_text("\n".join(rows) + "\n")
    page = page_of(root)
    shown = re.findall(r"(p\d_\d\d)", page.text.partition("Contours of the mask")[2])
    assert "43 of 68 cases" in page.text and len(page.pictures()) == len(shown) == 43
    assert [sum(name.startswith(f"p{patient}") for name in shown) for patient in range(3)] == [
        20,
        20,
        3,
    ]
    assert all(int(name[-1]) % 2 for name in shown[:20])


def test_the_command_as_a_process_without_tensorflow(phantom, tmp_path):
    script = (
        "import sys\n"
        "from tfadvseg.cli import main\n"
        "try:\n"
        f"    main(['data', 'check', {str(phantom)!r}, '--report', 'r.html', '--json', 'r.json'])\n"
        "except SystemExit as end:\n"
        "    assert 'tensorflow' not in sys.modules\n"
        "    sys.exit(end.code)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    assert len(result.stderr.splitlines()) == 1 and "Wrote r.json\nWrote r.html" in result.stdout
    assert json.loads((tmp_path / "r.json").read_text())["cases"] == 12
    sorted((phantom / "images").iterdir())[0].write_bytes(b"")
    command = [sys.executable, "-m", "tfadvseg.cli", "data", "check", str(phantom)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1


def test_an_image_in_place_of_a_mask_is_named_where_nobody_names_the_classes(phantom):
    (phantom / "dataset.json").unlink()
    image = sorted((phantom / "images").iterdir())[0]
    (phantom / "masks" / image.name).write_bytes(image.read_bytes())
    result = call(phantom, status=2)
    assert f"{image.name}: " in result.stderr and "an image in place of a mask?" in result.stderr
