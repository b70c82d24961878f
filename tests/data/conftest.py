"""Small DICOM series, written with pydicom."""

import numpy as np
import pytest

NORMAL = np.cross([0.8, 0.6, 0], [0, 0, -1])
OBLIQUE = [0.8, 0.6, 0, 0, 0, -1]


@pytest.fixture
def write_slice():
    """Writes one CT slice; elements by keyword, None leaves one out."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom import uid

    def write(path, pixels, *, syntax=uid.ExplicitVRLittleEndian, preamble=True, **elements):
        pixels = np.asarray(pixels, elements.pop("dtype", np.int16))
        dataset = pydicom.Dataset()
        values = dict(
            SOPClassUID=uid.CTImageStorage,
            SOPInstanceUID=uid.generate_uid(),
            StudyInstanceUID="1.2.3",
            SeriesInstanceUID="1.2.3.4",
            FrameOfReferenceUID="1.2.3.5",
            Modality="CT",
            SpecificCharacterSet="ISO_IR 100",
            PatientName="Müller^Jörg",
            PatientID="ID-4711",
            SeriesNumber=3,
            SeriesDescription="Thorax",
            PixelSpacing=[0.75, 0.5],
            SliceThickness=9,
            ImagePositionPatient=[-10, -20, 0],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            SamplesPerPixel=1,
            PhotometricInterpretation="MONOCHROME2",
            Rows=pixels.shape[-2],
            Columns=pixels.shape[-1],
            NumberOfFrames=len(pixels) if pixels.ndim > 2 else None,
            BitsAllocated=pixels.itemsize * 8,
            BitsStored=pixels.itemsize * 8,
            HighBit=pixels.itemsize * 8 - 1,
            PixelRepresentation=int(pixels.dtype.kind == "i"),
            RescaleSlope=1,
            RescaleIntercept=-1024,
            PixelData=pixels.tobytes(),
        )
        for name, value in (values | elements).items():
            if value is not None:
                setattr(dataset, name, value)
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        path.parent.mkdir(parents=True, exist_ok=True)
        if preamble:
            dataset.save_as(path, enforce_file_format=True)
        else:
            del dataset.file_meta
            dataset.save_as(path, implicit_vr=True, little_endian=True)
        return path

    return write


@pytest.fixture
def write_series(write_slice):
    """Writes a series whose file names say nothing of the order; returns the true voxels (HU)."""

    def write(folder, heights=(0, 2, 4, 6, 8), *, shape=(6, 7), oblique=False, seed=0, **elements):
        rng = np.random.default_rng(seed)
        stored = rng.integers(-800, 2000, (len(heights), *shape)).astype(np.int16)
        names = rng.permutation(len(heights))
        normal = NORMAL if oblique else np.array([0, 0, 1])
        axes = dict(ImageOrientationPatient=OBLIQUE) if oblique else {}
        for name, height, pixels in zip(names, heights, stored, strict=True):
            position = np.array([-10, -20, 5]) + height * normal
            own = dict(ImagePositionPatient=[f"{x:.6g}" for x in position], **axes)
            write_slice(folder / f"IM{name:04d}", pixels, **(own | elements))
        return stored[np.argsort(heights, kind="stable")] - 1024

    return write


@pytest.fixture
def real_series(real_data):
    """24 slices of a CT series of 3D-IRCADb-01."""
    return real_data("ct_dicom") / "patient01"
