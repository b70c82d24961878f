"""The deployment files, the tools that read them, and an embedded server with an exported model."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from tfadvseg.building import build_model
from tfadvseg.config import Config
from tfadvseg.preparation import prepare
from tfadvseg.run_folder import RunFolder, write_text

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "tensorflow-serving"


def find_tool(name):
    """A program of the environment that runs the tests, or of the machine."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which(name, path=places) or pytest.skip(f"{name} is not installed")


class Readme:
    """The page of instructions: its sections and their blocks of code."""

    def __init__(self):
        self.text = (DEPLOY / "README.md").read_text(encoding="utf-8")

    def section(self, heading):
        return re.split(r"\n#+ ", self.text.split(f"# {heading}\n")[1])[0]

    def blocks(self, kind, heading=None):
        text = self.section(heading) if heading else self.text
        return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


class Site:
    """A folder with a run, in which the commands of the page are run as they stand."""

    def __init__(self, folder):
        self.folder = folder
        self.rest_port = None

    def bash(self, script):
        """Runs a script, the server's port in place of the page's."""
        if self.rest_port:
            script = script.replace("8501", str(self.rest_port))
        program = f'set -e\ntfadvseg() {{ {shlex.quote(sys.executable)} -m tfadvseg.cli "$@"; }}\n'
        return subprocess.run(
            ["bash", "-c", program + script], cwd=self.folder, capture_output=True, text=True
        )


@pytest.fixture(scope="session")
def tool():
    return find_tool


@pytest.fixture(scope="session")
def deploy():
    return DEPLOY


@pytest.fixture(scope="session")
def readme():
    return Readme()


@pytest.fixture(scope="session")
def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def site(shared_phantom, tiny, readme, tmp_path_factory):
    """A checkout's deploy/, a run of networks with their first weights, and its export."""
    site = Site(tmp_path_factory.mktemp("site"))
    (site.folder / "deploy").symlink_to(ROOT / "deploy")
    config, split = prepare(
        Config(**{**tiny, "data": str(shared_phantom), "recipe": "adversarial"})
    )
    run = RunFolder(site.folder / "runs" / "first")
    run.create()
    write_text(run.path / "config.yaml", config.to_yaml())
    run.write_json("split.json", split.to_json())
    build_model(config).save(run.path / "best.keras")
    picture = np.random.default_rng(0).integers(0, 256, (40, 52), np.uint8)
    cv2.imwrite(str(site.folder / "image.png"), picture)
    done = site.bash(readme.blocks("bash", "A model")[0])
    assert done.returncode == 0, done.stderr
    return site


@pytest.fixture(scope="session")
def served(site, readme):
    """The same with the page's server running, on ports that the machine chooses."""
    words = shlex.split(readme.blocks("bash", "A model")[1])
    assert words[0] == "tfadvseg"
    options = ["--port=0", "--rest-port=0", "--host=127.0.0.1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tfadvseg.cli", *words[1:], *options],
        cwd=site.folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if found := re.search(r":(\d+) \(gRPC\).*:(\d+) \(REST\)", line):
            site.port, site.rest_port = int(found[1]), int(found[2])
            break
    yield site
    process.terminate()
    process.communicate()
    site.rest_port = None
