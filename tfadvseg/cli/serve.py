"""The command `tfadvseg serve`."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from tfadvseg.cli.options import quiet_tensorflow
from tfadvseg.errors import InputError
from tfadvseg.inference.engines import MODEL_FILES
from tfadvseg.serving import model_server
from tfadvseg.serving.batching_file import read_batching_parameters
from tfadvseg.serving.versions import Policy, Versions, find_models, no_model

# What tensorflow_model_server has an equivalent of; with any other option, ours serves.
SHARED = {"folder", "port", "rest_port", "engine", "versions", "labels", "poll", "timeout"}
SHARED |= {"batching_file"}
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
POSITIVE = click.FloatRange(min=0, min_open=True)
PORT = click.IntRange(0, 65535)


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--port", type=PORT, default=8500, show_default=True, help="Of gRPC; 0 takes any.")
@click.option(
    "--rest-port", type=PORT, default=8501, show_default=True, help="Of REST; 0 takes any."
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen at; 0.0.0.0 is every one of the machine.",
)
@click.option(
    "--engine",
    type=click.Choice(list(MODEL_FILES)),
    default="tensorflow",
    show_default=True,
    help="What computes.",
)
@click.option(
    "--version", "versions", type=int, multiple=True, help="Serve this version, not the newest."
)
@click.option("--label", "labels", multiple=True, metavar="NAME=VERSION", help="Name a version.")
@click.option(
    "--poll", type=POSITIVE, default=2.0, show_default=True, help="Seconds between looks at DIR."
)
@click.option(
    "--max-batch-size", type=click.IntRange(min=1), help="Images computed together at most; 8."
)
@click.option(
    "--batch-timeout-ms", type=click.FloatRange(min=0), help="Wait for others to join; 0."
)
@click.option("--threads", type=click.IntRange(min=1), help="Batches computed at a time; 2.")
@click.option(
    "--queue-size", type=click.IntRange(min=1), help="Requests that may wait; 256. More get 429."
)
@click.option(
    "--batching-parameters-file", "batching_file", type=FILE, help="TensorFlow Serving's file."
)
@click.option(
    "--max-body-mb", type=POSITIVE, default=32.0, show_default=True, help="Of one request."
)
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=64_000_000,
    show_default=True,
    help="That the images of one request may have.",
)
@click.option(
    "--timeout", type=POSITIVE, default=30.0, show_default=True, help="Seconds for REST to answer."
)
@click.option(
    "--read-timeout",
    type=POSITIVE,
    default=30.0,
    show_default=True,
    help="Seconds for the body of a REST request to arrive.",
)
@click.option(
    "--drain",
    type=POSITIVE,
    default=30.0,
    show_default=True,
    help="Seconds for requests at work when the server is to end.",
)
@click.option("--tls-cert", type=FILE, help="Certificate, PEM: both ports speak TLS.")
@click.option("--tls-key", type=FILE, help="Its key.")
@click.option("--tls-client-ca", type=FILE, help="Clients need a certificate signed by this one.")
@click.pass_context
def serve(
    context: click.Context,
    folder: Path,
    port: int,
    rest_port: int,
    host: str,
    engine: str,
    versions: tuple[int, ...],
    labels: tuple[str, ...],
    poll: float,
    max_batch_size: int | None,
    batch_timeout_ms: float | None,
    threads: int | None,
    queue_size: int | None,
    batching_file: Path | None,
    max_body_mb: float,
    max_pixels: int,
    timeout: float,
    read_timeout: float,
    drain: float,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
) -> None:
    """Serve the models in DIR as TensorFlow Serving does, over gRPC and REST.

    DIR holds versions (DIR/1, DIR/2, ...) of one model, or a folder with versions for each model.
    It is watched: new versions are taken up without dropping a request. If
    tensorflow_model_server is installed, it serves, unless options ask for what it cannot do.
    """
    if (tls_cert is None) != (tls_key is None) or (tls_client_ca and not tls_cert):
        raise InputError("--tls-cert, --tls-key: expected both; give the certificate and its key")
    policy = Policy(versions, dict(_parse_label(text) for text in labels))
    models = find_models(folder, MODEL_FILES[engine])
    _check_versions(folder, models, policy, MODEL_FILES[engine])
    if engine == "tensorflow" and _is_theirs(context):
        folders = {name: next(iter(paths.values())).parent for name, paths in models.items()}
        command = model_server.arguments(
            folders,
            policy,
            port=port,
            rest_port=rest_port,
            poll=poll,
            timeout=timeout,
            batching_parameters_file=batching_file,
        )
        os.execvp(command[0], command)
    batches = _batch_settings(batching_file, max_batch_size, batch_timeout_ms, threads, queue_size)
    try:
        with quiet_tensorflow():
            from tfadvseg.serving import server
    except ModuleNotFoundError as error:
        raise InputError(
            f'serve needs {error.name}, which is not installed; pip install "tfadvseg[serve]"'
        ) from error
    tls = server.Tls(tls_cert, tls_key, tls_client_ca) if tls_cert and tls_key else None
    options = server.ServerOptions(
        folder=folder,
        host=host,
        port=port,
        rest_port=rest_port,
        engine=engine,
        policy=policy,
        poll=poll,
        batches=server.BatchLimits(**batches, most_pixels=max_pixels),
        requests=server.RequestLimits(round(max_body_mb * 1e6), max_pixels),
        timeout=timeout,
        read_timeout=read_timeout,
        drain=drain,
        tls=tls,
    )
    with _log_to_stderr():
        server.serve(options, click.echo)


def _parse_label(text: str) -> tuple[str, int]:
    """`stable=3` to its parts."""
    name, equals, version = text.partition("=")
    if not (name and equals and version.isdecimal()):
        raise InputError(f"--label: expected NAME=VERSION such as stable=3, received {text!r}")
    return name, int(version)


def _check_versions(
    folder: Path, models: dict[str, Versions], policy: Policy, model_file: str
) -> None:
    """Refuses a folder without models, and versions that none of them has."""
    if not models:
        raise no_model(folder, model_file)
    if not any(policy.choose(found) for found in models.values()):
        have = "; ".join(
            f"{name} has {', '.join(map(str, sorted(found)))}" for name, found in models.items()
        )
        raise InputError(f"--version, --label: no such version in {folder}; {have}")


def _port(context: click.Context, option: str) -> int:
    return int(context.params[option.removeprefix("--").replace("-", "_")])


def _is_theirs(context: click.Context) -> bool:
    """Whether tensorflow_model_server shall serve; says so, or why not."""
    source = click.core.ParameterSource
    ours = [
        parameter.opts[-1]
        for parameter in context.command.params
        if parameter.name not in SHARED
        and context.get_parameter_source(str(parameter.name)) is not source.DEFAULT
    ]
    ours += [f"{option} 0" for option in ("--port", "--rest-port") if not _port(context, option)]
    program = shutil.which(model_server.PROGRAM)
    if program and not ours:
        click.echo(f"Starting {program}, which listens at all addresses of this machine")
        return True
    reason = f"{model_server.PROGRAM} has no {ours[0]}" if program else "none is on the PATH"
    click.echo(f"Starting the embedded server, not {model_server.PROGRAM}: {reason}")
    return False


def _batch_settings(
    file: Path | None,
    max_batch_size: int | None,
    batch_timeout_ms: float | None,
    threads: int | None,
    queue_size: int | None,
) -> dict[str, Any]:
    """Of the options, else of TensorFlow Serving's file, else the defaults."""
    given = read_batching_parameters(file) if file else {}
    rows = max_batch_size or given.get("max_batch_size", 8)
    waiting = given["max_enqueued_batches"] * rows if "max_enqueued_batches" in given else 256
    wait_ms = given.get("batch_timeout_micros", 0) / 1e3
    return {
        "most_rows": rows,
        "wait": (wait_ms if batch_timeout_ms is None else batch_timeout_ms) / 1e3,
        "threads": threads or given.get("num_batch_threads", 2),
        "most_waiting": queue_size or waiting,
    }


@contextmanager
def _log_to_stderr() -> Iterator[None]:
    """Logs what the server does, and leaves the log as it was."""
    log, handler = logging.getLogger("tfadvseg.serving"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before[0])
        log.propagate = before[1]
