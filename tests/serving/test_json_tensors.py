"""JSON to arrays and back, by the rules of TensorFlow Serving's REST API."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tfadvseg.serving.json_tensors import dump, parse, to_arrays
from tfadvseg.serving.status import ServingError

FLOATS = {"x": tf.TensorSpec([None, 2], tf.float32)}
TYPES = (tf.float16, tf.float64, tf.int8, tf.uint8, tf.int64, tf.uint64)


def arrays(content, specs, form="inputs"):
    return to_arrays(parse(json.dumps({form: content}).encode()), specs)


def spec(dtype):
    return {"x": tf.TensorSpec(None, dtype)}


@pytest.mark.parametrize("dtype", TYPES)
def test_every_number(dtype):
    (array,) = arrays([[1, 2], [3, 4]], spec(dtype)).values()
    assert array.dtype == dtype.as_numpy_dtype
    np.testing.assert_array_equal(array, [[1, 2], [3, 4]])


def test_scalars_and_booleans():
    assert arrays(3, spec(tf.int32))["x"].shape == ()
    assert arrays([True, False], spec(tf.bool))["x"].tolist() == [True, False]
    with pytest.raises(ServingError, match="expected bool, received int"):
        arrays([1], spec(tf.bool))


def test_what_is_not_finite():
    request = parse(b'{"inputs": [NaN, Infinity, -Infinity]}')
    array = to_arrays(request, spec(tf.float32))["x"]
    assert np.isnan(array[0]) and array[1] == np.inf and array[2] == -np.inf
    assert dump({"x": array}, rows=False) == '{"outputs": [NaN, Infinity, -Infinity]}'


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(128, tf.int8), (-1, tf.uint8), (1 << 64, tf.uint64), (10**400, tf.float32), (1.0, tf.int32)],
)
def test_numbers_that_do_not_fit(value, dtype):
    with pytest.raises(ServingError, match=f"{dtype.name}"):
        arrays([value], spec(dtype))


@pytest.mark.parametrize(
    "value",
    [[[1, 2], [3]], [[1], 2], [1, [2]], [[[1, 2], [3, 4]], [1, 2]], [[], [1]], [[[1]], [[2, 3]]]],
)
def test_lists_that_differ_in_length(value):
    with pytest.raises(ServingError, match="differ in length"):
        arrays(value, spec(tf.float32))


def test_lists_deeper_than_any_array():
    value = 1.0
    for _ in range(200):
        value = [value]
    with pytest.raises(ServingError, match="differ in length"):
        arrays(value, spec(tf.float32))


def test_strings_are_text_or_base64():
    (array,) = arrays(["é", {"b64": "/w=="}], spec(tf.string)).values()
    assert array.tolist() == ["é".encode(), b"\xff"]
    (array,) = arrays({"b64": ""}, spec(tf.string)).values()
    assert array.shape == () and array[()] == b""


def test_rows_and_columns_are_answered_alike():
    outputs = {"a": np.array([1, 2]), "b": np.array([[0.5], [1.5]])}
    rows = json.loads(dump(outputs, rows=True))
    assert rows == {"predictions": [{"a": 1, "b": [0.5]}, {"a": 2, "b": [1.5]}]}
    columns = json.loads(dump(outputs, rows=False))
    assert columns == {"outputs": {"a": [1, 2], "b": [[0.5], [1.5]]}}


def test_rows_need_outputs_of_one_length():
    for outputs in ({"a": np.zeros(2), "b": np.zeros(3)}, {"a": np.zeros(())}):
        with pytest.raises(ServingError, match="inconsistent batch size"):
            dump(outputs, rows=True)


def test_bytes_by_the_name_of_the_output():
    array = np.array([b"\xff", b"a"], object)
    assert json.loads(dump({"x_bytes": array}, True))["predictions"] == [
        {"b64": "/w=="},
        {"b64": "YQ=="},
    ]
    assert json.loads(dump({"x": array[1:]}, True))["predictions"] == ["a"]
