"""What the tests share: a tiny phantom, tiny settings, and quiet third parties."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TFADVSEG_SALT"] = "tests"  # else a file in the home of whoever runs the tests

import base64
import gc
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from tfadvseg import telemetry
from tfadvseg.config import Config
from tfadvseg.data.phantom import write_phantom
from tfadvseg.preparation import prepare
from tfadvseg.run_folder import RunFolder, write_text

telemetry.forbid()  # tests that ask for these packages import them first

TINY = {
    "base_filters": 4,
    "depth": 2,
    "image_size": 32,
    "discriminator_filters": [4, 8],
    "steps": 6,
    "validate_every": 2,
    "batch_size": 2,
    "unlabelled_batch_size": 2,
}


def pytest_collection_finish():
    """Spares the garbage collector what was imported, where it spent a tenth of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Keeps the tests out of the cache of whoever runs them."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def tiny():
    """Settings that train in seconds."""
    return dict(TINY)


@pytest.fixture(scope="session")
def tiny_options():
    """The same as options of the command line."""
    return [f"--set={name}={value}" for name, value in TINY.items()]


@pytest.fixture(scope="session")
def shared_phantom(tmp_path_factory):
    """A data folder that no test changes: 4 patients (2 train, 1 val, 1 test) of 3 slices."""
    folder = tmp_path_factory.mktemp("shared") / "phantom"
    write_phantom(folder, patients=4, slices=3, size=48, seed=1)
    return folder


@pytest.fixture(scope="session")
def make_run(shared_phantom, tiny, tmp_path_factory):
    """A run folder whose networks were never trained: what they say is random but fixed."""
    from tfadvseg.building import build_model  # here: TensorFlow, which most tests do without

    def make(data=shared_phantom, **settings):
        config, split = prepare(Config(**{**tiny, "data": str(data), **settings}))
        folder = RunFolder(tmp_path_factory.mktemp("runs") / "heart run")
        folder.create()
        write_text(folder.path / "config.yaml", config.to_yaml())
        folder.write_json("split.json", split.to_json())
        build_model(config).save(folder.path / "best.keras")
        return folder.path

    return make


@pytest.fixture(scope="session")
def adversarial_run(make_run):
    """A run with a discriminator, which no test changes."""
    return make_run(recipe="adversarial")


@pytest.fixture(scope="session")
def exported_run(adversarial_run, tmp_path_factory):
    """Its SavedModel with confidence, version 1 of `heart`, which no test changes."""
    from tfadvseg.export.saved_model import export_saved_model

    return export_saved_model(
        adversarial_run, tmp_path_factory.mktemp("exported") / "heart", confidence=True
    )[0]


@pytest.fixture
def phantom(shared_phantom, tmp_path) -> Path:
    """A copy of the phantom that a test may spoil."""
    return Path(shutil.copytree(shared_phantom, tmp_path / "phantom"))


@pytest.fixture(scope="session")
def real_data():
    """Finds a folder of public images that lies beside the checkout; they are in no repository."""

    def find(name) -> Path:
        folders = (parent / "shared" / "data" / name for parent in Path(__file__).parents)
        found = next((folder for folder in folders if folder.is_dir()), None)
        return found or pytest.skip(f"no shared/data/{name} beside the checkout")

    return find


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


class Page(HTMLParser):
    """The elements of a page and its text; every element is closed by its own end."""

    VOID = ("meta", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.text, self.headings = [], [], "", []
        without_pictures = re.sub(r'src="data:[^"]*"', "", text)
        assert "http" not in without_pictures and "//" not in without_pictures
        assert "None" not in without_pictures and "nan" not in without_pictures.split()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)

    def count(self, tag, **attributes):
        return sum(
            tag == name and attributes.items() <= found.items() for name, found in self.elements
        )

    def pictures(self):
        """Alternative text to pixels."""
        found = {}
        for tag, attributes in self.elements:
            if tag == "img":
                content = base64.b64decode(attributes["src"].removeprefix("data:image/png;base64,"))
                pixels = cv2.imdecode(np.frombuffer(content, np.uint8), 1)[..., ::-1]
                found[attributes["alt"]] = pixels
        return found


@pytest.fixture(scope="session")
def read_page():
    """Reads a page as a browser would, and checks what every page promises."""
    return lambda file: Page(file.read_text(encoding="utf-8"))
