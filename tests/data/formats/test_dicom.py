import shutil
import struct
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from tfadvseg.data.formats import dicom
from tfadvseg.data.image import Source
from tfadvseg.data.io import list_images, read_image
from tfadvseg.errors import DataWarning, InputError

pydicom = pytest.importorskip("pydicom")
from pydicom import uid  # noqa: E402

REPORT = uid.BasicTextSRStorage
BARE = dict.fromkeys(
    "ImagePositionPatient ImageOrientationPatient PixelSpacing SliceThickness RescaleSlope "
    "RescaleIntercept".split()
)


def by_pydicom(paths):
    """Positions and HU of files, as another reader gives them, in the order of the paths."""
    slices = [pydicom.dcmread(path) for path in paths]
    positions = [[float(x) for x in one.ImagePositionPatient] for one in slices]
    values = [one.pixel_array * one.RescaleSlope + one.RescaleIntercept for one in slices]
    return np.array(positions), np.array(values, float)


def position_of(geometry, z):
    return geometry.origin_mm + geometry.axes()[:, 2] * geometry.spacing_mm[2] * z


@pytest.mark.parametrize("oblique", [False, True])
def test_slices_are_ordered_by_position_and_rescaled(tmp_path, write_series, oblique):
    truth = write_series(tmp_path, (4, 0, 2, 8, 6), oblique=oblique)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / ".IM0000").write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    image = dicom.read_series(tmp_path)
    np.testing.assert_array_equal(image.voxels[..., 0], truth)
    files = dicom.series_files(tmp_path)
    positions, values = by_pydicom(files)
    np.testing.assert_array_equal(image.voxels[..., 0], values)
    assert image.geometry.size == (7, 6, 5)
    np.testing.assert_allclose(image.geometry.spacing_mm, (0.5, 0.75, 2), rtol=1e-5)
    for z, position in enumerate(positions):
        np.testing.assert_allclose(position_of(image.geometry, z), position, atol=1e-4)
    axes = image.geometry.axes()
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)
    orientation = pydicom.dcmread(files[0]).ImageOrientationPatient
    np.testing.assert_allclose(axes[:, :2].T.ravel(), orientation, atol=1e-6)
    assert np.linalg.det(axes) > 0


def test_a_real_series(real_series):
    image = read_image(real_series)
    files = dicom.series_files(real_series)
    positions, values = by_pydicom(files)
    assert len(files) == 24 and (np.diff(positions[:, 2]) > 0).all()
    np.testing.assert_array_equal(image.voxels[..., 0], values)
    for z, position in enumerate(positions):
        np.testing.assert_allclose(position_of(image.geometry, z), position, atol=1e-5)
    np.testing.assert_allclose(image.geometry.spacing_mm, (0.57, 0.57, 1.6), rtol=1e-6)
    assert dicom.is_series_folder(real_series)
    assert dicom.patient_of(real_series) is None
    assert dicom.safe_name("patient01", real_series) == "patient01"
    assert dicom.safe_name("Liver-01 portal", real_series).startswith("case-")


@pytest.mark.parametrize(
    "rescale", [(1, 0), (1, -1024), (2, 5), (0.5, -1000.5), (0.001, 0), (-1, 0)]
)
@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.uint8])
def test_slope_and_intercept_for_every_stored_type(tmp_path, write_slice, rescale, dtype):
    pixels = np.array([[0, 1, 2], [120, 121, np.iinfo(dtype).max]], dtype)
    slope, intercept = rescale
    path = write_slice(
        tmp_path / "a", pixels, dtype=dtype, RescaleSlope=slope, RescaleIntercept=intercept
    )
    voxels = dicom.read_file(path).voxels[0, ..., 0]
    np.testing.assert_allclose(voxels, by_pydicom([path])[1][0], rtol=1e-12)


