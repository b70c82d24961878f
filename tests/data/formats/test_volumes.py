import gzip
import os
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from tfadvseg.data.geometry import Geometry
from tfadvseg.data.image import Image, Source
from tfadvseg.data.io import list_images, read_image, read_mask, stem_of, write_mask
from tfadvseg.errors import DataWarning, InputError

FORMATS = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd")
OBLIQUE = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0, 0.0, 0.0, -1.0)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def save(
    path,
    voxels,
    compressed=False,
    spacing=(0.7, 0.9, 2.5),
    origin=(-71.6582, 255.25, 540.2),
    direction=OBLIQUE,
):
    volume = sitk.GetImageFromArray(voxels)
    volume.SetSpacing(spacing)
    volume.SetOrigin(origin)
    volume.SetDirection(direction)
    sitk.WriteImage(volume, str(path), compressed)
    return path


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("kind", [np.int16, np.uint16, np.float32, np.uint8])
def test_volumes_keep_their_values_and_their_grid(tmp_path, rng, suffix, kind):
    voxels = (rng.random((4, 5, 6)) * 250).astype(kind) * kind(200 if kind == np.uint16 else 1)
    image = read_image(save(tmp_path / f"a{suffix}", voxels))
    np.testing.assert_array_equal(image.voxels[..., 0], voxels)
    assert image.voxels.dtype == kind
    assert image.geometry.size == (6, 5, 4)
    np.testing.assert_allclose(image.geometry.spacing_mm, (0.7, 0.9, 2.5), rtol=1e-6)
    np.testing.assert_allclose(image.geometry.origin_mm, (-71.6582, 255.25, 540.2), rtol=1e-6)
    np.testing.assert_allclose(image.geometry.direction, OBLIQUE, atol=1e-6)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_written_mask_lies_on_the_grid_of_its_image(tmp_path, rng, suffix):
    image = read_image(save(tmp_path / f"a{suffix}", np.zeros((4, 5, 6), np.int16)))
    mask = rng.integers(0, 3, (4, 5, 6), np.uint8)
    write_mask(tmp_path / "new" / f"m{suffix}", Image(mask, image.geometry))
    read = read_mask(tmp_path / "new" / f"m{suffix}")
    np.testing.assert_array_equal(read.voxels, mask)
    for name in ("spacing_mm", "origin_mm", "direction"):
        ours, its = getattr(read.geometry, name), getattr(image.geometry, name)
        np.testing.assert_allclose(ours, its, atol=1e-5)
    # MetaImage keeps the voxels in a second file; nothing else may be left.
    assert {path.name.split(".")[0] for path in (tmp_path / "new").iterdir()} == {"m"}


def test_nibabel_finds_the_same_affine_in_image_and_mask(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    path = save(tmp_path / "a.nii.gz", np.zeros((4, 5, 6), np.int16))
    write_mask(
        tmp_path / "m.nii.gz", Image(np.ones((4, 5, 6), np.uint8), read_image(path).geometry)
    )
    image, mask = nibabel.load(path), nibabel.load(tmp_path / "m.nii.gz")
    np.testing.assert_allclose(mask.affine, image.affine, atol=1e-5)
    assert mask.get_data_dtype() == np.uint8 and mask.shape == (6, 5, 4)


def test_slope_and_intercept_of_a_nifti_are_applied(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    stored = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    stored.header.set_slope_inter(2.0, -1024.0)
    nibabel.save(stored, tmp_path / "a.nii")
    expected = nibabel.load(tmp_path / "a.nii").get_fdata().T
    np.testing.assert_allclose(read_image(tmp_path / "a.nii").voxels[..., 0], expected)
    assert expected.min() < -900


def test_a_big_endian_nifti_is_read(tmp_path, rng):
    nibabel = pytest.importorskip("nibabel")
    voxels = rng.integers(-1000, 1000, (6, 5, 4)).astype(">i2")
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4), header), tmp_path / "a.nii")
    assert (tmp_path / "a.nii").read_bytes()[:2] == b"\0\0"  # 348 with its low byte last
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii").voxels[..., 0], voxels.T)


