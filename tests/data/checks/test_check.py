import csv
import hashlib
import json
import warnings

import cv2
import numpy as np
import pytest
import SimpleITK as sitk
from click.testing import CliRunner

from tfadvseg.cli import main
from tfadvseg.config import Config
from tfadvseg.data.checks.check import check_data, summary
from tfadvseg.data.checks.facts import inspect, inspect_all
from tfadvseg.data.checks.faults import find_errors
from tfadvseg.data.checks.findings import Finding, by_part, lines, unusable
from tfadvseg.data.checks.oddities import find_warnings
from tfadvseg.data.folders.cases import Case, read_data_folder, read_unlabelled_folder
from tfadvseg.data.folders.split import split_cases
from tfadvseg.data.formats.raster import write_png
from tfadvseg.data.image import Source
from tfadvseg.errors import InputError

SPLITS = {"p0": "train", "p1": "train", "p2": "val", "p3": "test"}
KEYS = (
    "data unlabelled cases unusable slices patients parts sizes spacings_mm orientations channels "
    "dtypes intensity classes errors warnings per_case"
).split()
CASE_KEYS = (
    "case patient part size spacing_mm orientation channels dtype intensity constant pixels digest"
).split()


def picture(seed, low=0, high=200, size=(8, 8)):
    return np.random.default_rng(seed).integers(low, high, size, np.uint8)


def mask(*indices, size=(8, 8)):
    pixels = np.zeros(size, np.uint8)
    pixels[0, : len(indices)] = indices
    return pixels


def write_table(root, patients, splits=SPLITS):
    with (root / "cases.csv").open("w", newline="") as stream:
        rows = [[f"{name}.png", patient, splits.get(patient)] for name, patient in patients.items()]
        csv.writer(stream).writerows([["file", "patient", "split"], *rows])


def make_folder(root, images=None, masks=None, splits=SPLITS, labels=("background", "a", "b")):
    """Four patients of two pictures, `p0_0` to `p3_1`; what is given replaces or adds."""
    names = [f"p{patient}_{number}" for patient in range(4) for number in range(2)]
    images = {name: picture(seed) for seed, name in enumerate(names)} | (images or {})
    masks = {name: mask(1, 2) for name in names} | (masks or {})
    for part, files in (("images", images), ("masks", masks)):
        for name, pixels in files.items():
            if pixels is not None:
                write_png(root / part / f"{name}.png", pixels)
    write_table(root, {name: name.partition("_")[0] for name in images}, splits)
    if labels:
        content = {"labels": {name: index for index, name in enumerate(labels)}}
        (root / "dataset.json").write_text(json.dumps(content))
    return root


def write_nifti(path, voxels, spacing=(1, 1, 1), origin=(0, 0, 0), direction=(1, 1, 1)):
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(np.diag(np.array(direction, float)).ravel().tolist())
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


def make_volumes(root, number=2, **second):
    """Volumes with masks; the last lies on another grid."""
    for index in range(number):
        grid = second if index == number - 1 else {}
        voxels = np.random.default_rng(index).integers(-1000, 1000, (3, 4, 5)).astype(np.int16)
        write_nifti(root / "images" / f"v{index}.nii.gz", voxels, **grid)
        write_nifti(root / "masks" / f"v{index}.nii.gz", (voxels > 0).astype(np.uint8), **grid)
    rows = "".join(f"v{index}.nii.gz,v{index}\n" for index in range(number))
    (root / "cases.csv").write_text("file,patient\n" + rows)
    return root


def check(root, folds=2, **settings):
    return check_data(Config(data=str(root), **settings), folds)


def kinds(findings):
    return [finding.kind for finding in findings]


def only(findings, kind):
    """The single finding, which must be of this kind."""
    assert kinds(findings) == [kind], findings
    return findings[0]


def test_a_sound_folder_has_no_finding(tmp_path):
    result = check(make_folder(tmp_path))
    assert result.errors == result.warnings == ()
    assert {part: len(facts) for part, facts in result.parts.items()} == {
        "labelled": 4,
        "unlabelled": 0,
        "val": 2,
        "test": 2,
        "left_out": 0,
    }