def test_each_slice_has_a_slope_of_its_own(tmp_path, write_slice):
    """SimpleITK's reader of series would cut the fractions off: the first slice is integer."""
    pixels = np.arange(12).reshape(3, 4)
    for z, (slope, intercept) in enumerate([(1, 0), (0.25, 0), (3, -5.5)]):
        write_slice(
            tmp_path / f"{z}.dcm",
            pixels,
            ImagePositionPatient=[0, 0, z],
            RescaleSlope=slope,
            RescaleIntercept=intercept,
        )
    image = dicom.read_series(tmp_path)
    np.testing.assert_array_equal(image.voxels[..., 0], by_pydicom(dicom.series_files(tmp_path))[1])
    assert image.voxels[1, 0, 1, 0] == 0.25


def test_missing_slices_are_told_with_their_place(tmp_path, write_series):
    truth = write_series(tmp_path, (0, 2, 4, 10, 12, 16))
    below, above, _, beyond = dicom.series_files(tmp_path)[2:]
    with pytest.warns(DataWarning) as caught:
        image = dicom.read_series(tmp_path)
    (message,) = [str(warning.message) for warning in caught]
    assert "3 of 9 slices are missing" in message
    assert f"2 between {below.name} and {above.name}, 1 between" in message
    assert f"and {beyond.name};" in message
    np.testing.assert_array_equal(image.voxels[..., 0], truth)
    assert image.geometry.spacing_mm[2] == pytest.approx(2)


def test_of_two_gaps_the_wider_lacks_a_slice(tmp_path, write_series):
    write_series(tmp_path, (0, 2, 6))
    with pytest.warns(DataWarning, match="1 of 4 slices"):
        assert dicom.read_series(tmp_path).geometry.spacing_mm[2] == pytest.approx(2)


def test_uneven_distances_are_told(tmp_path, write_series):
    write_series(tmp_path, (0, 2, 4, 6.5, 8.5))
    with pytest.warns(DataWarning, match=r"range from 2 to 2\.5 mm; 2\.125 mm is taken"):
        assert dicom.read_series(tmp_path).geometry.spacing_mm[2] == pytest.approx(2.125)


def test_distances_that_are_rounded_in_the_header_are_even(tmp_path, write_series):
    write_series(tmp_path, np.round(np.arange(7) / 1.5, 3))
    assert dicom.read_series(tmp_path).geometry.spacing_mm[2] == pytest.approx(2 / 3, rel=1e-3)


def test_a_tilted_gantry_is_told(tmp_path, write_slice):
    for z in range(3):
        write_slice(tmp_path / f"{z}", np.zeros((4, 4)), ImagePositionPatient=[0, z * 0.5, z * 2])
    with pytest.warns(DataWarning, match="shifted against each other by up to 1 mm"):
        dicom.read_series(tmp_path)


def test_two_slices_at_one_position_are_refused_with_both_names(tmp_path, write_series):
    write_series(tmp_path, (0, 2, 4))
    shutil.copy(tmp_path / "IM0001", tmp_path / "copy.dcm")
    with pytest.raises(InputError, match=r"(IM0001 and copy\.dcm|copy\.dcm and IM0001) lie at one"):
        dicom.read_series(tmp_path)


@pytest.mark.parametrize("heights", [(0, 0, 0, 2, 2, 2), (0, 2, 2.01, 4)])
def test_time_points_at_the_same_positions_are_refused(tmp_path, write_series, heights):
    write_series(tmp_path, heights)
    with pytest.raises(InputError, match="lie at one position"):
        dicom.read_series(tmp_path)


