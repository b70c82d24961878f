"""Every wrong call of `tfadvseg serve`: exit status 2 and one line."""

import socket
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tfadvseg.cli import main


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "models" / "net" / "3").mkdir(parents=True)
    (tmp_path / "models" / "net" / "3" / "saved_model.pb").touch()
    return tmp_path / "models"


@pytest.fixture
def refused(folder, monkeypatch):
    monkeypatch.setenv("PATH", "")  # no tensorflow_model_server

    def call(*arguments, where=folder):
        result = CliRunner().invoke(main, ["serve", str(where), *map(str, arguments)])
        assert result.exit_code == 2, (result.output, result.exception)
        return result.output.splitlines()[-1]

    return call


def test_folders_without_a_model(refused, folder, tmp_path):
    assert "no such folder" in refused(where=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "empty/NAME/<integer>/saved_model.pb" in refused(where=tmp_path / "empty")
    assert f"give {folder / 'net'}" in refused(where=folder / "net" / "3")
    line = refused("--engine=onnxruntime")
    assert "model.onnx" in line and "tfadvseg export onnx RUN" in line


def test_versions_and_labels(refused):
    assert "net has 3" in refused("--version=4")
    assert "expected NAME=VERSION such as stable=3" in refused("--label=stable")


def test_half_of_tls(refused, folder):
    file = folder / "net" / "3" / "saved_model.pb"
    assert "expected both" in refused("--tls-cert", file)
    assert "expected both" in refused("--tls-client-ca", file)
    line = refused("--tls-cert", file, "--tls-key", file, "--port=0", "--rest-port=0")
    assert "unencrypted key in PEM files" in line


@pytest.mark.parametrize("option", ["--port", "--rest-port"])
def test_a_port_that_is_taken(refused, option):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = {"--port": 0, "--rest-port": 0, option: taken.getsockname()[1]}
        line = refused(*(f"{name}={port}" for name, port in ports.items()))
    assert f"{option}: cannot listen at 127.0.0.1" in line


@pytest.mark.parametrize(
    ("missing", "options", "mend"),
    [
        ("aiohttp", (), 'pip install "tfadvseg[serve]"'),
        ("onnxruntime", ("--engine=onnxruntime",), "pip install onnxruntime"),
    ],
)
def test_a_missing_package_is_named_with_the_mend(folder, missing, options, mend):
    (folder / "net" / "3" / "model.onnx").touch()
    script = (
        "import sys\n"
        f"sys.modules[{missing!r}] = None\n"
        "from tfadvseg.cli import main\n"
        f"main(['serve', {str(folder)!r}, '--host=127.0.0.1', *{options!r}])\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1, result.stderr
    assert f"{missing}, which is not installed" in result.stderr and mend in result.stderr


def test_refusals_come_before_tensorflow_is_loaded(tmp_path):
    script = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from tfadvseg.cli import main\n"
        "assert CliRunner().invoke(main, ['serve', 'nowhere']).exit_code == 2\n"
        "assert not {'tensorflow', 'grpc', 'aiohttp'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
