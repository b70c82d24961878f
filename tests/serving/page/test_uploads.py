"""What the page asks for, over plain HTTP: answers, refusals, and what is left of them."""

import asyncio
import base64
import gzip
import http.client
import json
import zlib

import cv2
import numpy as np
import pytest
import SimpleITK as sitk
import tensorflow as tf

from tfadvseg.data.geometry import Slicing
from tfadvseg.pictures import PALETTE
from tfadvseg.serving.manager import Manager
from tfadvseg.serving.metrics import Metrics
from tfadvseg.serving.page.models import inputs_for, list_models
from tfadvseg.serving.page.slices import Slice
from tfadvseg.serving.status import ServingError
from tfadvseg.serving.versions import Policy


@pytest.fixture
def ask(page_client):
    """Status and answer for a file."""

    def post(content, model="net", call="segment", **query):
        path = f"/page/{call}?model={model}" + "".join(f"&{k}={v}" for k, v in query.items())
        status, text = page_client.http("POST", path, content)
        return status, json.loads(text)

    return post


def picture(text):
    content = np.frombuffer(base64.b64decode(text), np.uint8)
    return cv2.imdecode(content, cv2.IMREAD_UNCHANGED)


def share(answer, name):
    """A map as it was sent, 0 to 1."""
    content = zlib.decompress(base64.b64decode(answer["maps"][name]))
    return np.frombuffer(content, np.uint8).reshape(answer["height"], answer["width"]) / 255


def test_a_picture(ask, square):
    status, answer = ask(square.read_bytes())
    bright = cv2.imread(str(square), cv2.IMREAD_UNCHANGED) > 128
    assert status == 200 and answer["model"] == "net" and answer["version"] == 1
    np.testing.assert_array_equal(picture(answer["mask"]), bright)
    assert picture(answer["image"]).tolist() == np.where(bright, 255, 0).tolist()  # percentiles
    assert answer["shown"] == [60, 200]
    assert answer["classes"] == [
        {
            "index": 1,
            "name": "class 1",
            "colour": "#" + bytes(PALETTE[1]).hex(),
            "pixels": 300,
            "area_mm2": None,
            "probability": 1.0,
        }
    ]
    assert (answer["slices"], answer["pixel_mm"], answer["nifti"]) == (1, None, None)


def test_an_export_is_asked_like_any_client_asks(ask, page_client):
    values = np.random.default_rng(2).integers(0, 60000, (37, 50)).astype(np.uint16)
    status, answer = ask(cv2.imencode(".png", values)[1].tobytes(), "heart")
    images = values[np.newaxis, ..., np.newaxis].astype(np.float32)
    said = page_client.predict(model="heart", images=images)
    mask = said["mask"][0]
    assert status == 200
    np.testing.assert_array_equal(picture(answer["mask"]), mask)
    np.testing.assert_array_equal(np.rint(share(answer, "mask") * 255), mask)
    expected = said["probabilities"][0].max(axis=-1)
    np.testing.assert_allclose(share(answer, "probability"), expected, atol=0.0021)
    np.testing.assert_allclose(share(answer, "confidence"), said["confidence"][0], atol=0.0021)
    assert [one["name"] for one in answer["classes"]] == ["aorta", "pulmonary artery"]
    for one in answer["classes"]:
        inside = mask == one["index"]
        assert one["pixels"] == inside.sum()
        if inside.any():
            assert one["confidence"] == pytest.approx(
                said["confidence"][0][inside].mean(), abs=1e-3
            )
    assert answer["shown"] == [0, 255]  # the window of the run


def test_slices_of_a_volume(ask, volume):
    content = volume.read_bytes()
    status, middle = ask(content)
    assert (status, middle["slices"], middle["slice"]) == (200, 6, 3)
    assert middle["pixel_mm"] == [0.75, 0.5]
    # The file runs from the head down: slice 0 shows its last plane.
    for k in (0, 5):
        answer = ask(content, slice=k)[1]
        (one,) = answer["classes"]
        assert one["pixels"] == (6 - k) ** 2
        assert one["area_mm2"] == pytest.approx((6 - k) ** 2 * 0.375)


@pytest.mark.parametrize("axes", [(-1, 0, 0, 0, -1, 0, 0, 0, -1), (0, 0, 1, 1, 0, 0, 0, 1, 0)])
def test_the_mask_as_nifti_lies_over_the_volume(ask, volume, tmp_path, axes):
    image = sitk.ReadImage(str(volume))
    image.SetDirection(axes)
    sitk.WriteImage(image, str(volume))
    answer = ask(volume.read_bytes(), slice=1)[1]
    (tmp_path / "mask.nii.gz").write_bytes(base64.b64decode(answer["nifti"]))
    mask = sitk.ReadImage(str(tmp_path / "mask.nii.gz"))
    start = image.TransformPhysicalPointToIndex(mask.GetOrigin())
    part = sitk.GetArrayFromImage(
        image[tuple(slice(s, s + n) for s, n in zip(start, mask.GetSize(), strict=True))]
    )
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), part > 128)
    assert (part > 128).sum() == answer["classes"][0]["pixels"] > 0
    np.testing.assert_allclose(mask.GetSpacing(), image.GetSpacing())