@pytest.mark.parametrize(
    "elements, told",
    [
        (dict(pixels=np.zeros((6, 8))), "size 7x6 against 8x6"),
        (dict(PixelSpacing=[0.75, 0.6]), "pixel spacing 0.5x0.75 against 0.6x0.75 mm"),
        (dict(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), "orientation"),
    ],
)
def test_slices_of_another_volume_are_refused_by_name(
    tmp_path, write_series, write_slice, elements, told
):
    write_series(tmp_path, (0, 2, 4))
    other = dict(pixels=np.zeros((6, 7)), ImagePositionPatient=[-10, -20, 11]) | elements
    write_slice(tmp_path / "scout", **other)
    with pytest.raises(InputError, match=f"IM0000 and scout differ in {told}"):
        dicom.read_series(tmp_path)


def test_a_coloured_slice_among_grey_ones_is_refused(tmp_path, write_series, write_slice):
    write_series(tmp_path, (0, 2))
    colours = dict(SamplesPerPixel=3, PlanarConfiguration=0, PhotometricInterpretation="RGB")
    pixels = np.arange(126).reshape(6, 21)
    rgb = dict(dtype=np.uint8, Columns=7, RescaleIntercept=0, **colours)
    path = write_slice(tmp_path / "rgb", pixels, ImagePositionPatient=[-10, -20, 9], **rgb)
    np.testing.assert_array_equal(dicom.read_file(path).voxels[0], pixels.reshape(6, 7, 3))
    with pytest.raises(InputError, match="rgb: 3 channels against 1"):
        dicom.read_series(tmp_path)


def test_several_series_are_listed_and_one_is_chosen(tmp_path, write_series):
    early = write_series(tmp_path, (0, 2), seed=1)
    for path in tmp_path.iterdir():
        path.rename(path.with_name(f"early-{path.name}"))
    late = write_series(
        tmp_path, (0, 2, 4), SeriesInstanceUID="1.2.9", SeriesNumber=11, SeriesDescription="Späte"
    )
    listed = r"3 \(Thorax, 2 slices\), 11 \(Späte, 3 slices\)"
    with pytest.raises(
        InputError, match=f"2 series, expected one; choose with `series` .*{listed}"
    ):
        dicom.read_series(tmp_path)
    with pytest.raises(InputError, match=f"no series for '7', .*{listed}"):
        read_image(Source((tmp_path,), series="7"))
    for wanted, truth in [("3", early), ("11", late), ("SPÄTE", late), ("1.2.3.4", early)]:
        image = read_image(Source((tmp_path,), series=wanted))
        np.testing.assert_array_equal(image.voxels[..., 0], truth)
        assert len(dicom.series_files(tmp_path, wanted)) == len(truth)
    with pytest.raises(InputError, match="no series for 'Thor'"):
        dicom.series_files(tmp_path, "Thor")


def test_series_of_one_name_are_told_apart_by_their_uids(tmp_path, write_slice):
    for number in range(7):
        write_slice(tmp_path / f"{number}", np.zeros((4, 4)), SeriesInstanceUID=f"1.2.{number}")
    with pytest.raises(InputError, match=r"7 series, .*1 slice\) 1\.2\.4 and 2 more$"):
        dicom.read_series(tmp_path)
    with pytest.raises(InputError, match="7 series for 'thorax'"):
        dicom.read_series(tmp_path, "thorax")
    assert dicom.read_series(tmp_path, "1.2.6").voxels.shape == (1, 4, 4, 1)


def test_what_is_no_image_is_passed_over_beside_a_series(tmp_path, write_series, write_slice):
    truth = write_series(tmp_path, (0, 2))
    report = dict(SOPClassUID=REPORT, SeriesInstanceUID="1.2.9", PixelData=None)
    write_slice(tmp_path / "report", np.zeros((4, 4)), **report)
    np.testing.assert_array_equal(dicom.read_series(tmp_path).voxels[..., 0], truth)


