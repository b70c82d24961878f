"""PNG and JPEG files to stored values, inside the graph, as `data.formats.raster` reads them."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

MOST_PIXELS = 1 << 26  # of an image: what announces more is refused before it takes memory
_PNG, _JPEG = b"\x89P", b"\xff\xd8"  # first bytes
_HEADER = 33  # bytes of a PNG up to the end of its header


def decode(content: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes a picture.

    TensorFlow's general decoder would make 8 bits of 16, so a PNG's header says how to read it;
    and only this way of JPEG's cosine transform gives what OpenCV gives.

    Args:
        content: () string, a PNG (8 or 16 bit, with or without alpha, which is dropped) or a JPEG.
        channels: K that the model takes, 1 or 3.

    Returns:
        (H, W, K) float32 stored values. An image that is neither, is damaged, too large, or has
        other channels, is an InvalidArgumentError where the graph runs.
    """
    kind = tf.strings.substr(content, 0, 2)
    whole = tf.strings.length(content) >= _HEADER
    known = tf.debugging.Assert(
        whole & ((kind == _PNG) | (kind == _JPEG)), ["expected an encoded PNG or JPEG image"]
    )
    with tf.control_dependencies([known]):
        pixels = tf.cond(
            kind == _JPEG,
            _checked(lambda: _jpeg(content), lambda: tf.io.extract_jpeg_shape(content)[:2]),
            _checked(lambda: _png(content), lambda: _big_endian(content, 16, 2)),
        )
    as_trained = tf.debugging.Assert(
        tf.shape(pixels)[-1] == channels,
        [f"expected an image with {channels} channel(s) as in training"],
    )
    with tf.control_dependencies([as_trained]):
        return tf.ensure_shape(tf.identity(pixels), (None, None, channels))


def _checked(
    read: Callable[[], tf.Tensor], sides: Callable[[], tf.Tensor]
) -> Callable[[], tf.Tensor]:
    """Reads only what announces sides that fit."""

    def branch() -> tf.Tensor:
        announced = tf.reduce_prod(tf.cast(sides(), tf.float32))
        fits = tf.debugging.Assert(
            announced <= float(MOST_PIXELS), [f"expected an image of at most {MOST_PIXELS} pixels"]
        )
        with tf.control_dependencies([fits]):
            return read()

    return branch


def _png(content: tf.Tensor) -> tf.Tensor:
    bits = tf.io.decode_raw(tf.strings.substr(content, 24, 1), tf.uint8)[0]
    pixels = tf.cond(
        bits == 16,
        lambda: tf.cast(tf.io.decode_png(content, dtype=tf.uint16), tf.float32),
        lambda: tf.cast(tf.io.decode_png(content, dtype=tf.uint8), tf.float32),
    )
    return _without_alpha(pixels)


def _jpeg(content: tf.Tensor) -> tf.Tensor:
    pixels = tf.io.decode_jpeg(content, dct_method="INTEGER_ACCURATE")
    return tf.cast(pixels, tf.float32)


def _without_alpha(pixels: tf.Tensor) -> tf.Tensor:
    """Two channels are grey and alpha, which OpenCV reads as three equal ones; four are RGBA."""
    count = tf.shape(pixels)[-1]
    return tf.cond(
        count == 2,
        lambda: tf.repeat(pixels[..., :1], 3, axis=-1),
        lambda: pixels[..., :3],
    )


def _big_endian(content: tf.Tensor, start: int, count: int) -> tf.Tensor:
    """Numbers of four bytes in a header, as float32; none where it is cut off."""
    text = tf.strings.substr(content, start, 4 * count)
    octets = tf.reshape(tf.cast(tf.io.decode_raw(text, tf.uint8), tf.float32), (count, 4))
    return tf.linalg.matvec(octets, tf.constant([1 << 24, 1 << 16, 1 << 8, 1], tf.float32))
