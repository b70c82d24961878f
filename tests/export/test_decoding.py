"""Decoding in the graph against the reader of files, byte for byte."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from tfadvseg.data.formats.raster import read_pages
from tfadvseg.export.decoding import decode


@pytest.fixture(scope="module")
def graph():
    """The decoder in a graph, for a number of channels."""
    text = tf.TensorSpec((), tf.string)
    return {
        channels: tf.function(lambda c, k=channels: decode(c, k), input_signature=[text])
        for channels in (1, 3)
    }


def pixels(kind, *shape):
    return (
        np.random.default_rng(1).integers(0, np.iinfo(kind).max, shape, endpoint=True).astype(kind)
    )


def encoded(ending, values, *options):
    return cv2.imencode(ending, values, list(options))[1].tobytes()


def ihdr(content, width, height):
    """The same PNG with other sides in its header."""
    sides = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return content[:16] + sides + content[24:]


GREY = pixels(np.uint8, 31, 45)
SMOOTH = cv2.GaussianBlur(pixels(np.uint8, 31, 45, 3), (9, 9), 3)
PICTURES = {
    "grey 8": (1, encoded(".png", GREY)),
    "grey 16": (1, encoded(".png", pixels(np.uint16, 31, 45))),
    "grey 1 bit": (1, encoded(".png", (GREY > 127).astype(np.uint8), cv2.IMWRITE_PNG_BILEVEL, 1)),
    "colour 8": (3, encoded(".png", pixels(np.uint8, 31, 45, 3))),
    "colour 16": (3, encoded(".png", pixels(np.uint16, 31, 45, 3))),
    "alpha 8": (3, encoded(".png", pixels(np.uint8, 31, 45, 4))),
    "alpha 16": (3, encoded(".png", pixels(np.uint16, 31, 45, 4))),
    "JPEG grey": (1, encoded(".jpg", SMOOTH[..., 0])),
    "JPEG colour": (3, encoded(".jpg", SMOOTH)),
    "JPEG progressive": (3, encoded(".jpg", SMOOTH, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_stored_values_are_those_of_the_reader(tmp_path, graph, name):
    channels, content = PICTURES[name]
    (tmp_path / "picture").write_bytes(content)
    read = read_pages(tmp_path / "picture").voxels[0]
    found = graph[channels](content).numpy()
    assert found.dtype == np.float32 and found.shape == read.shape == (31, 45, channels)
    np.testing.assert_array_equal(found, read)


def test_grey_with_alpha_has_three_channels_as_the_reader_says(graph):
    grey_alpha = np.stack([GREY, GREY[::-1]], axis=-1)
    content = tf.io.encode_png(grey_alpha).numpy()
    np.testing.assert_array_equal(graph[3](content).numpy(), np.repeat(GREY[..., None], 3, axis=-1))


PNG, JPEG = PICTURES["grey 8"][1], PICTURES["JPEG grey"][1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "expected an encoded PNG or JPEG image"),
        (b"\x89P", "expected an encoded PNG or JPEG image"),
        (b"BM" + bytes(100), "expected an encoded PNG or JPEG image"),
        (PNG[:60], "Invalid PNG data"),
        (PNG[:-40], "Invalid PNG data"),
        (JPEG[:100], "Invalid JPEG data"),
        (JPEG[:-60], "Invalid JPEG data"),
        (ihdr(PNG, 60000, 60000), "at most 67108864 pixels"),
        (PICTURES["colour 8"][1], r"an image with 1 channel\(s\) as in training"),
        (PICTURES["JPEG colour"][1], r"an image with 1 channel\(s\) as in training"),
    ],
    ids=range(10),
)
def test_what_is_no_such_image_is_an_invalid_argument(graph, content, words):
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        graph[1](content)