def test_facts_of_a_picture(tmp_path):
    pixels = np.array([[0, 255, 10], [20, 30, 40]], np.uint8)
    labels = np.array([[0, 0, 1], [3, 3, 255]], np.uint8)
    for name, content in (("i", pixels), ("copy", pixels), ("m", labels), ("t", pixels.T.copy())):
        write_png(tmp_path / f"{name}.png", content)
    facts = inspect(Case("i", Source((tmp_path / "i.png",)), tmp_path / "m.png", "p"))
    assert (facts.size, facts.channels, facts.dtype) == ((1, 2, 3), 1, "uint8")
    assert facts.spacing_mm is None and facts.orientation is None and not facts.constant
    assert facts.intensity[::2] == (0, 25, 255)
    assert facts.intensity[1::2] == tuple(np.percentile(pixels, (0.5, 99.5)))
    assert facts.saturated == pytest.approx(2 / 6)
    assert facts.labels == {0: 2, 1: 1, 3: 2, 255: 1}
    digest = hashlib.blake2b(
        b"(1, 2, 3, 1)" + pixels.astype("f4").tobytes(), digest_size=16
    ).hexdigest()
    assert facts.digest == digest
    others = [inspect(Case(n, Source((tmp_path / f"{n}.png",)), None, "p")) for n in ("copy", "t")]
    assert [other.digest == digest for other in others] == [True, False]
    assert others[0].labels is None


def test_facts_of_a_volume(tmp_path):
    voxels = np.arange(24).reshape(2, 3, 4).astype(np.float32)
    path = write_nifti(tmp_path / "v.nii", voxels, (0.5, 0.75, 3), direction=(-1, -1, 1))
    facts = inspect(Case("v", Source((path,)), None, "p"))
    assert (facts.size, facts.spacing_mm) == ((2, 3, 4), (3, 0.75, 0.5))
    assert (facts.orientation, facts.saturated) == ("RAS", None)
    sagittal = inspect(Case("v", Source((path,)), None, "p"), "sagittal")
    assert (sagittal.size, sagittal.spacing_mm) == ((4, 2, 3), (0.5, 3, 0.75))
    assert sagittal.digest == facts.digest


def test_all_files_that_cannot_be_used_are_named(tmp_path):
    root = make_folder(tmp_path / "data")
    files = [root / "images" / "p0_0.png", root / "masks" / "p1_1.png", root / "masks" / "p3_0.png"]
    files[0].write_bytes(files[0].read_bytes()[:40])
    cv2.imwrite(str(files[1]), np.dstack([mask(1), mask(2), mask(0)]))
    cv2.imwrite(str(files[2]), mask(1).astype(np.uint16) * 700)
    result = check(root)
    assert kinds(result.errors) == ["file"] * 3
    assert [finding.cases for finding in result.errors] == [("p0_0",), ("p1_1",), ("p3_0",)]
    for file, finding in zip(files, result.errors, strict=True):
        assert finding.text.startswith(f"{file}: ")
    (line,) = lines(result.errors)
    assert line.startswith(f"3 files in {root} cannot be used: images/p0_0.png: truncated")
    assert "masks/p1_1.png: expected a grey mask" in line and "masks/p3_0.png" in line
    assert result.found == 8 and len(result.facts) == 5


def test_a_mask_without_an_image_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"stray without an image"):
        check(make_folder(tmp_path, masks={"stray": mask(1)}))


def test_a_patient_in_two_splits_is_refused(tmp_path):
    root = make_folder(tmp_path)
    table = root / "cases.csv"
    table.write_text(table.read_text().replace("p0_1.png,p0,train", "p0_1.png,p0,test"))
    with pytest.raises(InputError, match="p0 is in two splits"):
        check(root)


def test_a_mask_of_another_size(tmp_path):
    root = make_folder(tmp_path, masks={"p1_0": mask(1, size=(6, 9))})
    text = only(check(root).errors, "file").text
    assert "p1_0.png: the mask lies on another grid" in text
    assert "size 9x6 against 8x8 pixels" in text


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"spacing": (1, 1, 2)}, "spacing"),
        ({"origin": (0, 3, 0)}, "origin"),
        ({"direction": (-1, -1, 1)}, "directions"),
    ],
)
def test_a_mask_of_another_geometry(tmp_path, grid, words):
    root = make_volumes(tmp_path)
    write_nifti(root / "masks" / "v1.nii.gz", np.ones((3, 4, 5), np.uint8), **grid)
    finding = only(check(root).errors, "file")
    assert words in finding.text and "v1.nii.gz" in finding.text