def test_a_volume_of_one_slice_and_a_picture_of_two_axes(tmp_path):
    one = read_image(save(tmp_path / "one.nii.gz", np.ones((1, 5, 6), np.int16)))
    assert one.voxels.shape == (1, 5, 6, 1) and one.geometry.size == (6, 5, 1)
    flat = sitk.GetImageFromArray(np.ones((5, 6), np.int16))
    flat.SetSpacing((0.5, 0.25))
    sitk.WriteImage(flat, str(tmp_path / "flat.nii.gz"))
    image = read_image(tmp_path / "flat.nii.gz")
    assert image.voxels.shape == (1, 5, 6, 1) and image.geometry.size == (6, 5)
    write_mask(tmp_path / "m.nii.gz", Image(np.ones((1, 5, 6), np.uint8), image.geometry))
    assert sitk.ReadImage(str(tmp_path / "m.nii.gz")).GetSize() == (6, 5)
    assert sitk.ReadImage(str(tmp_path / "m.nii.gz")).GetSpacing() == (0.5, 0.25)


def test_channels_in_a_file_and_one_a_file(tmp_path, rng):
    voxels = rng.integers(0, 99, (4, 5, 6, 2)).astype(np.int16)
    volume = sitk.GetImageFromArray(voxels, isVector=True)
    sitk.WriteImage(volume, str(tmp_path / "both.nrrd"))
    np.testing.assert_array_equal(read_image(tmp_path / "both.nrrd").voxels, voxels)
    files = tuple(save(tmp_path / f"a_000{k}.nii.gz", voxels[..., k]) for k in (0, 1))
    np.testing.assert_array_equal(read_image(Source(files)).voxels, voxels)
    shifted = save(tmp_path / "shifted.nii.gz", voxels[..., 1], origin=(0.0, 0.0, 0.0))
    with pytest.raises(InputError, match=r"shifted\.nii\.gz: another grid than a_0000\.nii\.gz"):
        read_image(Source((files[0], shifted)))


def test_four_axes_are_refused_unless_the_last_holds_channels(tmp_path, rng):
    voxels = rng.integers(0, 99, (2, 4, 5, 6)).astype(np.int16)
    volume = sitk.JoinSeries([sitk.GetImageFromArray(frame) for frame in voxels])
    path = tmp_path / "time.nii.gz"
    sitk.WriteImage(volume, str(path))
    with pytest.raises(InputError, match=r"time\.nii\.gz: 4 axes \(6x5x4x2\), expected 3"):
        read_image(path)
    image = read_image(Source((path,), frames_are_channels=True))
    np.testing.assert_array_equal(image.voxels, np.moveaxis(voxels, 0, -1))
    assert image.geometry.size == (6, 5, 4)
    single = sitk.JoinSeries([sitk.GetImageFromArray(voxels[0])])
    sitk.WriteImage(single, str(path))
    np.testing.assert_array_equal(read_image(path).voxels[..., 0], voxels[0])


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_what_is_no_number_becomes_0_aloud(tmp_path, suffix, kind):
    voxels = np.linspace(1, 9, 60, dtype=kind).reshape(3, 4, 5)
    voxels[0, 0, :2] = np.nan, np.inf
    path = save(tmp_path / f"holes{suffix}", voxels)
    with pytest.warns(DataWarning, match=f"holes{suffix}: 2 voxels are no numbers; they become 0"):
        image = read_image(path)
    voxels[0, 0, :2] = 0
    np.testing.assert_array_equal(image.voxels[..., 0], voxels)


def test_an_image_without_one_number_is_refused(tmp_path):
    path = save(tmp_path / "holes.mha", np.full((3, 4, 5), np.nan, np.float32))
    with pytest.raises(InputError, match="not one voxel is a number"):
        read_image(path)


