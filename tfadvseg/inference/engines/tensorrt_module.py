"""TensorRT engines through the module `tensorrt`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfadvseg.errors import InputError
from tfadvseg.inference.engines.cuda import Gpu

Arrays = dict[str, np.ndarray]


def runner(plan: Path) -> Callable[[Arrays], Arrays]:
    """Loads an engine.

    Args:
        plan: the file `model.plan` of an exported version.

    Returns:
        A function from inputs by name to outputs by name. It may be called from any thread, and
        answers one call at a time.

    Raises:
        InputError: if the engine was built for another GPU or version of TensorRT.
    """
    import tensorrt

    gpu = Gpu()
    gpu.enter()
    runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR))
    engine = runtime.deserialize_cuda_engine(plan.read_bytes())
    if engine is None:
        raise InputError(
            f"{plan}: TensorRT {tensorrt.__version__} cannot load it on {gpu.name}; expected an "
            "engine of this version for this GPU: export it here again"
        )
    return _Engine(tensorrt, gpu, runtime, engine)


class _Engine:
    def __init__(self, tensorrt: Any, gpu: Gpu, runtime: Any, engine: Any):
        self._gpu, self._runtime, self._engine = gpu, runtime, engine
        self._context = engine.create_execution_context()
        self._stream = gpu.stream()
        self._lock = threading.Lock()
        self._memory: dict[str, tuple[int, int]] = {}  # address and size of each tensor's
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = tensorrt.TensorIOMode.INPUT
        self._inputs = [name for name in names if engine.get_tensor_mode(name) == inputs]
        self._outputs = [name for name in names if name not in self._inputs]
        self._dtypes = {name: tensorrt.nptype(engine.get_tensor_dtype(name)) for name in names}

    def __call__(self, arrays: Arrays) -> Arrays:
        with self._lock:
            self._gpu.enter()
            for name in self._inputs:
                array = np.ascontiguousarray(arrays[name], self._dtypes[name])
                self._set_shape(name, array.shape)
                self._gpu.write(self._reserve(name, array.nbytes), array)
            answers = {}
            for name in self._outputs:
                shape = tuple(self._context.get_tensor_shape(name))
                answers[name] = np.empty(shape, self._dtypes[name])
                self._reserve(name, answers[name].nbytes)
            if not self._context.execute_async_v3(self._stream):
                raise RuntimeError("TensorRT could not run the engine")
            self._gpu.synchronize(self._stream)
            for name, array in answers.items():
                self._gpu.read(self._memory[name][0], array)
            return answers

    def _set_shape(self, name: str, shape: tuple[int, ...]) -> None:
        if not self._context.set_input_shape(name, shape):
            raise RuntimeError(f"TensorRT does not take {name} of shape {shape}")

    def _reserve(self, name: str, size: int) -> int:
        address, held = self._memory.get(name, (0, -1))
        if size > held:
            if held >= 0:
                self._gpu.free(address)
            address = self._gpu.allocate(size)
            self._memory[name] = (address, size)
        self._context.set_tensor_address(name, address)
        return address