@pytest.mark.parametrize("value", [0.5, -1, 700])
def test_a_mask_of_other_than_indices(tmp_path, value):
    root = make_volumes(tmp_path)
    write_nifti(root / "masks" / "v0.nii.gz", np.full((3, 4, 5), value, np.float32))
    assert "expected class indices" in only(check(root).errors, "file").text


def test_unknown_classes_but_not_the_ignored_value(tmp_path):
    masks = {"p0_0": mask(1, 2, 3), "p0_1": mask(1, 2, 255), "p2_0": mask(9, 2, 1)}
    root = make_folder(tmp_path, masks=masks)
    finding = only(check(root).errors, "class")
    assert finding.cases == ("p0_0", "p2_0")
    assert "p0_0.png" in finding.text and "class index 9 is beyond the 3 classes" in finding.text
    assert check(root, ignore_label=9, classes=["o", "a", "b", "c"]).errors[0].cases == ("p0_1",)


def every_mask(*indices):
    return {f"p{p}_{number}": mask(*indices) for p in range(4) for number in range(2)}


@pytest.mark.parametrize("labels", [(), ("background", "a", "b")])
def test_masks_without_any_class(tmp_path, labels):
    root = make_folder(tmp_path / "binary", masks=every_mask(0, 255), labels=labels)
    finding = only(check(root).errors, "class")
    assert "4 of 4 hold 0 and 255 alone, and 255 is the ignored value" in finding.text
    assert finding.text.endswith("write 1 instead of 255") and "p2_0" not in finding.cases
    root = make_folder(tmp_path / "empty", masks=every_mask(0), labels=labels)
    assert "every mask to train on is empty (4 masks)" in only(check(root).errors, "class").text


def test_a_class_that_is_the_ignored_value(tmp_path):
    root = make_folder(tmp_path, masks=every_mask(1), labels=())
    finding = only(check(root, ignore_label=1).errors, "class")
    assert finding.text.endswith("1 is the ignored value; set another ignore_label")


def test_masks_that_only_judge_may_be_empty(tmp_path):
    masks = {name: pixels for name, pixels in every_mask(0, 255).items() if name[1] in "23"}
    assert kinds(check(make_folder(tmp_path, masks=masks)).errors) == []


def test_images_with_other_channels_than_most(tmp_path):
    colour = np.dstack([picture(9), picture(10), picture(11)])
    root = make_folder(tmp_path, {"p1_0": colour})
    finding = only(check(root).errors, "channels")
    assert finding.cases == ("p1_0",)
    assert "p1_0.png: 3 channel(s), expected 1 as in p0_0.png" in finding.text


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("p0_0", "p3_1"), "labelled and test"),
        (("p1_1", "p2_0"), "labelled and val"),
        (("p2_0", "p3_0"), "val and test"),
        (("u0_0", "p3_0"), "unlabelled and test"),
    ],
)
def test_the_same_picture_on_two_sides_of_the_split(tmp_path, names, parts):
    root = make_folder(tmp_path, {name: picture(77) for name in names})
    finding = only(check(root).errors, "leak")
    assert set(finding.cases) == set(names) and f"same pictures in {parts} (1)" in finding.text


def test_the_same_picture_in_the_pool_and_in_the_test_split(tmp_path):
    root = make_folder(tmp_path / "data", {"p3_0": picture(77)})
    write_png(tmp_path / "pool" / "new.png", picture(77))
    (tmp_path / "pool" / "cases.csv").write_text("file,patient\nnew.png,n\n")
    finding = only(check(root, unlabelled=str(tmp_path / "pool")).errors, "leak")
    assert "unlabelled and test (1): new = p3_0" in finding.text


def test_pictures_of_one_name_are_told_by_their_folders(tmp_path):
    root = make_folder(tmp_path / "data")
    for name, seed in (("p0_0", 0), ("new", 1)):
        write_png(tmp_path / "pool" / f"{name}.png", picture(seed))
    (tmp_path / "pool" / "cases.csv").write_text("file,patient\np0_0.png,p0\nnew.png,p0\n")
    finding = only(check(root, unlabelled=str(tmp_path / "pool")).warnings, "twice")
    same = "data/images/p0_0 = pool/p0_0"
    assert f"(2): {same}, p0_1 = new; keep one" in finding.text


