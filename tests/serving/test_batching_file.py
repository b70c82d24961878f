"""TensorFlow Serving's file of batching parameters."""

import pytest

from tfadvseg.errors import InputError
from tfadvseg.serving.batching_file import read_batching_parameters

SAMPLE = """
max_batch_size { value: 128 }  # rows
batch_timeout_micros { value: 0 }
max_enqueued_batches {
  value: 1000000
}
num_batch_threads: { value: 8 }
thread_pool_name { value: "a b" }
allowed_batch_sizes: 32
pad_variable_length_inputs: true
"""


@pytest.fixture
def read(tmp_path):
    def read_text(text):
        (tmp_path / "b.txt").write_text(text)
        return read_batching_parameters(tmp_path / "b.txt")

    return read_text


def test_a_file_as_tensorflow_serving_documents_it(read):
    assert read(SAMPLE) == {
        "max_batch_size": 128,
        "batch_timeout_micros": 0,
        "max_enqueued_batches": 1000000,
        "num_batch_threads": 8,
    }
    assert read("") == {}


@pytest.mark.parametrize(
    "text",
    [
        *("max_batch_size = 3", "{", "max_batch_size { value: many }"),
        *("num_batch_threads { value: 0 }", "max_enqueued_batches: -1"),
    ],
)
def test_other_files_are_refused(read, text):
    with pytest.raises(InputError, match="b.txt"):
        read(text)
