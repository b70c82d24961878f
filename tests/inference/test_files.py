"""Volumes, series and pictures in; masks and maps on their own grid out."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import SimpleITK as sitk

from tfadvseg.data.formats.raster import write_png
from tfadvseg.data.image import Image
from tfadvseg.data.io import read_image
from tfadvseg.errors import InputError
from tfadvseg.inference.files import Outputs, find_inputs, predict_files
from tfadvseg.inference.predictor import Predictor

OBLIQUE = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0, 0.0, 0.0, -1.0)


def save(path, voxels, spacing=(0.7, 0.9, 2.5)):
    volume = sitk.GetImageFromArray(voxels)
    volume.SetSpacing(spacing)
    volume.SetOrigin((-71.6582, 255.25, 540.2))
    volume.SetDirection(OBLIQUE)
    path.parent.mkdir(exist_ok=True)
    sitk.WriteImage(volume, str(path))
    return volume


def noise(*shape):
    return np.random.default_rng(0).integers(-500, 500, shape).astype(np.int16)


def same_grid(one, other):
    return one.GetSize() == other.GetSize() and all(
        np.allclose(a, b, atol=1e-5)
        for a, b in (
            (one.GetSpacing(), other.GetSpacing()),
            (one.GetOrigin(), other.GetOrigin()),
            (one.GetDirection(), other.GetDirection()),
        )
    )


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".mha", ".mhd", ".nrrd"])
def test_all_that_is_written_lies_on_the_grid_of_the_volume(
    tmp_path, predictor, suffix, calibration
):
    volume = save(tmp_path / "in" / f"scan{suffix}", noise(5, 40, 30))
    outputs = Outputs(tmp_path / "out", calibration=calibration, probabilities=True, overlay=True)
    (row,) = predict_files(predictor, find_inputs([tmp_path / "in"], outputs), outputs)
    assert row.size == (5, 40, 30) and sum(row.shares) == pytest.approx(1)
    classes = predictor.config.classes
    maps = {name: f"probabilities/{name.replace(' ', '_')}" for name in classes}
    files = {"mask": ".", "confidence": "confidence", **maps}
    found = {
        name: sitk.ReadImage(str(tmp_path / "out" / folder / f"scan{suffix}"))
        for name, folder in files.items()
    }
    assert all(same_grid(volume, image) for image in found.values())
    arrays = {name: sitk.GetArrayFromImage(image) for name, image in found.items()}
    probabilities = np.stack([arrays[name] for name in classes])
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(axis=0), arrays["mask"])
    assert len(np.unique(arrays["mask"])) > 1 and 0 < arrays["confidence"].mean() < 1
    assert row.confidence == pytest.approx(arrays["confidence"].mean(), abs=1e-5)
    picture = cv2.imread(str(tmp_path / "out" / "overlay" / "scan.png"))
    assert picture.shape[0] > 2 * 40 and picture.shape[1] > 2 * 30


def test_a_file_turned_round_gives_the_same_mask_in_the_patient(tmp_path, predictor):
    """The same head, stored from the feet up and from the head down."""
    volume = sitk.GetImageFromArray(noise(5, 40, 30))
    volume.SetSpacing((1, 1, 4))
    (tmp_path / "in").mkdir()
    sitk.WriteImage(volume, str(tmp_path / "in" / "up.nii.gz"))
    sitk.WriteImage(sitk.DICOMOrient(volume, "RAI"), str(tmp_path / "in" / "down.nii.gz"))
    outputs = Outputs(tmp_path / "out")
    predict_files(predictor, find_inputs([tmp_path / "in"], outputs), outputs)
    up, down = (sitk.ReadImage(str(tmp_path / "out" / f"{n}.nii.gz")) for n in ("up", "down"))
    assert up.GetDirection() != down.GetDirection()
    turned = sitk.GetArrayFromImage(sitk.DICOMOrient(down, "LPS"))
    np.testing.assert_array_equal(turned, sitk.GetArrayFromImage(up))


def test_nifti_is_written_for_any_volume_that_asks_for_it(tmp_path, predictor, calibration):
    volume = save(tmp_path / "in" / "scan.mha", noise(2, 20, 30))
    outputs = Outputs(tmp_path / "out", "nifti", calibration=calibration)
    predict_files(predictor, find_inputs([tmp_path / "in"], outputs), outputs)
    for folder in (tmp_path / "out", tmp_path / "out" / "confidence"):
        assert same_grid(volume, sitk.ReadImage(str(folder / "scan.nii.gz")))


def test_pictures_and_pages_keep_their_kind(tmp_path, predictor):
    pixels = (noise(3, 33, 47) % 256).astype(np.uint8)
    folder = tmp_path / "in"
    folder.mkdir()
    assert cv2.imwrite(str(folder / "a.jpg"), pixels[0])
    cv2.imwritemulti(str(folder / "b.tif"), list(pixels))
    outputs = Outputs(tmp_path / "out", probabilities=True)
    rows = predict_files(predictor, find_inputs([folder], outputs), outputs)
    assert [row.size for row in rows] == [(33, 47), (3, 33, 47)]
    mask = cv2.imread(str(tmp_path / "out" / "a.png"), cv2.IMREAD_UNCHANGED)
    _, pages = cv2.imreadmulti(str(tmp_path / "out" / "b.tif"), flags=cv2.IMREAD_UNCHANGED)
    assert mask.shape == (33, 47) and np.stack(pages).shape == (3, 33, 47)
    level = cv2.imread(str(tmp_path / "out/probabilities/aorta/a.png"), cv2.IMREAD_UNCHANGED)
    assert level.dtype == np.uint8 and ((level > 127) <= (mask == 2)).all()


def test_channels_in_files_of_their_own(tmp_path, make_predictor):
    both, folder = noise(2, 4, 20, 30), tmp_path / "in"
    for number in (0, 1):
        save(folder / f"scan_000{number}.nii.gz", both[number])
    predictor, outputs = make_predictor(channels=2), Outputs(tmp_path / "out")
    sources = find_inputs([folder], outputs, channels=2)
    assert [source.files for source in sources] == [
        (folder / "scan_0000.nii.gz", folder / "scan_0001.nii.gz")
    ]
    predict_files(predictor, sources, outputs)
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / "scan.nii.gz")))
    together = Image(np.moveaxis(both, 0, -1), read_image(sources[0]).geometry)
    np.testing.assert_array_equal(mask, predictor.segment(together))
    (folder / "scan_0001.nii.gz").rename(folder / "scan_0002.nii.gz")
    with pytest.raises(InputError, match=r"expected the channels _0000 to _0001, received"):
        find_inputs([folder], outputs, channels=2)


def test_channels_on_the_fourth_axis_of_a_file(tmp_path, make_predictor):
    both = noise(2, 4, 20, 30)
    volume = sitk.JoinSeries([sitk.GetImageFromArray(channel) for channel in both])
    sitk.WriteImage(volume, str(tmp_path / "scan.nii.gz"))
    predictor, outputs = make_predictor(channels=2), Outputs(tmp_path / "out")
    predict_files(predictor, find_inputs([tmp_path / "scan.nii.gz"], outputs, channels=2), outputs)
    mask = sitk.ReadImage(str(tmp_path / "out" / "scan.nii.gz"))
    together = Image(np.moveaxis(both, 0, -1), read_image(tmp_path / "out/scan.nii.gz").geometry)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), predictor.segment(together))


def test_a_wished_pixel_size_needs_and_uses_the_spacing(tmp_path, make_predictor):
    """The same tissue on pixels of 1 and of 2 mm gives the same picture to the networks."""
    predictor = make_predictor(spacing_mm=2.0)
    coarse = np.kron(noise(1, 8, 8), np.ones((1, 4, 4), np.int16))
    fine = np.kron(coarse, np.ones((1, 2, 2), np.int16))
    seen = [
        predictor.chain.preprocessing.images(voxels[..., None].astype(np.float32), (mm, mm)).numpy()
        for voxels, mm in ((coarse, 2.0), (fine, 1.0))
    ]
    other = predictor.chain.preprocessing.images(
        fine[..., None].astype(np.float32), (2.0, 2.0)
    ).numpy()
    # The edges of the tissue are averaged over other pixels, so the two are not quite the same.
    assert np.abs(seen[0] - seen[1]).mean() < 0.1 < np.abs(seen[0] - other).mean()
    cv2.imwrite(str(tmp_path / "a.png"), fine[0].astype(np.uint8))
    outputs = Outputs(tmp_path / "out")
    with pytest.raises(InputError, match=r"a\.png: expected an image that says its pixel size"):
        predict_files(predictor, find_inputs([tmp_path / "a.png"], outputs), outputs)


def test_nothing_is_written_where_one_image_does_not_fit(tmp_path, predictor):
    save(tmp_path / "in" / "a.nii.gz", noise(2, 20, 30))
    save(tmp_path / "in" / "b.nii.gz", noise(2, 20, 30))
    content = (tmp_path / "in" / "b.nii.gz").read_bytes()
    (tmp_path / "in" / "b.nii.gz").write_bytes(content[:-30])
    outputs = Outputs(tmp_path / "out")
    with pytest.raises(InputError, match=r"b\.nii\.gz: truncated or damaged"):
        predict_files(predictor, find_inputs([tmp_path / "in"], outputs), outputs)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("format", "words"),
    [("nifti", "needs an image that says"), ("dicom-seg", "needs DICOM images")],
)
def test_formats_that_an_image_cannot_have(tmp_path, predictor, format, words):
    cv2.imwrite(str(tmp_path / "a.png"), noise(20, 30).astype(np.uint8))
    outputs = Outputs(tmp_path / "out", format)
    with pytest.raises(InputError, match=rf"a\.png: --format {format} {words}"):
        predict_files(predictor, find_inputs([tmp_path / "a.png"], outputs), outputs)


def test_masks_that_would_have_one_name_are_refused(tmp_path):
    for name in ("one/a.nii", "two/a.mha"):
        save(tmp_path / name, noise(2, 4, 5))
    with pytest.raises(InputError, match="would both give the mask a"):
        find_inputs([tmp_path / "one", tmp_path / "two"], Outputs(tmp_path / "out"))


def renamed(predictor, *classes):
    config = predictor.config.replace(classes=("background", *classes))
    return Predictor(predictor.model, config)


@pytest.mark.parametrize("names", [("a/b", "a b"), ("a*b", "a_b")])
def test_classes_that_would_share_a_folder_are_refused(tmp_path, predictor, names):
    save(tmp_path / "in" / "scan.mha", noise(2, 20, 30))
    outputs = Outputs(tmp_path / "out", probabilities=True)
    sources = find_inputs([tmp_path / "in"], outputs)
    with pytest.raises(InputError, match="would share the folder probabilities/a_b"):
        predict_files(renamed(predictor, *names), sources, outputs)
    assert not (tmp_path / "out").exists()


def test_a_class_may_be_named_confidence(tmp_path, predictor, calibration):
    save(tmp_path / "in" / "scan.mha", noise(2, 20, 30))
    outputs = Outputs(tmp_path / "out", probabilities=True, calibration=calibration)
    sources = find_inputs([tmp_path / "in"], outputs)
    predict_files(renamed(predictor, "confidence", "b"), sources, outputs)
    one, other = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / folder / "scan.mha")))
        for folder in ("confidence", "probabilities/confidence")
    )
    assert not np.array_equal(one, other)


def test_what_to_expect_of_each_mask_is_told(tmp_path, predictor, calibration):
    for name in ("b", "a"):
        save(tmp_path / "in" / f"{name}.nii.gz", noise(2, 20, 30))
    outputs = Outputs(tmp_path / "out", calibration=calibration)
    rows = predict_files(predictor, find_inputs([tmp_path / "in"], outputs), outputs)
    with (tmp_path / "out" / "quality.csv").open(newline="") as stream:
        told = list(csv.DictReader(stream))
    assert [row["case"] for row in told] == ["a", "b"] == [row.case for row in rows]
    columns = ("predicted_dice", "predicted_dice left atrium", "predicted_dice aorta")
    assert tuple(told[0])[2:] == columns
    dice = [float(told[0][name]) for name in columns]
    assert dice[0] == pytest.approx(np.mean(dice[1:]), abs=1e-4) and 0 < dice[0] < 1
    assert float(told[0]["confidence"]) == pytest.approx(rows[0].confidence, abs=1e-4)
    predict_files(predictor, find_inputs([tmp_path / "in"], outputs), Outputs(tmp_path / "bare"))
    assert not (tmp_path / "bare" / "quality.csv").exists()


@pytest.mark.parametrize("label", ["a.png", "a.nii.gz"])
def test_labels_are_not_replaced(tmp_path, monkeypatch, label):
    """A mask has the name of its image: among the labels it would take the place of one."""
    for file in ("images/a.png", "images/b.png", f"masks/{label}", "other/a.png"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        write_png(tmp_path / file, np.zeros((4, 5), np.uint8))
    with pytest.raises(InputError, match="the label of .*a.png lies there"):
        find_inputs([tmp_path / "images"], Outputs(tmp_path / "masks"))
    monkeypatch.chdir(tmp_path / "masks")
    with pytest.raises(InputError, match="the label of .*a.png lies there"):
        find_inputs([tmp_path / "images"], Outputs(Path(".")))
    (tmp_path / "images" / "a.png").unlink()
    (tmp_path / "images" / "a.png").symlink_to(tmp_path / "other" / "a.png")
    with pytest.raises(InputError, match="the label of .*a.png lies there"):
        find_inputs([tmp_path / "images"], Outputs(tmp_path / "masks"))
    assert find_inputs([tmp_path / "images" / "b.png"], Outputs(tmp_path / "masks"))
    assert find_inputs([tmp_path / "images"], Outputs(tmp_path / "other"))


def test_masks_may_not_lie_in_the_folder_of_a_series(tmp_path, write_slice):
    """`1.dcm`, the mask of the folder `1`, could be a slice of it."""
    write_slice(tmp_path / "1" / "1.dcm", np.zeros((4, 5)))
    with pytest.raises(InputError, match="could replace them"):
        find_inputs([tmp_path / "1"], Outputs(tmp_path / "1", format="dicom-seg"))
    assert find_inputs([tmp_path / "1"], Outputs(tmp_path / "out", format="dicom-seg"))
