"""TensorFlow Serving's own server, started in our place with the same meaning."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tfadvseg.serving.versions import Policy

PROGRAM = "tensorflow_model_server"


def arguments(
    folders: dict[str, Path],
    policy: Policy,
    *,
    port: int,
    rest_port: int,
    poll: float,
    timeout: float,
    batching_parameters_file: Path | None,
) -> list[str]:
    """The command line of tensorflow_model_server.

    Args:
        folders: of the models, by name. They are written into a temporary file, and so are the
            versions.
        policy: which versions.
        port: of gRPC.
        rest_port: of REST.
        poll: seconds between two looks at the folders.
        timeout: seconds for a request over REST.
        batching_parameters_file: passed on as it is.

    Returns:
        Program and arguments.
    """
    monitoring = 'prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }\n'
    batching = ["--enable_batching", f"--batching_parameters_file={batching_parameters_file}"]
    return [
        PROGRAM,
        f"--port={port}",
        f"--rest_api_port={rest_port}",
        f"--rest_api_timeout_in_ms={round(timeout * 1000)}",
        f"--model_config_file={_write('models', _config(folders, policy))}",
        f"--monitoring_config_file={_write('monitoring', monitoring)}",
        f"--file_system_poll_wait_seconds={max(1, round(poll))}",
        *(["--allow_version_labels_for_unavailable_models=true"] if policy.labels else []),
        *(batching if batching_parameters_file else []),
    ]


def _config(folders: dict[str, Path], policy: Policy) -> str:
    """A ModelServerConfig in protobuf's text format; its strings are quoted as JSON's are."""
    entries = (_entry(name, path, policy) for name, path in folders.items())
    return "model_config_list {\n" + "".join(entries) + "}\n"


def _entry(name: str, path: Path, policy: Policy) -> str:
    lines = [
        f"name: {json.dumps(name)}",
        f"base_path: {json.dumps(str(path.resolve()))}",
        'model_platform: "tensorflow"',
        *_versions(sorted({*policy.versions, *policy.labels.values()})),
        *(
            f"version_labels {{ key: {json.dumps(label)} value: {version} }}"
            for label, version in policy.labels.items()
        ),
    ]
    return "  config {\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def _versions(versions: Iterable[int]) -> list[str]:
    numbers = " ".join(f"versions: {version}" for version in versions)
    return [f"model_version_policy {{ specific {{ {numbers} }} }}"] if numbers else []


def _write(name: str, text: str) -> Path:
    """A file that outlives this process, which becomes the server."""
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"tfadvseg-{name}-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(text)
    return Path(file.name)
