import os
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from tfadvseg import __version__
from tfadvseg.data.formats.dicom import read_series, series_files
from tfadvseg.data.formats.dicom_seg import STRUCTURES, write_segmentation
from tfadvseg.errors import InputError

pydicom = pytest.importorskip("pydicom")
highdicom = pytest.importorskip("highdicom")

CLASSES = ("background", "pulmonary_artery", "Myocardium", "knöchern")


@pytest.fixture
def mask():
    """Five slices 6 x 7: the first class in slices 1 to 3, the second in 2, the third nowhere."""
    mask = np.zeros((5, 6, 7), np.uint8)
    mask[1:4, 1:3, 2:6] = 1
    mask[2, 4, 1:] = 2
    mask[3, 0, 0] = 1
    return mask


def frames_of(segmentation):
    """Segment, position, source and pixels of each frame, as the object's headers tell them."""
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    frames = segmentation.PerFrameFunctionalGroupsSequence
    for groups, pixels in zip(frames, segmentation.pixel_array, strict=True):
        holder = groups if "SegmentIdentificationSequence" in groups else shared
        number = holder.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        position = groups.PlanePositionSequence[0].ImagePositionPatient
        derived = groups.DerivationImageSequence[0].SourceImageSequence
        yield number, tuple(position), [one.ReferencedSOPInstanceUID for one in derived], pixels


def points_of(voxels, steps, origin):
    """Where the marked voxels (Z, Y, X) lie, in a fixed order; steps of columns, rows, slices."""
    points = np.argwhere(voxels)[:, ::-1] @ np.transpose(steps) + origin
    return points[np.lexsort(np.round(points, 2).T)]


@pytest.mark.parametrize("oblique", [False, True])
def test_frames_lie_on_their_slices(tmp_path, write_series, mask, oblique):
    write_series(tmp_path / "s", (4, 0, 2, 8, 6), oblique=oblique)
    source = series_files(tmp_path / "s")
    write_segmentation(tmp_path / "new" / "m.dcm", mask, source, CLASSES)
    assert os.listdir(tmp_path / "new") == ["m.dcm"]
    segmentation = pydicom.dcmread(tmp_path / "new" / "m.dcm")
    slices = [pydicom.dcmread(path) for path in source]
    found = np.zeros_like(mask)
    for number, position, (uid,), pixels in frames_of(segmentation):
        z = [one.SOPInstanceUID for one in slices].index(uid)
        np.testing.assert_allclose(position, slices[z].ImagePositionPatient)
        found[z][pixels > 0] = number
    np.testing.assert_array_equal(found, mask)
    assert segmentation.NumberOfFrames == 4
    references = segmentation.ReferencedSeriesSequence[0]
    assert references.SeriesInstanceUID == slices[0].SeriesInstanceUID
    uids = {one.ReferencedSOPInstanceUID for one in references.ReferencedInstanceSequence}
    assert uids == {one.SOPInstanceUID for one in slices}


def test_segments_say_what_they_show_and_who_made_them(tmp_path, write_series, mask):
    write_series(tmp_path / "s")
    write_segmentation(tmp_path / "m.dcm", mask, series_files(tmp_path / "s"), CLASSES)
    segmentation = pydicom.dcmread(tmp_path / "m.dcm")
    segments = segmentation.SegmentSequence
    assert [one.SegmentLabel for one in segments] == list(CLASSES[1:])
    codes = [one.SegmentedPropertyTypeCodeSequence[0].CodeValue for one in segments]
    assert codes == ["81040000", "74281007", "91723000"]
    for segment in segments:
        assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "91723000"
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("tfadvseg", __version__)
    assert segmentation.SegmentationType == "BINARY"
    assert segmentation.SoftwareVersions == __version__
    source = pydicom.dcmread(tmp_path / "s" / "IM0000")
    for name in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert segmentation[name].value == source[name].value
    assert segmentation.SeriesInstanceUID != source.SeriesInstanceUID
    assert segmentation.PatientName.family_name == "Müller"


def test_every_structure_has_a_code():
    from pydicom.sr.codedict import codes

    assert len({getattr(codes.SCT, name).value for name in STRUCTURES}) == len(STRUCTURES)


@pytest.mark.parametrize("oblique", [False, True])
def test_highdicom_and_simpleitk_read_the_mask_on_the_grid(tmp_path, write_series, oblique):
    """GDCM wants frames of whole bytes, hence eight columns."""
    write_series(tmp_path / "s", oblique=oblique, shape=(6, 8))
    mask = np.random.default_rng(0).integers(0, 2, (5, 6, 8), np.uint8)
    write_segmentation(
        tmp_path / "m.dcm", mask, series_files(tmp_path / "s"), ("background", "aorta")
    )
    grid = read_series(tmp_path / "s").geometry
    expected = points_of(mask, grid.axes() * grid.spacing_mm, grid.origin_mm)
    volume = highdicom.seg.segread(tmp_path / "m.dcm").get_volume(combine_segments=True)
    steps = volume.affine[:3, [2, 1, 0]]
    np.testing.assert_allclose(
        points_of(volume.array, steps, volume.affine[:3, 3]), expected, atol=1e-3
    )
    read = sitk.ReadImage(str(tmp_path / "m.dcm"))
    steps = np.reshape(read.GetDirection(), (3, 3)) * read.GetSpacing()
    points = points_of(sitk.GetArrayFromImage(read), steps, read.GetOrigin())
    np.testing.assert_allclose(points, expected, atol=1e-3)


