"""Masks to PNG files, in Triton's Python backend. Needs NumPy and OpenCV."""

from typing import Any

import cv2
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Maps (N, H, W) -> (N,) PNG files of 8 bits.

    `mask` holds class indices and becomes `mask_bytes`; `confidence`, where it is sent, lies in
    [0, 1] and becomes `confidence_bytes`, 0 to 255.
    """

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers requests."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        mask = pb_utils.get_input_tensor_by_name(request, "mask").as_numpy()
        tensors = [encode("mask_bytes", mask)]
        confidence = pb_utils.get_input_tensor_by_name(request, "confidence")
        if confidence is not None:
            levels = np.rint(confidence.as_numpy() * 255).astype(np.uint8)
            tensors.append(encode("confidence_bytes", levels))
        return pb_utils.InferenceResponse(tensors)


def encode(name: str, maps: np.ndarray) -> Any:
    """A tensor of PNG files."""
    files = [cv2.imencode(".png", one)[1].tobytes() for one in maps]
    return pb_utils.Tensor(name, np.array(files, object))
