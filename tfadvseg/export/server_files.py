"""Samples of the files that TensorFlow Serving can be started with."""

from __future__ import annotations

from pathlib import Path

BATCHING = """\
# tensorflow_model_server --enable_batching --batching_parameters_file=...
# image_bytes takes images of any sizes in one batch. Requests of another signature that meet in a
# batch have to be of one size: TensorFlow Serving refuses all of a batch of several sizes.
max_batch_size { value: 16 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 64 }
num_batch_threads { value: 2 }
"""
MONITORING = """\
# tensorflow_model_server --monitoring_config_file=... --rest_api_port=8501
prometheus_config { enable: true, path: "/monitoring/prometheus/metrics" }
"""
MODELS = """\
# tensorflow_model_server --model_config_file=...; the path is that inside of the server.
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
  }}
}}
"""


def write_samples(folder: Path, name: str) -> None:
    """Writes batching.config, monitoring.config and models.config.

    Args:
        folder: where.
        name: of the model.
    """
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    contents = {
        "batching": BATCHING,
        "monitoring": MONITORING,
        "models": MODELS.format(name=quoted),
    }
    for kind, content in contents.items():
        (folder / f"{kind}.config").write_text(content, encoding="utf-8")
