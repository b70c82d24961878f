"""The runner of engines; no test here has a GPU, `tests/export/test_tensorrt_engine.py` has one."""

import enum
import sys
import types

import numpy as np
import pytest

from tfadvseg.errors import InputError
from tfadvseg.inference.engines import cuda, tensorrt_module
from tfadvseg.inference.engines.tensorrt_module import runner


class FakeGpu:
    """Memory of a GPU that is not there: addresses to bytes."""

    name = "fake GPU"

    def __init__(self):
        self.memory, self.next, self.waited = {}, 4096, 0

    def enter(self):
        pass

    def allocate(self, size):
        self.next += 4096
        self.memory[self.next] = bytearray(size)
        return self.next

    def free(self, address):
        del self.memory[address]

    def write(self, address, array):
        assert array.nbytes <= len(self.memory[address])
        self.memory[address][: array.nbytes] = array.tobytes()

    def read(self, address, array):
        assert self.waited
        content = bytes(self.memory[address][: array.nbytes])
        array[...] = np.frombuffer(content, array.dtype).reshape(array.shape)

    def stream(self):
        return 7

    def synchronize(self, stream):
        self.waited += stream == 7


class FakeEngine:
    """Doubles `images`; `mask` says which are above 1. It is its own context."""

    num_io_tensors = 3
    names = ("images", "probabilities", "mask")

    def __init__(self, gpu):
        self.gpu, self.addresses, self.shape = gpu, {}, None

    def create_execution_context(self):
        return self

    def get_tensor_name(self, index):
        return self.names[index]

    def get_tensor_mode(self, name):
        return Mode.INPUT if name == "images" else Mode.OUTPUT

    def get_tensor_dtype(self, name):
        return np.uint8 if name == "mask" else np.float32

    def set_input_shape(self, name, shape):
        fits = all(
            low <= side <= high for low, side, high in zip((1, 2), shape[:2], (4, 8), strict=True)
        )
        self.shape = shape if fits else None
        return fits

    def get_tensor_shape(self, name):
        return self.shape[:3] if name == "mask" else self.shape

    def set_tensor_address(self, name, address):
        self.addresses[name] = address

    def execute_async_v3(self, stream):
        images = np.empty(self.shape, np.float32)
        self.gpu.waited = 1
        self.gpu.read(self.addresses["images"], images)
        self.gpu.waited = 0
        self.gpu.write(self.addresses["probabilities"], images * 2)
        self.gpu.write(self.addresses["mask"], (images[..., 0] > 1).astype(np.uint8))
        return True


class Mode(enum.Enum):
    INPUT, OUTPUT = 1, 2


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """A plan, and a module and a GPU that take it."""
    gpu = FakeGpu()

    class Logger:
        ERROR = 1

        def __init__(self, level):
            pass

    class Runtime:
        def __init__(self, logger):
            pass

        def deserialize_cuda_engine(self, content):
            return FakeEngine(gpu) if content == b"good" else None

    module = types.SimpleNamespace(
        Logger=Logger,
        Runtime=Runtime,
        TensorIOMode=Mode,
        nptype=lambda dtype: dtype,
        __version__="10.0",
    )
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setattr(tensorrt_module, "Gpu", lambda: gpu)
    (tmp_path / "model.plan").write_bytes(b"good")
    return gpu, tmp_path / "model.plan"


def test_names_shapes_and_types_with_a_fake_gpu(fake):
    gpu, plan = fake
    run = runner(plan)
    for shape in ((1, 2, 3, 1), (4, 8, 8, 1), (2, 5, 4, 1)):  # memory grows, and is used again
        images = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)[:, ::-1]
        answer = run({"images": images})
        assert set(answer) == {"probabilities", "mask"}
        np.testing.assert_array_equal(answer["probabilities"], images.astype(np.float32) * 2)
        np.testing.assert_array_equal(answer["mask"], images[..., 0] > 1)
        assert answer["mask"].dtype == np.uint8
    assert len(gpu.memory) == 3


def test_a_shape_outside_the_profile_is_an_error_with_a_fake_gpu(fake):
    with pytest.raises(RuntimeError, match=r"does not take images of shape \(9, 2, 2, 1\)"):
        runner(fake[1])({"images": np.zeros((9, 2, 2, 1), np.float32)})


def test_an_engine_of_another_machine_is_refused_with_a_fake_gpu(fake):
    fake[1].write_bytes(b"of another GPU")
    with pytest.raises(InputError, match="TensorRT 10.0 cannot load it on fake GPU"):
        runner(fake[1])


def test_a_driver_that_refuses_is_an_error_with_a_fake_library(monkeypatch):
    def refuses(*arguments):
        return 100

    def tells(result, text):
        text._obj.value = b"no CUDA-capable device is detected"

    library = types.SimpleNamespace(cuInit=refuses, cuGetErrorString=tells)
    monkeypatch.setattr(cuda.ctypes, "CDLL", lambda name: library)
    with pytest.raises(cuda.CudaError, match="cuInit: no CUDA-capable device is detected"):
        cuda.Gpu()
