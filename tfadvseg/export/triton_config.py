"""`config.pbtxt`: what Triton has to know of each model of a repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TYPES = {"float32": "TYPE_FP32", "uint8": "TYPE_UINT8", "bytes": "TYPE_STRING"}
Tensors = Mapping[str, Mapping[str, Any]]  # by name: `dtype`, and `shape` with None for any

BACKENDS = {
    "onnxruntime": 'backend: "onnxruntime"',
    "onnxruntime-tensorrt": 'backend: "onnxruntime"',
    "tensorrt": 'backend: "tensorrt"',
    "python": 'backend: "python"',
}
KINDS = {"auto": "KIND_AUTO", "cpu": "KIND_CPU", "gpu": "KIND_GPU"}

LATEST = "version_policy { latest { num_versions: 1 } }"
# Requests gather while all instances compute; none waits for others, and the queue has an end.
BATCHING = """\
dynamic_batching {
  default_queue_policy { max_queue_size: 64 }
}
"""
ACCELERATOR = """\
optimization {
  execution_accelerators {
    gpu_execution_accelerator [
      {
        name: "tensorrt"
        parameters { key: "precision_mode" value: "%s" }
      }
    ]
  }
}
"""


@dataclass(frozen=True)
class Network:
    """The model in the middle.

    Attributes:
        backend: a key of BACKENDS.
        device: a key of KINDS.
        inputs: of the network, with the axis of the batch.
        outputs: likewise.
        max_batch: rows that are computed together.
        fp16: whether its weights have 16 bits.
    """

    backend: str
    device: str
    inputs: Tensors
    outputs: Tensors
    max_batch: int
    fp16: bool

    @property
    def batches(self) -> bool:
        """Whether requests of several clients may be computed together: all in it has rows."""
        return "spacing_mm" not in self.inputs


def network_config(name: str, network: Network, size: tuple[int, int]) -> str:
    """The network's.

    Args:
        name: of the model.
        network: what it is.
        size: height and width of the image that warms it up.
    """
    axis = 1 if network.batches else 0  # Triton adds the axis of the batch itself
    parts = [
        f'name: "{name}"',
        BACKENDS[network.backend],
        f"max_batch_size: {network.max_batch if network.batches else 0}",
        _tensors("input", network.inputs, axis),
        _tensors("output", network.outputs, axis, labels="probabilities"),
        f"instance_group [ {{ count: 1 kind: {KINDS[network.device]} }} ]",
        LATEST,
    ]
    if network.batches and network.backend != "python":
        parts.append(BATCHING.rstrip())
    if network.backend == "onnxruntime-tensorrt":
        parts.append((ACCELERATOR % ("FP16" if network.fp16 else "FP32")).rstrip())
    return "\n".join([*parts, _warmup(network, size, axis)]) + "\n"


def piece_config(name: str, inputs: Tensors, outputs: Tensors) -> str:
    """That of a small model of the Python backend, which takes whole batches."""
    parts = [
        f'name: "{name}"',
        BACKENDS["python"],
        "max_batch_size: 0",
        _tensors("input", inputs),
        _tensors("output", outputs),
        "instance_group [ { count: 2 kind: KIND_CPU } ]",
        LATEST,
    ]
    return "\n".join(parts) + "\n"


def ensemble_config(
    name: str, inputs: Tensors, outputs: Tensors, steps: Mapping[str, tuple[Sequence[str], ...]]
) -> str:
    """That of models one after the other.

    Args:
        name: of the ensemble.
        inputs: what a client sends.
        outputs: what it gets.
        steps: by model, the names of what it takes and of what is taken from it.
    """
    parts = [
        f'name: "{name}"',
        'platform: "ensemble"',
        "max_batch_size: 0",
        _tensors("input", inputs),
        _tensors("output", outputs),
        LATEST,
        "ensemble_scheduling {\n  step [",
        ",\n".join(_step(model, *names) for model, names in steps.items()),
        "  ]\n}",
    ]
    return "\n".join(parts) + "\n"


def _step(model: str, taken: Sequence[str], given: Sequence[str]) -> str:
    maps = [
        f'      {kind}_map {{ key: "{name}" value: "{name}" }}'
        for kind, names in (("input", taken), ("output", given))
        for name in names
    ]
    lines = ["    {", f'      model_name: "{model}"', "      model_version: -1", *maps, "    }"]
    return "\n".join(lines)


def _tensors(kind: str, tensors: Tensors, axis: int = 0, labels: str = "") -> str:
    rows = []
    for name, spec in tensors.items():
        label = ' label_filename: "labels.txt"' if name == labels else ""
        dims = ", ".join("-1" if side is None else str(side) for side in spec["shape"][axis:])
        rows.append(
            f'  {{ name: "{name}" data_type: {TYPES[spec["dtype"]]} dims: [ {dims} ]{label} }}'
        )
    return f"{kind} [\n" + ",\n".join(rows) + "\n]"


def _warmup(network: Network, size: tuple[int, int], axis: int) -> str:
    """A black image: nothing of a patient goes along. Its pixels measure 1 mm."""
    shape = (1, *size, network.inputs["images"]["shape"][-1])[axis:]
    dims = ", ".join(map(str, shape))
    rows = [_sample("images", dims, "zero_data: true")]
    if "spacing_mm" in network.inputs:
        rows.append(_sample("spacing_mm", "2", 'input_data_file: "spacing_mm"'))
    batch = f"batch_size: {axis}"
    return "\n".join(["model_warmup [", f'  {{ name: "black" {batch}', *rows, "  }", "]"])


def _sample(name: str, dims: str, content: str) -> str:
    value = f"data_type: TYPE_FP32 dims: [ {dims} ] {content}"
    return f'    inputs {{ key: "{name}" value {{ {value} }} }}'
