"""Memory and streams of an NVIDIA GPU, through the driver's own library.

The driver is there wherever a GPU is, in any version of CUDA; bindings would be one more package
that has to fit it.
"""

from __future__ import annotations

import ctypes
import os

import numpy as np

LIBRARY = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"


class CudaError(RuntimeError):
    """There is no GPU that can be used, or it refuses a call; the message says which."""


class Gpu:
    """The first GPU that the process sees (`CUDA_VISIBLE_DEVICES` chooses it).

    Raises:
        CudaError: if there is no driver or no GPU.
    """

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise CudaError(f"no driver: {LIBRARY} was not found") from error
        self._call("cuInit", 0)
        count = ctypes.c_int()
        self._call("cuDeviceGetCount", ctypes.byref(count))
        if not count.value:
            raise CudaError("a driver, but no GPU")
        self._device = ctypes.c_int()
        self._call("cuDeviceGet", ctypes.byref(self._device), 0)
        self._context = ctypes.c_void_p()
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), self._device)

    @property
    def name(self) -> str:
        """The model of the GPU."""
        text = ctypes.create_string_buffer(256)
        self._call("cuDeviceGetName", text, len(text), self._device)
        return text.value.decode()

    def enter(self) -> None:
        """Makes it the GPU of the calling thread, which all below needs."""
        self._call("cuCtxSetCurrent", self._context)

    def allocate(self, size: int) -> int:
        """Takes memory.

        Args:
            size: in bytes.

        Returns:
            Its address on the GPU.
        """
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(max(size, 1)))
        return address.value

    def free(self, address: int) -> None:
        """Gives memory back."""
        self._call("cuMemFree_v2", ctypes.c_uint64(address))

    def write(self, address: int, array: np.ndarray) -> None:
        """Copies an array without gaps to the GPU."""
        source = array.ctypes.data_as(ctypes.c_void_p)
        size = ctypes.c_size_t(array.nbytes)
        self._call("cuMemcpyHtoD_v2", ctypes.c_uint64(address), source, size)

    def read(self, address: int, array: np.ndarray) -> None:
        """Fills an array without gaps from the GPU."""
        target = array.ctypes.data_as(ctypes.c_void_p)
        size = ctypes.c_size_t(array.nbytes)
        self._call("cuMemcpyDtoH_v2", target, ctypes.c_uint64(address), size)

    def stream(self) -> int:
        """A new stream's handle."""
        handle = ctypes.c_void_p()
        self._call("cuStreamCreate", ctypes.byref(handle), 0)
        return int(handle.value or 0)

    def synchronize(self, stream: int) -> None:
        """Waits until all on a stream is done."""
        self._call("cuStreamSynchronize", ctypes.c_void_p(stream))

    def _call(self, function: str, *arguments: object) -> None:
        result = getattr(self._library, function)(*arguments)
        if result:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(result, ctypes.byref(text))
            told = text.value.decode() if text.value else f"error {result}"
            raise CudaError(f"{function}: {told}")
