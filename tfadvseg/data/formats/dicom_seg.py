"""Masks as DICOM Segmentation objects, which archives and viewers lay over the source series."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfadvseg import __version__
from tfadvseg.errors import InputError

if TYPE_CHECKING:
    from highdicom.seg import Segmentation, SegmentDescription
    from pydicom.dataset import Dataset
    from pydicom.sr.coding import Code

SERIES_NUMBER = 1000  # after the series of the scanner
LONGEST_LABEL = 64  # characters; what a DICOM text of one line (LO) holds
# Names of classes that have a code of their own, as pydicom's dictionary of SNOMED CT writes them.
STRUCTURES = (
    "Heart LeftVentricle RightVentricle LeftAtrium RightAtrium Pericardium CoronaryArtery "
    "Aorta AscendingAorta AorticArch DescendingAorta AbdominalAorta PulmonaryArtery PulmonaryVein "
    "SuperiorVenaCava InferiorVenaCava Lung Liver Spleen Kidney Pancreas Brain Prostate"
).split()

# Every object has them, if only blank (type 2); the headers of anonymised files often do not.
IDENTITY = (
    "PatientID PatientName PatientBirthDate PatientSex AccessionNumber StudyID StudyDate StudyTime"
).split()
_REQUIRED = (
    "StudyInstanceUID SeriesInstanceUID SOPInstanceUID SOPClassUID Rows Columns PixelSpacing "
    "ImagePositionPatient ImageOrientationPatient"
).split()


def write_segmentation(
    path: Path, mask: np.ndarray, source: Sequence[Path], classes: Sequence[str]
) -> None:
    """Writes a mask as a binary DICOM Segmentation: one segment for each foreground class.

    A class that the mask lacks is a segment without frames: it was looked for. The standard asks
    for one frame at least, so a mask of background alone is written with all its frames, empty.

    The object belongs to the patient and the study of the source, and holds their identities as
    the source does. A source without FrameOfReferenceUID gets one that is derived from its
    SeriesInstanceUID: positions need one, and all segmentations of the series then share it.

    Args:
        path: the file; its folder is made where it is missing. It appears whole or not at all.
        mask: (Z, Y, X) class indices, uint8.
        source: the file of each slice, as `series_files` gives them.
        classes: names by class index, the background first.

    Raises:
        InputError: if the source does not allow it, see `check_source`, or the mask does not fit.
    """
    segmentation = _convert(path, mask, source, classes)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as scratch:
        temporary = Path(scratch) / path.name
        segmentation.save_as(temporary)
        temporary.replace(path)


def check_source(source: Sequence[Path], classes: Sequence[str]) -> list[Dataset]:
    """Refuses what no DICOM-SEG can be written for, before a mask is there.

    Args:
        source: the file of each slice, as `series_files` gives them.
        classes: names by class index, the background first.

    Returns:
        The headers of the slices.

    Raises:
        InputError: if highdicom is not installed, if the source has not one file a slice, if its
            headers lack what the object has to refer to, or if a class cannot be a label.
    """
    try:
        import highdicom  # noqa: F401
    except ImportError as error:
        raise InputError(
            'DICOM-SEG needs highdicom, which is not installed; pip install "tfadvseg[dicom]", or '
            "choose another format"
        ) from error
    for name in classes[1:]:
        if not 0 < len(name) <= LONGEST_LABEL:
            raise InputError(
                f"{source[0].parent}: the class {name!r} cannot be the label of a segment; "
                f"expected 1 to {LONGEST_LABEL} characters, received {len(name)}"
            )
    return [_read_header(file) for file in source]


def _convert(
    path: Path, mask: np.ndarray, source: Sequence[Path], classes: Sequence[str]
) -> Segmentation:
    slices = check_source(source, classes)
    # highdicom refuses odd values of these, or quotes them in a warning: they pass it by.
    identity = [copy(slices[0][name]) for name in IDENTITY]
    for name in IDENTITY:
        setattr(slices[0], name, None)
    _check_mask(path, mask, source[0].parent, slices, classes)
    try:
        segmentation = _segmentation(mask, slices, classes)
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"{source[0].parent}: its headers do not allow a DICOM-SEG ({error}); write another "
            "format"
        ) from error
    for element in identity:
        segmentation.add(element)
    return segmentation


def _check_mask(
    path: Path, mask: np.ndarray, folder: Path, slices: Sequence[Dataset], classes: Sequence[str]
) -> None:
    expected = (len(slices), slices[0].Rows, slices[0].Columns)
    if mask.shape != expected:
        raise InputError(
            f"{folder}: a mask of {_by(mask.shape)} voxels does not fit its {len(slices)} files "
            f"of {_by(expected[1:])} pixels; give the files of its slices"
        )
    if len(classes) <= max(1, int(mask.max())):
        raise InputError(
            f"{path}: {len(classes)} classes do not name the background and the indices up to "
            f"{mask.max()} of the mask; give a name for each"
        )


def _read_header(path: Path) -> Dataset:
    """The header of a slice, with what highdicom asks for and an anonymised one may lack."""
    from pydicom import dcmread
    from pydicom.uid import generate_uid

    header = dcmread(path, stop_before_pixels=True, force=True)
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise InputError(
            f"{path}: {header.NumberOfFrames} frames; DICOM-SEG is written for one file a slice, "
            "write another format"
        )
    missing = [name for name in _REQUIRED if not header.get(name)]
    if missing:
        raise InputError(
            f"{path}: no {missing[0]}, which a DICOM-SEG has to refer to; write another format"
        )
    for name in IDENTITY:
        if name not in header:
            setattr(header, name, None)
    if not header.get("FrameOfReferenceUID"):
        header.FrameOfReferenceUID = generate_uid(entropy_srcs=[header.SeriesInstanceUID])
    return header


def _segmentation(
    mask: np.ndarray, slices: Sequence[Dataset], classes: Sequence[str]
) -> Segmentation:
    from highdicom import UID
    from highdicom.seg import Segmentation

    first = slices[0]
    first.SliceThickness = _thickness(slices)
    first.SpacingBetweenSlices = None  # highdicom finds it by the positions
    for header in slices:  # they may differ in the last digits, which highdicom refuses
        header.ImageOrientationPatient = first.ImageOrientationPatient
    return Segmentation(
        source_images=slices,
        pixel_array=mask,
        segmentation_type="BINARY",
        segment_descriptions=[_segment(n, name) for n, name in enumerate(classes) if n],
        series_instance_uid=UID(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer="tfadvseg",
        manufacturer_model_name="tfadvseg",
        software_versions=__version__,
        device_serial_number="none",
        omit_empty_frames=bool(mask.any()),
        content_label="SEGMENTATION",
        series_description="tfadvseg segmentation",
        specific_character_set="ISO_IR 192",
    )


def _segment(number: int, name: str) -> SegmentDescription:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes

    return SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=_code(name),
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            "tfadvseg", codes.DCM.ArtificialIntelligence, __version__
        ),
    )


def _code(name: str) -> Code:
    """The code of a structure by its name; of any anatomical structure where it is not known."""
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    plain = "".join(letter for letter in name.casefold() if letter.isalnum())
    if plain == "myocardium":
        return Code("74281007", "SCT", "Myocardium")  # not in pydicom's dictionary
    known = next((word for word in STRUCTURES if word.casefold() == plain), "AnatomicalStructure")
    return getattr(codes.SCT, known)


def _thickness(slices: Sequence[Dataset]) -> float:
    """Of a slice in mm; the distance to the next where the header does not tell."""
    if slices[0].get("SliceThickness"):
        return float(slices[0].SliceThickness)
    if len(slices) == 1:
        return 1.0
    here, there = (np.array(header.ImagePositionPatient, float) for header in slices[:2])
    return float(np.linalg.norm(there - here))


def _by(numbers: Sequence[int]) -> str:
    return "x".join(map(str, numbers))
