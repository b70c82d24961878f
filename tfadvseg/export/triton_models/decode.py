"""Image files to stored values, in Triton's Python backend. Needs NumPy and OpenCV."""

import json
import math
from typing import Any

import cv2
import numpy as np
import triton_python_backend_utils as pb_utils
from soundness import Unsound, check_jpeg, check_png  # lies beside this file in a repository

MOST_PIXELS = 1 << 26  # of an image: what announces more is refused before it takes memory
CHECKS = {b"\x89P": check_png, b"\xff\xd8": check_jpeg}


class TritonPythonModel:
    """`image_bytes` (N,) PNG or JPEG files of one size -> `images` (N, H, W, K) float32."""

    def initialize(self, args: dict[str, str]) -> None:
        """Reads from the configuration how many channels the network takes."""
        self.channels = json.loads(args["model_config"])["output"][0]["dims"][-1]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers requests, each by itself: a bad image fails its own request only."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        contents = pb_utils.get_input_tensor_by_name(request, "image_bytes").as_numpy()
        try:
            images = [decode(content, self.channels) for content in contents]
            if not images or len({image.shape for image in images}) > 1:
                raise Unsound("expected images of one size in a request, at least one")
        except (Unsound, cv2.error) as error:
            refusal = pb_utils.TritonError(f"image: {error}", pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse(error=refusal)
        return pb_utils.InferenceResponse([pb_utils.Tensor("images", np.stack(images))])


def decode(content: bytes, channels: int) -> np.ndarray:
    """Decodes a PNG (8 or 16 bit; alpha is dropped) or a JPEG to (H, W, K) float32, RGB."""
    check = CHECKS.get(content[:2])
    if check is None:
        raise Unsound("expected an encoded PNG or JPEG image")
    if math.prod(check(content)) > MOST_PIXELS:
        raise Unsound(f"expected an image of at most {MOST_PIXELS} pixels")
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise Unsound("damaged")
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    else:  # OpenCV gives BGR or BGRA
        pixels = pixels[..., :1] if pixels.shape[2] == 2 else pixels[..., 2::-1]
    if pixels.shape[2] != channels:
        raise Unsound(f"expected {channels} channel(s) as in training, received {pixels.shape[2]}")
    return pixels.astype(np.float32)
