"""Handing over to tensorflow_model_server: a recorder here, as no package ships the real one."""

import json
import os
import stat
import subprocess
import sys
from unittest import mock

import click
import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tfadvseg.cli.serve import _is_theirs
from tfadvseg.cli.serve import serve as serve_command

FAKE = """#!{python}
import json, os, sys
files = {{a.split("=")[0]: open(a.split("=")[1]).read() for a in sys.argv if a.endswith(".txt")}}
json.dump({{"arguments": sys.argv, "pid": os.getpid(), "files": files}}, open({record!r}, "w"))
"""


@pytest.fixture
def folder(tmp_path):
    for version in ("net/1", "net/3", 'aorta "x"/2'):
        (tmp_path / "models" / version).mkdir(parents=True)
        (tmp_path / "models" / version / "saved_model.pb").touch()
    return tmp_path / "models"


@pytest.fixture
def serve(tmp_path, folder):
    """Calls the command with a fake tensorflow_model_server on the PATH."""
    program, record = tmp_path / "bin" / "tensorflow_model_server", tmp_path / "record.json"
    program.parent.mkdir()
    program.write_text(FAKE.format(python=sys.executable, record=str(record)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"

    def call(*options):
        process = subprocess.Popen(
            [sys.executable, "-m", "tfadvseg.cli", "serve", str(folder), *options],
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        output = process.communicate(timeout=60)[0]
        found = json.loads(record.read_text()) if record.exists() else None
        return process, output, found

    return call


def config_of(found):
    text = found["files"]["--model_config_file"]
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    return {one.name: one for one in config.model_config_list.config}


def test_a_recorded_fake_executable_takes_the_place_of_the_process(serve, folder):
    process, output, found = serve("--port=9000", "--rest-port=9001", "--timeout=2.5", "--poll=3")
    assert process.returncode == 0 and found["pid"] == process.pid
    assert "tensorflow_model_server, which listens at all addresses" in output
    assert len(output.splitlines()) == 1
    arguments = found["arguments"]
    for flag in (
        "--port=9000",
        "--rest_api_port=9001",
        "--rest_api_timeout_in_ms=2500",
        "--file_system_poll_wait_seconds=3",
    ):
        assert flag in arguments
    assert not any("batching" in argument or "labels" in argument for argument in arguments)
    models = config_of(found)
    assert set(models) == {"net", 'aorta "x"'}
    assert models["net"].base_path == str(folder / "net")
    assert models["net"].model_platform == "tensorflow"
    assert not models["net"].HasField("model_version_policy")
    assert "/monitoring/prometheus/metrics" in found["files"]["--monitoring_config_file"]


@pytest.mark.parametrize("option", ["--port", "--rest-port"])
def test_a_port_of_0_is_no_port_of_the_recorded_fake_executable(option):
    """TensorFlow Serving takes it as the wish for no such API."""
    source = click.core.ParameterSource
    context = click.Context(serve_command)
    context.params = {"port": 8500, "rest_port": 8501}
    for parameter in serve_command.params:
        context.set_parameter_source(parameter.name, source.DEFAULT)
    with mock.patch("shutil.which", return_value="/usr/bin/tensorflow_model_server"):
        assert _is_theirs(context)
        context.params[option[2:].replace("-", "_")] = 0
        assert not _is_theirs(context)


def test_a_recorded_fake_executable_gets_versions_labels_and_batching(serve, tmp_path):
    file = tmp_path / "batching.txt"
    file.write_text("max_batch_size { value: 8 }")
    options = ("--version=3", "--label=stable=1", f"--batching-parameters-file={file}")
    _, _, found = serve(*options)
    net = config_of(found)["net"]
    assert list(net.model_version_policy.specific.versions) == [1, 3]
    assert dict(net.version_labels) == {"stable": 1}
    assert "--enable_batching" in found["arguments"]
    assert found["files"]["--batching_parameters_file"] == file.read_text()
    assert "--allow_version_labels_for_unavailable_models=true" in found["arguments"]


def test_a_recorded_fake_executable_is_passed_over_for_what_it_cannot_do(serve):
    process, output, found = serve("--host=256.0.0.1", "--port=0", "--rest-port=0")
    assert found is None
    assert output.startswith("Starting the embedded server, not tensorflow_model_server")
    assert "tensorflow_model_server has no --host" in output
    assert process.returncode == 2 and "--port: cannot listen at 256.0.0.1:0" in output