@pytest.mark.parametrize(
    "sop_class, told",
    [
        (REPORT, "a structured report"),
        (uid.SegmentationStorage, "a segmentation"),
        (uid.RTStructureSetStorage, "a plan, dose or contours"),
        (uid.EncapsulatedPDFStorage, "a document"),
    ],
)
def test_what_is_no_image_is_refused_alone(tmp_path, write_slice, sop_class, told):
    path = write_slice(tmp_path / "s" / "a", np.zeros((4, 4)), SOPClassUID=sop_class)
    with pytest.raises(InputError, match=f"a: {told}.*, not an image"):
        dicom.read_file(path)
    with pytest.raises(InputError, match=f"only {told}.* in a; expected a folder"):
        dicom.read_series(path.parent)
    assert dicom.patient_of(path) is None


def test_a_text_is_not_called_a_damaged_image(tmp_path):
    (tmp_path / "README.md").write_text("# Results\n" * 100)
    with pytest.raises(InputError, match=r"README\.md: neither its ending nor its content is that"):
        dicom.read_file(tmp_path / "README.md")


def test_an_image_without_pixels_is_refused(tmp_path, write_slice):
    path = write_slice(tmp_path / "a", np.zeros((4, 4)), PixelData=None)
    with pytest.raises(InputError, match="a: cannot be read as a DICOM image: .*without pixels"):
        dicom.read_file(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_truncated_file_is_refused_by_name(tmp_path, write_series, share, compressed, capfd):
    write_series(tmp_path, (0, 2))
    path = tmp_path / "cut.dcm"
    noise = np.random.default_rng(0).integers(0, 4000, (64, 64)).astype(np.uint16)
    sitk.WriteImage(sitk.GetImageFromArray(noise), str(path), useCompression=compressed)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    for read, where in ((dicom.read_series, tmp_path), (dicom.read_file, path)):
        with pytest.raises(
            InputError, match=r"cut\.dcm: (damaged|cannot be read as a DICOM image)"
        ):
            read(where)
    assert capfd.readouterr() == ("", "")


def test_headers_that_announce_more_than_the_file_holds_are_refused(tmp_path, write_slice):
    path = write_slice(tmp_path / "big", np.zeros((4, 4)), Rows=200, Columns=200)
    with pytest.raises(InputError, match="big: its header announces 200x200x1 voxels"):
        dicom.read_file(path)
    packed = tmp_path / "packed.dcm"
    sitk.WriteImage(sitk.Image(512, 512, sitk.sitkUInt16), str(packed), useCompression=True)
    assert not dicom.read_file(packed).voxels.any()
    header = pydicom.dcmread(packed)
    header.NumberOfFrames = 100_000
    header.save_as(packed)
    with pytest.raises(InputError, match=r"packed\.dcm: its header announces 512x512x100000"):
        dicom.read_file(packed)


def test_positions_that_are_no_numbers_are_refused(tmp_path, write_slice):
    position = ["-10.0", "-20.0", "50"]
    path = write_slice(tmp_path / "a", np.zeros((4, 4)), ImagePositionPatient=position)
    path.write_bytes(path.read_bytes().replace(rb"-10.0\-20.0\50", rb"-10,0\nan\9999"))
    with pytest.raises(InputError, match=r"a: expected 3 numbers in \(0020,0032\), received"):
        dicom.read_file(path)


@pytest.mark.parametrize("axes", [[0] * 6, [1, 0, 0, 1, 0, 0], [2, 0, 0, 0, 1, 0]])
def test_axes_that_are_not_at_right_angles_are_refused(tmp_path, write_slice, axes):
    path = write_slice(tmp_path / "a", np.zeros((4, 4)), ImageOrientationPatient=axes)
    with pytest.raises(InputError, match="the orientation of a .* not that of two axes"):
        dicom.read_file(path)


def test_a_single_slice_has_the_thickness_of_its_header(tmp_path, write_series, write_slice):
    truth = write_series(tmp_path / "one", (4,), oblique=True)
    image = dicom.read_series(tmp_path / "one")
    np.testing.assert_array_equal(image.voxels[..., 0], truth)
    assert image.geometry.spacing_mm == (0.5, 0.75, 9)
    np.testing.assert_allclose(image.geometry.direction[::3], (0.8, 0.6, 0), atol=1e-9)
    assert dicom.series_files(tmp_path / "one") == (tmp_path / "one" / "IM0000",)
    path = write_slice(tmp_path / "a", truth[0], SpacingBetweenSlices=-4)
    assert dicom.read_file(path).geometry.spacing_mm[2] == 4
    assert dicom.series_files(path) == (path,)


def test_pictures_without_a_position(tmp_path, write_slice):
    """Radiographs, and frames over time: alone they are read, in a series they have no order."""
    frames = np.arange(60).reshape(3, 4, 5)
    cine = dict(SOPClassUID=uid.UltrasoundMultiFrameImageStorage, dtype=np.uint8)
    path = write_slice(tmp_path / "s" / "a", frames, **cine, **BARE)
    for image in (dicom.read_file(path), dicom.read_series(path.parent)):
        np.testing.assert_array_equal(image.voxels[..., 0], frames)
        assert image.geometry is None
    shutil.copy(path, path.with_name("b"))
    with pytest.raises(InputError, match="3 frames, in a series of 2 files"):
        dicom.read_series(path.parent)
    for name in "ab":
        write_slice(path.with_name(name), frames[0], **BARE)
    with pytest.raises(InputError, match="a: no position and orientation"):
        dicom.read_series(path.parent)


def test_frames_of_one_file_with_one_position_lie_at_the_announced_distance(tmp_path, write_slice):
    frames = np.arange(60).reshape(3, 4, 5)
    image = dicom.read_file(write_slice(tmp_path / "a", frames, SpacingBetweenSlices=3))
    np.testing.assert_array_equal(image.voxels[..., 0], frames - 1024)
    assert image.geometry.size == (5, 4, 3)
    assert image.geometry.spacing_mm == (0.5, 0.75, 3)
    assert image.geometry.origin_mm == (-10, -20, 0)


@pytest.mark.parametrize("syntax", ["implicit", "deflated", "rle", "bare"])
def test_encodings(tmp_path, write_slice, syntax):
    pixels = np.random.default_rng(0).integers(-900, 900, (64, 64))
    syntaxes = {"implicit": uid.ImplicitVRLittleEndian}
    chosen = syntaxes.get(syntax, uid.ExplicitVRLittleEndian)
    path = write_slice(tmp_path / "a.dcm", pixels, syntax=chosen, preamble=syntax != "bare")
    header = pydicom.dcmread(path, force=True)
    if syntax == "deflated":
        header.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
        header.save_as(path)
    elif syntax == "rle":
        header.compress(uid.RLELossless)
        header.save_as(path)
    assert dicom.is_series_folder(tmp_path)
    for image in (dicom.read_file(path), dicom.read_series(tmp_path)):
        np.testing.assert_array_equal(image.voxels[0, ..., 0], pixels - 1024)


def item(**elements):
    dataset = pydicom.Dataset()
    for name, value in elements.items():
        setattr(dataset, name, value)
    return [dataset]


@pytest.fixture
def write_enhanced(write_slice):
    def write(path, heights, slopes=None):
        pixels = np.arange(len(heights) * 20).reshape(-1, 4, 5)
        slopes = slopes or [2] * len(heights)
        frames = [
            item(
                PlanePositionSequence=item(ImagePositionPatient=[-10, -20, height]),
                PixelValueTransformationSequence=item(RescaleSlope=slope, RescaleIntercept=-100),
            )[0]
            for height, slope in zip(heights, slopes, strict=True)
        ]
        shared = item(
            PlaneOrientationSequence=item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
            PixelMeasuresSequence=item(PixelSpacing=[0.75, 0.5], SliceThickness=9),
        )
        write_slice(
            path,
            pixels,
            SOPClassUID=uid.EnhancedCTImageStorage,
            SharedFunctionalGroupsSequence=shared,
            PerFrameFunctionalGroupsSequence=frames,
            **BARE,
        )
        return pixels * np.reshape(slopes, (-1, 1, 1)) - 100

    return write


@pytest.mark.parametrize("slopes", [None, [1, 0.5, 3]])
@pytest.mark.parametrize("heights", [(0, 2, 4), (4, 2, 0), (0, 4, 2)])
def test_frames_of_enhanced_files_are_ordered_by_position(
    tmp_path, write_enhanced, heights, slopes
):
    truth = write_enhanced(tmp_path / "a", heights, slopes)
    for image in (dicom.read_file(tmp_path / "a"), dicom.read_series(tmp_path)):
        np.testing.assert_allclose(image.voxels[..., 0], truth[np.argsort(heights)])
        assert image.geometry.spacing_mm == pytest.approx((0.5, 0.75, 2))
        assert image.geometry.origin_mm == (-10, -20, 0)


def test_enhanced_files_that_are_no_volume_are_refused(tmp_path, write_enhanced):
    write_enhanced(tmp_path / "a", (0, 2, 0, 2))
    with pytest.raises(InputError, match="frame 1 and frame 3 lie at one position"):
        dicom.read_file(tmp_path / "a")
    header = pydicom.dcmread(tmp_path / "a")
    del header.PerFrameFunctionalGroupsSequence
    header.save_as(tmp_path / "a")
    with pytest.raises(InputError, match="a: the positions of its frames cannot be read"):
        dicom.read_file(tmp_path / "a")


def test_enhanced_files_say_what_is_missing_to_read_them(tmp_path, write_enhanced, monkeypatch):
    write_enhanced(tmp_path / "a", (0, 2))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(InputError, match=r'needs pydicom; pip install "tfadvseg\[dicom\]"'):
        dicom.read_file(tmp_path / "a")


def test_series_folders_are_known_by_their_bytes(tmp_path, write_slice):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("a" * 200)
    (tmp_path / "text" / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "text" / ".hidden.dcm").write_bytes(b"\0" * 128 + b"DICM")
    write_slice(tmp_path / "deep" / "series" / "a", np.zeros((4, 4)))
    write_slice(tmp_path / "bare" / "a.DCM", np.zeros((4, 4)), preamble=False)
    write_slice(tmp_path / "single.dcm", np.zeros((4, 4)))
    known = {
        path.name: dicom.is_series_folder(path) for path in tmp_path.iterdir() if path.is_dir()
    }
    assert known == {"empty": False, "text": False, "deep": False, "bare": True}
    assert dicom.is_series_folder(tmp_path / "deep" / "series")
    assert [path.name for path in list_images(tmp_path)] == ["bare", "single.dcm"]


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match="no: no such file"):
        dicom.read_file(tmp_path / "no")
    with pytest.raises(InputError, match="no DICOM file; expected a folder"):
        dicom.read_series(tmp_path)
    (tmp_path / "text.dcm").write_text("hello")
    with pytest.raises(InputError, match=r"text\.dcm: damaged: truncated"):
        dicom.read_file(tmp_path / "text.dcm")