def test_constant_images_are_odd_and_no_leak(tmp_path):
    black = np.zeros((8, 8), np.uint8)
    result = check(make_folder(tmp_path, {"p0_0": black, "p3_0": black}))
    assert result.errors == ()
    assert only(result.warnings, "constant").cases == ("p0_0", "p3_0")


@pytest.mark.parametrize(
    ("other", "words"), [("p0_1", "once (1)"), ("p1_0", "patients"), ("u0_0", "patients")]
)
def test_the_same_picture_twice_on_one_side(tmp_path, other, words):
    root = make_folder(tmp_path, {"p0_0": picture(77), other: picture(77)})
    finding = only(check(root).warnings, "twice")
    assert finding.cases == ("p0_0", other) and words in finding.text
    assert check(root).errors == ()


def test_empty_masks(tmp_path):
    root = make_folder(tmp_path, masks={"p0_0": mask(0), "p2_1": mask(255, 255)})
    finding = only(check(root).warnings, "empty")
    assert finding.cases == ("p0_0", "p2_1")
    assert "2 of 8 masks" in finding.text and "1 of them hold the ignored value" in finding.text


def test_no_mask_at_all(tmp_path):
    root = make_folder(tmp_path, masks={f"p{p}_{n}": None for p in range(4) for n in range(2)})
    result = check(root)
    assert kinds(result.warnings) == ["left_out", "no_mask"] and result.errors == ()
    assert result.warnings[0].cases == ("p3_0", "p3_1")
    assert len(result.parts["unlabelled"]) == 6 and len(result.parts["left_out"]) == 2


def test_one_patient_only(tmp_path):
    root = make_folder(tmp_path)
    names = {path.stem: "only" for path in (root / "images").iterdir()}
    write_table(root, names, splits={})
    result = check(root)
    assert kinds(result.warnings) == ["patients", "rare"]


def test_classes_in_fewer_patients_than_folds_and_in_no_training_mask(tmp_path):
    masks = {f"p{patient}_{number}": mask(1) for patient in (0, 1, 3) for number in range(2)}
    result = check(make_folder(tmp_path, masks=masks), folds=3)
    assert kinds(result.warnings) == ["absent", "rare"]
    assert "b: in none of the 4 masks" in result.warnings[0].text
    assert "3 folds" in result.warnings[1].text and "(b 1)" in result.warnings[1].text


def test_unknown_patients(tmp_path):
    root = make_folder(tmp_path)
    (root / "cases.csv").unlink()
    assert "no known patient" in only(check(root).warnings, "folder").text
    assert check(root, patient_pattern=r"^(p\d)_").warnings == ()


def test_warnings_of_libraries_go_on_their_way(tmp_path):
    root = make_folder(tmp_path)
    (root / "cases.csv").unlink()
    with pytest.warns(FutureWarning, match="nested set"):
        assert check(root, patient_pattern=r"^([[p]\d)_").warnings == ()


def test_test_images_without_masks_are_told(tmp_path):
    """nnU-Net's imagesTs without labelsTs."""
    for name in ("imagesTr/a1_0000", "imagesTr/b1_0000", "imagesTs/c1_0000"):
        write_nifti(tmp_path / f"{name}.nii.gz", np.arange(60).reshape(3, 4, 5) + ord(name[9]))
    for name in ("a1", "b1"):
        write_nifti(tmp_path / "labelsTr" / f"{name}.nii.gz", np.eye(5, dtype=np.uint8)[None, :4])
    names = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1}}
    (tmp_path / "dataset.json").write_text(json.dumps(names | {"file_ending": ".nii.gz"}))
    result = check(tmp_path, patient_pattern="^(..)")
    assert kinds(result.errors) == ["file", "file"] and "size 5x4x1" in result.errors[0].text
    assert "1 test images without masks" in only(result.warnings, "left_out").text


def test_mixed_spacing_and_orientation(tmp_path):
    spaced = check(make_volumes(tmp_path / "a", spacing=(1, 1, 2.5)))
    assert "from 1x1x1 to 2.5x1x1 mm" in only(spaced.warnings, "spacing").text
    assert check(make_volumes(tmp_path / "b", spacing=(1, 1, 1.04))).warnings == ()
    turned = check(make_volumes(tmp_path / "c", direction=(-1, -1, 1)))
    assert "LPS in 1, RAS in 1" in only(turned.warnings, "orientation").text


