"""Headers of encoded images, read before anything is decoded."""

import cv2
import numpy as np
import pytest

from tfadvseg.serving.images import kinds
from tfadvseg.serving.status import ServingError

MANY = 10**9


def encode(ending, shape, dtype=np.uint8):
    return cv2.imencode(ending, np.zeros(shape, dtype))[1].tobytes()


def test_kinds_tell_apart_what_one_batch_may_not_hold():
    contents = [
        encode(".png", (4, 6)),
        encode(".png", (4, 6)),
        encode(".png", (6, 4)),
        encode(".png", (4, 6), np.uint16),
        encode(".png", (4, 6, 3)),
        encode(".jpg", (4, 6)),
        b"text",
    ]
    found, pixels = kinds(contents, MANY)
    assert pixels == 6 * 24
    assert found[0] == found[1] and found[-1] is None
    assert len(set(found)) == 6


def test_pixels_are_counted_together():
    contents = [encode(".png", (10, 10)), encode(".jpg", (10, 10))]
    assert kinds(contents, 200)[1] == 200
    with pytest.raises(ServingError, match="announce 200 pixels, more than the 199"):
        kinds(contents, 199)


@pytest.mark.parametrize("ending", [".tif", ".webp", ".bmp"])
def test_other_formats_are_refused_by_name(ending):
    with pytest.raises(ServingError, match="expected a PNG or JPEG image, received"):
        kinds([encode(ending, (4, 4))], MANY)


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_no_part_of_an_image_passes(ending):
    content = encode(ending, (8, 8))
    for end in range(2, len(content)):
        with pytest.raises(ServingError, match="image: "):
            kinds([content[:end]], MANY)