def test_a_mask_of_background_alone_is_a_valid_object(tmp_path, write_series, mask, caplog):
    write_series(tmp_path / "s")
    source = series_files(tmp_path / "s")
    write_segmentation(tmp_path / "m.dcm", mask * 0, source, CLASSES)
    segmentation = highdicom.seg.segread(tmp_path / "m.dcm")
    assert segmentation.number_of_segments == 3
    assert not segmentation.get_volume(combine_segments=True).array.any()
    assert not caplog.records


def test_a_real_series_whose_header_is_anonymised(tmp_path, real_series):
    source = series_files(real_series)
    assert "FrameOfReferenceUID" not in pydicom.dcmread(source[0])
    mask = np.zeros((24, 512, 512), np.uint8)
    mask[3:9, 100:200, 50:90] = 1
    for name in ("a.dcm", "b.dcm"):
        write_segmentation(tmp_path / name, mask, source, ("background", "liver"))
    one, other = (highdicom.seg.segread(tmp_path / name) for name in ("a.dcm", "b.dcm"))
    assert one.FrameOfReferenceUID == other.FrameOfReferenceUID
    assert one.SOPInstanceUID != other.SOPInstanceUID
    frames = sorted(frames_of(one), key=lambda frame: frame[1][2])
    for z, (_, position, (uid,), pixels) in zip(range(3, 9), frames, strict=True):
        header = pydicom.dcmread(source[z], stop_before_pixels=True)
        assert uid == header.SOPInstanceUID
        np.testing.assert_allclose(position, header.ImagePositionPatient)
        np.testing.assert_array_equal(pixels, mask[z])


def test_headers_with_little_or_odd_in_them(tmp_path, write_series, mask, capfd):
    """What tells the patient is not printed, though highdicom would quote it in a warning."""
    odd = dict(PatientName="Anonymous", PatientSex="U", PatientBirthDate="19700101", StudyID=None)
    few = dict(PatientID=None, FrameOfReferenceUID=None, SliceThickness=None)
    write_series(tmp_path / "s", SpacingBetweenSlices=-7, **odd, **few)
    source = series_files(tmp_path / "s")
    for path in source:
        path.write_bytes(path.read_bytes().replace(b"19700101", b"someday?"))
    write_segmentation(tmp_path / "m.dcm", mask, source, CLASSES)
    assert capfd.readouterr() == ("", "")
    segmentation = highdicom.seg.segread(tmp_path / "m.dcm")
    assert segmentation.PatientName == "Anonymous" and segmentation.PatientSex == "U"
    assert not segmentation.PatientID and not segmentation.StudyID
    (measures,) = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    assert (measures.SliceThickness, measures.SpacingBetweenSlices) == (2, 2)


def test_orientations_may_differ_in_the_last_digits(tmp_path, write_slice, mask):
    for z in range(5):
        axes = [1, 0, 0, 0, 1, f"{z}e-7"]
        write_slice(
            tmp_path / "s" / f"{z}",
            mask[z],
            ImagePositionPatient=[0, 0, z],
            ImageOrientationPatient=axes,
        )
    write_segmentation(tmp_path / "m.dcm", mask, series_files(tmp_path / "s"), CLASSES)
    assert pydicom.dcmread(tmp_path / "m.dcm").NumberOfFrames == 4


def test_a_single_slice(tmp_path, write_slice, mask):
    path = write_slice(tmp_path / "a.dcm", mask[2])
    write_segmentation(tmp_path / "m.dcm", mask[2:3], (path,), CLASSES)
    np.testing.assert_array_equal(
        highdicom.seg.segread(tmp_path / "m.dcm").get_volume(combine_segments=True).array,
        mask[2:3],
    )


@pytest.mark.parametrize(
    "elements, told",
    [
        (dict(ImagePositionPatient=None), "no ImagePositionPatient, which a DICOM-SEG"),
        (dict(StudyInstanceUID=None), "no StudyInstanceUID"),
        (dict(NumberOfFrames=5), "5 frames; DICOM-SEG is written for one file a slice"),
    ],
)
def test_a_source_that_cannot_be_referred_to_is_refused(
    tmp_path, write_slice, mask, elements, told
):
    path = write_slice(tmp_path / "a.dcm", mask[2], **elements)
    with pytest.raises(InputError, match=rf"a\.dcm: {told}"):
        write_segmentation(tmp_path / "m.dcm", mask[2:3], (path,), CLASSES)
    assert os.listdir(tmp_path) == ["a.dcm"]


def test_a_mask_that_does_not_fit_is_refused(tmp_path, write_series, mask):
    write_series(tmp_path / "s")
    source = series_files(tmp_path / "s")
    with pytest.raises(InputError, match="a mask of 4x6x7 voxels does not fit its 5 files of 6x7"):
        write_segmentation(tmp_path / "m.dcm", mask[1:], source, CLASSES)
    with pytest.raises(InputError, match="2 classes do not name .* indices up to 2"):
        write_segmentation(tmp_path / "m.dcm", mask, source, CLASSES[:2])
    for name in ("", "x" * 65):
        with pytest.raises(InputError, match="cannot be the label of a segment"):
            write_segmentation(tmp_path / "m.dcm", mask, source, ("background", name, "a"))
    assert os.listdir(tmp_path) == ["s"]


def test_a_missing_highdicom_is_named_with_the_mend(tmp_path, mask, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(InputError, match=r'needs highdicom.*pip install "tfadvseg\[dicom\]"'):
        write_segmentation(tmp_path / "m.dcm", mask, (), CLASSES)
