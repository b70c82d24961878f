"""Which cases are shown, and how."""

import base64
import logging

import cv2
import numpy as np
import pytest

from tfadvseg.data.folders.cases import Case, read_data_folder
from tfadvseg.data.formats.raster import write_png
from tfadvseg.data.image import Source
from tfadvseg.inference.predictor import Prediction, Predictor
from tfadvseg.pictures import PALETTE, grey
from tfadvseg.report.cases import SIDE, Slice, choose, find_cases, load_slice, predict
from tfadvseg.report.results import read_result


def decode(url):
    content = base64.b64decode(url.removeprefix("data:image/png;base64,"))
    return cv2.imdecode(np.frombuffer(content, np.uint8), 1)[..., ::-1]


def colours(url):
    return {tuple(colour) for colour in decode(url).reshape(-1, 3).tolist()}


def test_of_two_channels_the_first_is_shown_whatever_the_other_measures():
    ramp = np.linspace(0, 5, 400).reshape(20, 20, 1)
    both = np.concatenate([ramp, 1000 * ramp[::-1] - 3], axis=-1)
    np.testing.assert_array_equal(grey(both), grey(ramp))
    assert np.ptp(grey(both)) == 255


@pytest.fixture
def square():
    """A slice of 60x40 pixels of 1x2 mm with a square of class 2."""
    image = np.random.default_rng(0).integers(0, 200, (60, 40, 1)).astype(np.uint8)
    mask = np.zeros((60, 40), np.uint8)
    mask[20:30, 10:20] = 2
    return Slice("a", image, mask, (1.0, 2.0))


@pytest.mark.parametrize(
    ("dice", "expected"),
    [
        ([0.1, 0.9, 0.5, None, 0.7], {"p1": "best", "p2": "median", "p0": "worst"}),
        ([0.4, 0.2], {"p0": "best", "p1": "worst"}),
        ([0.4], {"p0": "best"}),
        ([None], {}),
    ],
)
def test_best_median_and_worst(make_metrics, dice, expected):
    result = read_result(make_metrics({f"p{n}": [value, value] for n, value in enumerate(dice)}))
    chosen = {name.removesuffix("_slice"): rank for name, rank in choose([result]).items()}
    if len(dice) == 5:  # of four values the upper one of the middle
        expected = {"p1": "best", "p4": "median", "p0": "worst"}
    assert chosen == expected


def test_pictures_have_square_pixels_and_contours_in_the_colour_of_the_class(square):
    assert decode(square.picture()).shape == (round(SIDE * 60 / 80), SIDE, 3)
    colour = tuple(PALETTE[2].tolist())
    assert colour not in colours(square.picture()) and colour in colours(
        square.picture(square.mask)
    )
    assert decode(square.map(np.full((60, 40), 0.5))).shape == (192, 256, 3)


def test_pictures_show_what_is_marked_by_label_or_prediction(square):
    predicted = np.zeros((60, 40), np.uint8)
    predicted[50, 35] = 1
    alone, both = square.around([]), square.around([predicted])
    assert alone.window == (slice(15, 35), slice(8, 22))  # a third of each side
    rows, columns = both.window
    assert rows.start <= 20 and rows.stop >= 51 and columns.start <= 10 and columns.stop >= 36
    assert tuple(PALETTE[1].tolist()) in colours(both.picture(predicted))
    assert square.around([predicted * 0]).window == alone.window
    assert Slice("b", square.image, predicted * 0, None).around([]).window == (slice(None),) * 2


def test_of_a_volume_the_slice_with_the_most_foreground(tmp_path):
    mask = np.zeros((5, 8, 8), np.uint8)
    mask[1, :2], mask[3, :4], mask[4] = 1, 1, 255
    for name, voxels in (("image", mask * 10), ("mask", mask)):
        cv2.imwritemulti(str(tmp_path / f"{name}.tif"), list(voxels))
    case = Case("v", Source((tmp_path / "image.tif",)), tmp_path / "mask.tif", "p")
    shown = load_slice(case, "acquisition", 255)
    assert shown.name == "v, slice 4 of 5" and (shown.mask > 0).sum() == 32
    assert set(np.unique(load_slice(case, "acquisition", 254).mask)) == {255}


def test_cases_that_are_gone_are_told(judged, phantom, tmp_path):
    run = judged[0]
    names = [case["case"] for case in judged[1]["per_case"]]
    assert set(find_cases(run, None, names)) == set(names)
    assert "is not there" in find_cases(run, tmp_path / "moved", names)
    case = next(c for c in read_data_folder(phantom).cases if c.name == names[0])
    case.mask.unlink()
    assert find_cases(run, phantom, names).startswith(f"{names[0]} or its mask is no longer in")


def test_a_picture_without_foreground(tmp_path):
    write_png(tmp_path / "image.png", np.full((6, 6), 9, np.uint8))
    write_png(tmp_path / "mask.png", np.zeros((6, 6), np.uint8))
    case = Case("e", Source((tmp_path / "image.png",)), tmp_path / "mask.png", "p")
    shown = load_slice(case, "acquisition", 255)
    assert shown.name == "e" and decode(shown.around([]).picture()).shape == (SIDE, SIDE, 3)


def test_what_tensorflow_says_of_many_models_is_kept_back_for_as_long_as_it_lasts(
    caplog, monkeypatch, tmp_path
):
    """Each model is a function of its own, which TensorFlow takes for one that is compiled anew."""
    logger = logging.getLogger("tensorflow")
    monkeypatch.setattr(logger, "propagate", True)
    image = np.zeros((4, 4, 1), np.uint8)

    def predictor(slices, spacing):
        logger.warning("5 out of the last 5 calls triggered tf.function retracing")
        return Prediction(slices[..., 0], slices, None)

    monkeypatch.setattr(Predictor, "load", lambda run, checkpoint: predictor)
    found = predict(tmp_path, {"a": Slice("a", image, image[..., 0], None)})
    assert found["a"].confidence is None and found["a"].mask.shape == (4, 4)
    assert not caplog.records
    logger.warning("heard")
    assert [record.message for record in caplog.records] == ["heard"]