@pytest.mark.parametrize(
    "tag", ["PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"]
)
def test_a_pixel_size_is_not_made_up(tmp_path, write_slice, tag):
    plain = dict(SOPClassUID=uid.SecondaryCaptureImageStorage, **BARE) | {"PixelSpacing": None}
    path = write_slice(tmp_path / "a", np.zeros((4, 5)), **plain)
    assert dicom.read_file(path).geometry is None
    path = write_slice(tmp_path / "b", np.zeros((4, 5)), **{**plain, tag: [0.75, 0.5]})
    assert dicom.read_file(path).geometry is not None
    frames = dict(SOPClassUID=uid.UltrasoundMultiFrameImageStorage, dtype=np.uint8)
    path = write_slice(tmp_path / "c", np.zeros((3, 4, 5)), **{**plain, **frames})
    assert dicom.read_file(path).geometry is None


def test_a_series_without_a_pixel_size_is_refused(tmp_path, write_series):
    write_series(tmp_path / "s", PixelSpacing=None)
    with pytest.raises(InputError, match=r"no size of pixels \(PixelSpacing\), in a series of 5 "):
        dicom.read_series(tmp_path / "s")


@pytest.mark.parametrize("zeros", [1, 8, 512])
def test_zeros_behind_the_last_element_are_no_damage(tmp_path, write_slice, zeros):
    path = write_slice(tmp_path / "a", np.arange(20).reshape(4, 5))
    content = path.read_bytes()
    path.write_bytes(content + bytes(zeros))
    np.testing.assert_array_equal(
        dicom.read_file(path).voxels[0, ..., 0], np.arange(20).reshape(4, 5) - 1024
    )
    path.write_bytes(content + bytes(zeros) + b"x" * 8)
    with pytest.raises(InputError, match="damaged"):
        dicom.read_file(path)