def test_pictures_among_volumes(tmp_path):
    root = make_volumes(tmp_path)
    write_png(root / "images" / "w.png", picture(0))
    (root / "cases.csv").write_text((root / "cases.csv").read_text() + "w.png,w\n")
    assert "1 of 3 images are pictures" in only(check(root).warnings, "spacing").text


def test_voxels_that_are_no_numbers_are_told_once(tmp_path):
    root = make_volumes(tmp_path)
    voxels = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    voxels[0, 0, 0] = np.nan
    (root / "images" / "v0.nii.gz").unlink()
    write_nifti(root / "images" / "v0.mha", voxels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        finding = only(check(root).warnings, "reading")
    assert finding.text.startswith(f"{root / 'images' / 'v0.mha'}: 1 voxels are no numbers")


def test_images_that_are_windowed_unlike_the_others(tmp_path):
    hard = {
        f"p1_{n}": np.where(picture(n) > 99, picture(n + 9), 0).astype(np.uint8) for n in (0, 1)
    }
    finding = only(check(make_folder(tmp_path / "a", hard)).warnings, "windowing")
    assert finding.cases == ("p1_0", "p1_1") and "1 patients (p1)" in finding.text
    bright = {f"p1_{number}": picture(number, 180, 250) for number in range(2)}
    finding = only(check(make_folder(tmp_path / "b", bright)).warnings, "windowing")
    assert "is the median grey value" in finding.text
    alike = {f"p1_{number}": picture(number, 50, 250) for number in range(2)}
    assert check(make_folder(tmp_path / "c", alike)).warnings == ()


def test_groups_that_are_windowed_unlike_the_others_do_not_hide_each_other(tmp_path):
    images = {f"p{p}_{n}": picture(p + 20 * n) for p in range(4, 10) for n in range(2)}
    images |= {f"p7_{n}": picture(n, 180, 250) for n in range(2)}
    images |= {f"p8_{n}": picture(n, 0, 20) for n in range(2)}
    images |= {f"p9_{n}": np.where(picture(n) > 9, 255, 0).astype(np.uint8) for n in range(2)}
    images |= {f"p1_{n}": picture(n + 50, 0, 20) for n in range(2)}
    found = [f for f in check(make_folder(tmp_path, images)).warnings if f.kind == "windowing"]
    assert [sorted({name[:2] for name in finding.cases}) for finding in found] == [
        ["p9"],
        ["p1", "p7", "p8"],
    ]
    assert all("unlike the 6 others" in finding.text for finding in found)


def test_the_phantom_is_windowed_alike(phantom):
    assert check(phantom).warnings == ()


def test_unlabelled_images_of_test_patients_are_left_out_aloud(tmp_path):
    root = make_folder(tmp_path, {"p3_9": picture(99), "p3_8": picture(0)})
    result = check(root)
    assert only(result.warnings, "left_out").cases == ("p3_8", "p3_9")
    assert result.errors == () and len(result.parts["left_out"]) == 2


def test_val_patients_without_masks_train_as_in_fit(tmp_path):
    root = make_folder(tmp_path)
    for mask in (root / "masks").glob("p2_*"):
        mask.unlink()
    result = check(root)
    assert {fact.case.patient for fact in result.parts["unlabelled"]} >= {"p2"}
    assert not [finding for finding in result.warnings if finding.kind == "left_out"]
    split = split_cases(read_data_folder(root, r"(p\d)"), (), Config())
    assert "p2" in {case.patient for case in split.unlabelled}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint16"])
def test_the_same_picture_as_another_type_is_the_same(tmp_path, dtype):
    voxels = np.random.default_rng(0).integers(0, 3000, (3, 8, 8))
    files = []
    for name, kind in (("a", "int16"), ("b", dtype)):
        files.append(tmp_path / f"{name}.nii.gz")
        sitk.WriteImage(sitk.GetImageFromArray(voxels.astype(kind)), str(files[-1]))
    facts, _ = inspect_all([Case(path.name, Source((path,)), None, "p") for path in files])
    assert facts[0].digest == facts[1].digest
    sitk.WriteImage(sitk.GetImageFromArray((voxels + 1).astype(dtype)), str(files[1]))
    facts, _ = inspect_all([Case(path.name, Source((path,)), None, "p") for path in files])
    assert facts[0].digest != facts[1].digest


def test_a_split_made_by_fit_is_checked_by_its_parts(tmp_path):
    root = make_folder(tmp_path / "data", {"p1_0": picture(77)}, splits={})
    write_png(tmp_path / "pool" / "p9.png", picture(77))
    pool = read_unlabelled_folder(tmp_path / "pool", r"(p\d)")
    split = split_cases(read_data_folder(root), pool, Config(test_patients=["p1"]))
    used = (*split.labelled, *split.unlabelled, *split.val, *split.test)
    facts, broken = inspect_all(used)
    parts = by_part(split, facts)
    assert [len(parts[part]) for part in parts] == [4, 1, 2, 2]
    assert unusable(broken) == []
    assert "unlabelled and test (1)" in only(find_errors(parts), "leak").text
    assert find_warnings(parts) == []


def test_one_line_names_what_fits_and_counts_the_rest():
    single = Finding("class", "class 9")
    many = [Finding("file", f"/d/images/{i}.png: {'x' * 90}", (str(i),)) for i in range(50)]
    assert lines([many[0]]) == [many[0].text]
    assert lines([single, single]) == ["class 9"] * 2
    first, second = lines([*many, single])
    assert first.startswith("50 files in /d/images cannot be used: 0.png: xxx")
    assert len(first) < 650 and first.endswith("and 45 more") and second == "class 9"


def test_every_file_broken(tmp_path):
    root = make_folder(tmp_path)
    for file in (root / "images").iterdir():
        file.write_bytes(b"")
    result = check(root)
    assert len(result.errors) == 8 and result.warnings == ()
    assert summary(result)["intensity"]["median"] is None


def test_summary_is_json_of_the_documented_keys(tmp_path):
    root = make_folder(tmp_path, {"u0_0": picture(50, size=(4, 6))}, {"p0_0": mask(1, 1, 255)})
    content = json.loads(json.dumps(summary(check(root))))
    assert list(content) == KEYS
    assert (content["cases"], content["slices"], content["patients"]) == (9, 9, 5)
    assert content["parts"]["unlabelled"] == {"cases": 1, "slices": 1, "patients": 1}
    assert content["sizes"][1] == {"value": [1, 4, 6], "cases": 1}
    assert content["channels"] == [{"value": 1, "cases": 9}]
    total = 8 * 64 - 1
    assert content["classes"][1:] == [
        {"index": 1, "name": "a", "pixels": 9, "share": 9 / total, "cases": 8, "patients": 4},
        {"index": 2, "name": "b", "pixels": 7, "share": 7 / total, "cases": 7, "patients": 4},
    ]
    cases = {case["case"]: case for case in content["per_case"]}
    assert len(cases) == 9 and all(list(case) == CASE_KEYS for case in cases.values())
    assert cases["p0_0"]["pixels"] == {"0": 61, "1": 2, "255": 1}
    assert cases["u0_0"]["pixels"] is None and cases["u0_0"]["part"] == "unlabelled"
    assert list(cases["p0_0"]["intensity"]) == ["minimum", "p0_5", "median", "p99_5", "maximum"]


def test_identifiers_of_dicom_are_told_on_wish_only(tmp_path, write_series):
    root = tmp_path / "data"
    write_series(root / "images" / "ID-4711")
    assert "4711" not in json.dumps(summary(check(root)))
    assert "4711" in json.dumps(summary(check(root, keep_identifiers=True)))


def test_options_for_dicom(tmp_path, write_series):
    folder = tmp_path / "data" / "images" / "scan"
    write_series(folder)
    write_series(tmp_path / "other", (0, 2), SeriesInstanceUID="1.2.3.9", SeriesNumber=8)
    for file in (tmp_path / "other").iterdir():
        file.rename(folder / f"other-{file.name}")
    target = tmp_path / "check.json"
    command = ["data", "check", str(tmp_path / "data"), "--json", str(target)]
    assert CliRunner().invoke(main, command).exit_code == 2
    options = ["--series", "8", "--keep-identifiers"]
    assert CliRunner().invoke(main, [*command, *options]).exit_code == 0
    (case,) = json.loads(target.read_text())["per_case"]
    assert case["size"] == [2, 6, 7] and case["patient"] == "ID-4711"
