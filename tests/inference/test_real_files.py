"""Public CT scans: what is written lies where the scan lies, by readers that are not ours."""

import numpy as np
import pytest
import SimpleITK as sitk

from tfadvseg.errors import InputError
from tfadvseg.inference.files import Outputs, find_inputs, predict_files

nibabel = pytest.importorskip("nibabel")
pydicom = pytest.importorskip("pydicom")
highdicom = pytest.importorskip("highdicom")


def test_nifti_scans_keep_their_affine(tmp_path, predictor, real_data, calibration):
    folder = real_data("ct_nifti") / "images"
    outputs = Outputs(tmp_path, calibration=calibration)
    rows = predict_files(predictor, find_inputs([folder], outputs), outputs)
    assert len(rows) == 2
    for path in folder.iterdir():
        scan = nibabel.load(path)
        for result in (tmp_path / path.name, tmp_path / "confidence" / path.name):
            written = nibabel.load(result)
            assert written.shape == scan.shape
            np.testing.assert_allclose(written.affine, scan.affine, atol=1e-5)


@pytest.fixture
def headers(real_data):
    """Of the slices of a DICOM series, from the feet up."""
    files = (real_data("ct_dicom") / "patient01").iterdir()
    read = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
    return sorted(read, key=lambda header: header.ImagePositionPatient[2])


def test_a_dicom_series_becomes_nifti_and_a_segmentation(tmp_path, predictor, real_data, headers):
    sources = find_inputs([real_data("ct_dicom") / "patient01"], Outputs(tmp_path))
    predict_files(predictor, sources, Outputs(tmp_path))
    predict_files(predictor, sources, Outputs(tmp_path, "dicom-seg"))
    mask = sitk.ReadImage(str(tmp_path / "patient01.nii.gz"))
    affine = nibabel.load(tmp_path / "patient01.nii.gz").affine
    for k, header in enumerate(headers):
        place = np.array(header.ImagePositionPatient, float)
        np.testing.assert_allclose(mask.TransformIndexToPhysicalPoint((0, 0, k)), place, atol=1e-4)
        ras = affine @ (0, 0, k, 1)
        np.testing.assert_allclose(ras[:3], place * (-1, -1, 1), atol=1e-4)
    written = pydicom.dcmread(tmp_path / "patient01.dcm")
    assert written.SOPClassUID == pydicom.uid.SegmentationStorage
    assert [segment.SegmentLabel for segment in written.SegmentSequence] == ["left atrium", "aorta"]
    (series,) = written.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == headers[0].SeriesInstanceUID
    pixels = highdicom.seg.segread(tmp_path / "patient01.dcm").get_pixels_by_source_instance(
        [header.SOPInstanceUID for header in headers],
        combine_segments=True,
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )
    np.testing.assert_array_equal(pixels, sitk.GetArrayFromImage(mask))
    assert len(np.unique(pixels)) > 1


def test_what_no_segmentation_can_name_is_refused_before_predicting(
    tmp_path, make_predictor, real_data, monkeypatch
):
    predictor = make_predictor(classes=("background", "x" * 65, "b"))
    monkeypatch.setattr(predictor, "stream", lambda image: pytest.fail("predicts"))
    outputs = Outputs(tmp_path / "out", "dicom-seg")
    sources = find_inputs([real_data("ct_dicom") / "patient01"], outputs)
    with pytest.raises(InputError, match="cannot be the label of a segment.*1 to 64"):
        predict_files(predictor, sources, outputs)
    assert not (tmp_path / "out").exists()