def test_a_small_deflated_file_that_holds_very_much_is_refused(tmp_path, write_slice):
    syntax = uid.DeflatedExplicitVRLittleEndian
    path = write_slice(tmp_path / "a", np.zeros((4, 5)))
    header = pydicom.dcmread(path)
    header.file_meta.TransferSyntaxUID = syntax
    header.add_new(0x00091010, "OB", bytes(65 << 20))
    header.save_as(path)
    assert path.stat().st_size < 200_000
    with pytest.raises(InputError, match="a: damaged: its .* bytes inflate to more than 67108864"):
        dicom.read_file(path)


def test_items_of_an_element_of_unknown_type_are_implicit(tmp_path, write_slice):
    """As a server leaves a private sequence that it does not know (PS3.5, 6.2.2)."""
    path = write_slice(tmp_path / "a", np.zeros((4, 5)))
    content, endless = path.read_bytes(), struct.pack("<I", 0xFFFFFFFF)
    value = struct.pack("<HHI", 0x2005, 0x1001, 4) + b"abcd"
    item = struct.pack("<HH", 0xFFFE, 0xE000) + endless + value
    ends = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    unknown = struct.pack("<HH", 0x2005, 0x1000) + b"UN\0\0" + endless + item + ends
    place = content.index(struct.pack("<HH", 0x7FE0, 0x10) + b"O")
    path.write_bytes(content[:place] + unknown + content[place:])
    assert pydicom.dcmread(path)[0x2005, 0x1000].VR in ("UN", "SQ")
    assert dicom.read_file(path).voxels.shape == (1, 4, 5, 1)