@pytest.mark.parametrize("value", [0.5, 256.0, -1.0, np.nan])
def test_masks_hold_class_indices_only(tmp_path, value):
    voxels = np.zeros((2, 4, 5), np.float32)
    voxels[1, 1] = 3
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.nii", voxels)).voxels, voxels)
    voxels[0, 0, 0] = value
    with pytest.raises(InputError, match=r"m\.nrrd: expected class indices from 0 to 255"):
        read_mask(save(tmp_path / "m.nrrd", voxels))


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.9])
@pytest.mark.parametrize("compressed", [True, False])
def test_truncated_volumes_are_refused_by_name(tmp_path, rng, suffix, share, compressed, capfd):
    voxels = rng.integers(0, 99, (4, 5, 6)).astype(np.int16)
    path = save(tmp_path / f"cut{suffix}", voxels, compressed)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match="cut"):
        read_image(path)
    assert capfd.readouterr() == ("", "")


def test_a_header_that_announces_an_enormous_volume_is_refused(tmp_path):
    path = save(tmp_path / "huge.nii", np.zeros((2, 3, 4), np.int16))
    header = bytearray(path.read_bytes())
    header[42:48] = np.array([30000, 30000, 30000], np.int16).tobytes()
    for name, content in (("huge.nii", header), ("huge.nii.gz", gzip.compress(bytes(header)))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(
            InputError, match=rf"{name}: its header announces 54,000,000,000,000 bytes"
        ):
            read_image(tmp_path / name)


def test_what_is_missing_or_not_what_its_ending_says(tmp_path):
    with pytest.raises(InputError, match=r"no\.nii\.gz: no such file"):
        read_image(tmp_path / "no.nii.gz")
    (tmp_path / "text.nrrd").write_text("hello")
    with pytest.raises(InputError, match=r"text\.nrrd: damaged, or not what its ending says"):
        read_image(tmp_path / "text.nrrd")


def test_a_full_disk_leaves_no_half_written_mask(tmp_path):
    """The kernel's limit on file sizes stands for the full disk."""
    code = (
        "import resource, signal, sys; import numpy as np; from pathlib import Path\n"
        "from tfadvseg.data.io import write_mask; from tfadvseg.data.image import Image\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "noise = np.random.default_rng(0).integers(0, 255, (9, 99, 99), np.uint8)\n"
        "write_mask(Path(sys.argv[1]), Image(noise))\n"
    )
    for suffix in FORMATS:
        path = tmp_path / f"m{suffix}"
        failed = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True)
        assert failed.returncode and b"cannot be written" in failed.stderr, failed.stderr
        assert os.listdir(tmp_path) == []


def test_names_without_endings_and_lists(tmp_path):
    for name in ("b.nii.gz", "a.mha", "c.NRRD", "notes.txt", ".x.nii", "d.raw"):
        (tmp_path / name).write_bytes(b"")
    found = list_images(tmp_path)
    assert [path.name for path in found] == ["a.mha", "b.nii.gz", "c.NRRD"]
    assert [stem_of(path) for path in found] == ["a", "b", "c"]
    assert stem_of(tmp_path / "series 1.2") == "series 1.2"


def test_geometry_comes_from_the_file(tmp_path):
    image = read_image(save(tmp_path / "a.mha", np.zeros((4, 5, 6), np.int16)))
    grid = Geometry((6, 5, 4), (0.7, 0.9, 2.5), (-71.6582, 255.25, 540.2), OBLIQUE)
    assert grid.difference(image.geometry) is None


@pytest.mark.parametrize("kind", ["MET_LONG", "MET_ULONG", "MET_INT"])
def test_a_long_of_a_meta_image_has_four_bytes(tmp_path, kind):
    """As MetaIO writes it, whatever the machine calls long."""
    voxels = np.arange(8, dtype="<i4")
    header = f"ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = {kind}\n"
    path = tmp_path / "a.mha"
    path.write_bytes(f"{header}ElementDataFile = LOCAL\n".encode() + voxels.tobytes())
    np.testing.assert_array_equal(read_image(path).voxels.ravel(), voxels)
