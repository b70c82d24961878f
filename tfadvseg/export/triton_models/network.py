"""An ONNX model in Triton's Python backend. Needs NumPy and onnxruntime, or onnxruntime-gpu."""

from pathlib import Path
from typing import Any

import onnxruntime
import triton_python_backend_utils as pb_utils

PROVIDERS = {"CPU": "CPUExecutionProvider", "GPU": "CUDAExecutionProvider"}


class TritonPythonModel:
    """The inputs and outputs of `model.onnx`, which lies beside this file."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the model on the device of this instance, or fails."""
        kind = args["model_instance_kind"]
        options = {"device_id": args["model_instance_device_id"]} if kind == "GPU" else {}
        self.session = onnxruntime.InferenceSession(
            Path(__file__).with_name("model.onnx"), providers=[(PROVIDERS[kind], options)]
        )
        if self.session.get_providers()[0] != PROVIDERS[kind]:  # it falls back in silence
            raise pb_utils.TritonModelException(f"ONNX Runtime cannot use {PROVIDERS[kind]}")
        self.inputs = [one.name for one in self.session.get_inputs()]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers requests."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        names = list(request.requested_output_names())
        arrays = {
            name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()
            for name in self.inputs
        }
        tensors = [
            pb_utils.Tensor(name, array)
            for name, array in zip(names, self.session.run(names, arrays), strict=True)
        ]
        return pb_utils.InferenceResponse(tensors)