def test_dicom_knows_its_pixels_only_if_it_says_so(ask, write_slice, tmp_path):
    pixels = np.zeros((20, 30), np.int16)
    pixels[5:9, 4:10] = 1300  # 276 HU
    areas = []
    for name, elements in (("said", {}), ("unsaid", {"PixelSpacing": None})):
        file = write_slice(tmp_path / name, pixels, **elements)
        answer = ask(file.read_bytes())[1]
        areas.append((answer["classes"][0]["pixels"], answer["classes"][0]["area_mm2"]))
    assert areas == [(24, pytest.approx(24 * 0.75 * 0.5)), (24, None)]


def test_a_pixel_size_reaches_the_model_that_needs_it(ask, volume, square):
    answer = ask(volume.read_bytes(), "spaced")[1]
    assert answer["classes"] == []  # none is brighter than 750
    image = sitk.ReadImage(str(volume))
    image.SetSpacing((0.2, 0.2, 3.0))
    sitk.WriteImage(image, str(volume))
    answer = ask(volume.read_bytes(), "spaced")[1]
    assert answer["classes"][0]["pixels"] == 9 and "probability" not in answer["maps"]
    status, refusal = ask(square.read_bytes(), "spaced")
    assert status == 400 and "pixel size in mm" in refusal["error"]


def test_a_pixel_size_as_onnx_models_take_it():
    one = Slice(np.zeros((3, 4, 1)), 0, 1, (0.75, 0.5), None, Slicing(), ())
    specs = {"images": tf.TensorSpec([None] * 3 + [1]), "spacing_mm": tf.TensorSpec([2])}
    assert inputs_for(one, specs)["spacing_mm"].tolist() == [0.75, 0.5]


def test_an_example(ask):
    status, answer = ask(None, "heart", "example")
    assert (status, answer["slices"], answer["slice"]) == (200, 12, 6)
    assert answer["pixel_mm"] == [360 / 256] * 2
    grey = picture(answer["image"])
    assert grey.shape == (256, 256) and grey.std() > 40
    again = picture(ask(None, "heart", "example", slice=6)[1]["image"])
    np.testing.assert_array_equal(again, grey)
    assert ask(None, "spaced", "example")[0] == 200


def test_odd_voxels_are_told(ask, tmp_path):
    voxels = np.full((1, 8, 8), 200, np.float32)
    voxels[0, 2, 2:4] = np.nan
    sitk.WriteImage(sitk.GetImageFromArray(voxels), str(tmp_path / "odd.nii"))
    status, answer = ask((tmp_path / "odd.nii").read_bytes())
    assert status == 200 and answer["classes"][0]["pixels"] == 62
    assert answer["notes"] == ["image: 2 voxels are no numbers; they become 0"]


def nifti(*sides, held=1000):
    """A NIfTI file whose header announces sides, whatever it holds."""
    header = bytearray(352)
    header[:4] = (348).to_bytes(4, "little")
    for place, number in enumerate((len(sides), *sides)):
        header[40 + 2 * place : 42 + 2 * place] = number.to_bytes(2, "little")
    header[70] = 2  # 8 bits
    header[108:112] = np.float32(352).tobytes()
    header[344:348] = b"n+1\0"
    return bytes(header) + bytes(held)


def png(*shape):
    return cv2.imencode(".png", np.zeros(shape, np.uint8))[1].tobytes()