@pytest.mark.parametrize("charset", ["ISO 2022 IR 6\\ISO 2022 IR 159", "ISO_IR 203", "ISO_IR 999"])
def test_character_sets_of_other_names(tmp_path, write_slice, charset):
    path = write_slice(tmp_path / "a", np.zeros((4, 5)))
    tag = struct.pack("<HH", 8, 5) + b"CS"
    content = path.read_bytes()
    place = content.index(tag)
    (length,) = struct.unpack_from("<H", content, place + 6)
    value = charset.encode() + b" " * (len(charset) % 2)
    head = tag + struct.pack("<H", len(value)) + value
    path.write_bytes(content[:place] + head + content[place + 8 + length :])
    assert dicom.patient_of(path) == "ID-4711"


def test_the_patient_is_that_of_the_series(tmp_path, write_slice):
    folder = tmp_path / "s"
    one = {"SeriesInstanceUID": "1.2.9", "SeriesNumber": 7, "PatientID": "other-1"}
    write_slice(folder / "a", np.zeros((4, 5)))
    write_slice(folder / "b", np.ones((4, 5)), **one)
    assert dicom.patient_of(folder) == dicom.patient_of(folder, "3") == "ID-4711"
    assert dicom.patient_of(folder, " 7 ") == "other-1"
    assert dicom.safe_name("other1_scan", folder, series="7") != "other1_scan"
    write_slice(folder / "c", np.ones((4, 5)), **one | {"PatientID": "another"})
    with pytest.raises(InputError, match="c: of another patient than b, in one series"):
        dicom.read_series(folder, "7")