def bomb():
    """A small PNG that announces 60000 x 60000 pixels."""
    content = bytearray(png(8, 8))
    content[16:24] = (60000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


REFUSED = {
    "nothing": (b"", 400, "not an image"),
    "text": (b"Dear radiologist,", 400, "expected a PNG, JPEG, DICOM or NIfTI file"),
    "GIF": (b"GIF89a" + bytes(50), 400, "received GIF"),
    "truncated PNG": (png(9, 9)[:-20], 400, "truncated or damaged"),
    "PNG bomb": (bomb(), 400, "its header announces 60000x60000 pixels"),
    "large PNG": (png(1001, 1000), 400, "1,001,000 pixels, more than the 1,000,000 of --max-pix"),
    "colour": (
        png(9, 9, 3),
        400,
        r"expected an image with 1 channel(s) as in training, received 3",
    ),
    "gzip of text": (gzip.compress(b"Dear radiologist,"), 400, "expected a PNG"),
    "damaged gzip": (b"\x1f\x8b" + bytes(40), 400, "a damaged gzip file"),
    "truncated gzip": (gzip.compress(nifti(9, 9, 9))[:40], 400, "truncated or damaged"),
    "large NIfTI": (nifti(1000, 1000, 2), 400, "2,000,000 pixels, more than"),
    "packed NIfTI bomb": (gzip.compress(nifti(30000, 30000, 30000)), 400, "header announces"),
    "truncated NIfTI": (
        gzip.compress(nifti(50, 50, 2)),
        400,
        "announces 5,000 bytes, it holds 1,000",
    ),
    "four axes": (nifti(5, 5, 5, 8), 400, "expected 3"),
    "truncated DICOM": (bytes(128) + b"DICM" + bytes(9), 400, "image: damaged"),
    "large body": (bytes(2_000_001), 413, "--max-body-mb"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_are_one_line(ask, name):
    content, expected, words = REFUSED[name]
    status, answer = ask(content)
    assert status == expected and words in answer["error"]
    assert "\n" not in answer["error"] and "/" not in answer["error"]


def test_a_dicom_file_with_too_many_pixels(ask, write_slice, tmp_path):
    file = write_slice(tmp_path / "large", np.zeros((1001, 1000), np.uint8), dtype=np.uint8)
    status, answer = ask(file.read_bytes())
    assert status == 400 and "1,001,000 pixels" in answer["error"]


@pytest.mark.parametrize("kind", ["jpg", "jp2"])
def test_a_dicom_file_whose_frame_is_larger_than_its_header_says(ask, write_slice, tmp_path, kind):
    pydicom = pytest.importorskip("pydicom")
    frame = cv2.imencode(f".{kind}", np.zeros((1001, 1000), np.uint8))[1].tobytes()
    syntax = pydicom.uid.JPEGBaseline8Bit if kind == "jpg" else pydicom.uid.JPEG2000
    small = write_slice(tmp_path / "small", np.zeros((64, 64), np.uint8), dtype=np.uint8)
    dataset = pydicom.dcmread(small)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = pydicom.encaps.encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(small, enforce_file_format=True)
    status, answer = ask(small.read_bytes())
    assert status == 400 and "1,001,000 pixels" in answer["error"]


def test_what_is_not_there(ask, square):
    content = square.read_bytes()
    assert ask(content, "nobody")[0] == 404
    assert ask(content, slice=1) == (400, {"error": "slice 1: expected 0 to 0"})
    assert ask(content, slice="-1")[0] == ask(content, slice="x" * 20)[0] == 400
    status, answer = ask(content, "foreign")
    assert status == 400 and "gRPC and REST can" in answer["error"]


def test_the_models(page_client):
    status, found = page_client.get("/page/models")
    told = {one.pop("name"): one for one in found["models"]}
    assert status == 200 and found["most_bytes"] == 2_000_000
    assert told["heart"] == {"version": 1, "confidence": True, "needs_pixel_size": False}
    assert told["net"] == {"version": 1, "confidence": False, "needs_pixel_size": False}
    assert told["spaced"]["needs_pixel_size"] and "gRPC and REST can" in told["foreign"]["problem"]


def test_no_model_is_listed_before_the_first_are_loaded(tmp_path):
    (tmp_path / "net" / "1").mkdir(parents=True)
    (tmp_path / "net" / "1" / "model").write_text("slow to load")
    refused = []

    def load(folder):
        with pytest.raises(ServingError, match="being loaded") as caught:
            list_models(manager)
        refused.append(caught.value.http)
        return {}

    manager = Manager(tmp_path, "model", load, Policy(), Metrics())
    asyncio.run(manager.look(at_once=True))
    assert refused == [503] and [one["name"] for one in list_models(manager)] == ["net"]


def test_nothing_is_kept_or_logged(ask, page_server, page_client, square, write_slice, tmp_path):
    file = write_slice(tmp_path / "Jones", np.zeros((9, 9), np.int16), PatientName="Jones^Tom")
    ask(file.read_bytes())
    ask(file.read_bytes()[:-50])
    ask(square.read_bytes(), "spaced")
    assert list(page_server.scratch.iterdir()) == []
    log = "".join(page_server.log)
    assert "entrypoint=PAGE" in log and "Jones" not in log and str(page_server.scratch) not in log
    name = ":tensorflow:serving:request_count"
    assert page_client.metric(name, model_name="net", status="OK", signature="serving_default") > 0


def test_a_page_for_no_other_site(page_server):
    connection = http.client.HTTPConnection("127.0.0.1", page_server.ports()[1], timeout=60)
    connection.request("GET", "/")
    headers = connection.getresponse().headers
    connection.close()
    policy = dict(
        part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";")
    )
    assert policy.pop("default-src") == "'none'"
    assert set(policy.values()) == {"'self'", "'none'"}
    assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"