def test_the_patient_of_files_and_folders(tmp_path, write_slice):
    path = write_slice(tmp_path / "s" / "a", np.zeros((4, 4)))
    assert dicom.patient_of(path) == dicom.patient_of(path.parent) == "ID-4711"
    for blank in ("", "  ", None):
        assert dicom.patient_of(write_slice(path, np.zeros((4, 4)), PatientID=blank)) is None
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    assert dicom.patient_of(tmp_path / "a.png") is None
    assert dicom.patient_of(tmp_path / "missing") is None


@pytest.mark.parametrize(
    "charset, name, identifier, case, safe",
    [
        ("ISO_IR 100", "Müller^Jörg", "ID-4711", "scan_7", True),
        ("ISO_IR 100", "Müller^Jörg", "ID-4711", "scan_id4711", False),
        ("ISO_IR 100", "Müller^Jörg", "ID-4711", "CT MÜLLER 2", False),
        ("ISO_IR 100", "Müller^Jörg", "ID-4711", "CT Mu\u0308ller 2", False),
        ("ISO_IR 192", "Müller^Jörg", "", "mÜller", False),
        ("ISO_IR 144", "Иванов^Иван", "", "иванов_1", False),
        ("ISO 2022 IR 6\\ISO 2022 IR 87", "Yamada^Tarou=山田川^太郎", "", "山田川", False),
        ("ISO 2022 IR 6\\ISO 2022 IR 87", "Yamada^Tarou=山田川^太郎", "", "yamada", False),
        (None, "SMITH JOHN", "12", "scan12_john", False),
        (None, "van der Berg^Jan", "12", "berg-1", False),
        (None, "Li^Wei", "12", "li_12", True),
        (None, "", "---", "scan", True),
        (None, None, None, "scan", True),
    ],
)
def test_names_of_cases_do_not_tell_the_patient(
    tmp_path, write_slice, monkeypatch, charset, name, identifier, case, safe
):
    monkeypatch.setenv("TFADVSEG_SALT", "sesame")
    charset = charset.split("\\") if charset else None
    path = write_slice(
        tmp_path / "s" / "a",
        np.zeros((4, 4)),
        SpecificCharacterSet=charset,
        PatientName=name,
        PatientID=identifier,
    )
    for where in (path, path.parent):
        told = dicom.safe_name(case, where)
        assert (told == case) == safe
        assert safe or told.startswith("case-")
        assert dicom.safe_name(case, where, keep=True) == case
    assert safe or dicom.safe_name(case, path) != dicom.safe_name(case + "b", path)
    assert dicom.safe_name(case, tmp_path / "none.png") == case


def test_messages_never_tell_the_patient(tmp_path, write_series, write_slice):
    other = dict(SeriesInstanceUID="1.2.9", ImagePositionPatient=[0, 0, 50])
    faults = {
        "double": dict(ImagePositionPatient=[-10, -20, 5]),
        "large": dict(Rows=9999),
        "numbers": dict(ImageOrientationPatient=[1, 0, 0]),
        "series": other,
        "report": dict(SOPClassUID=REPORT),
        "bare": dict(ImagePositionPatient=None),
    }
    for fault, elements in faults.items():
        folder = tmp_path / fault
        write_series(folder, (0, 2) if fault != "report" else ())
        write_slice(folder / "bad", np.zeros((6, 7)), **elements)
        with pytest.raises(InputError) as raised:
            dicom.read_series(folder)
        message = str(raised.value)
        assert "\n" not in message and str(folder) in message
        assert not any(word in message for word in ("ller", "4711", "Jö"))
