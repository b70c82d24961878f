"""The examples of docs/serving.md run as they are printed, but for the ports."""

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"
BLOCKS = re.findall(r"```(bash|python)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def run(server, tmp_path, picture, png):
    """Runs a block beside an image; returns the folder."""
    (tmp_path / "image.png").write_bytes(png(picture((20, 30))))
    ports = dict(zip(("8500", "8501"), map(str, server.ports()), strict=True))

    def run_block(language, text):
        text = re.sub("localhost:(8500|8501)", lambda found: f"localhost:{ports[found[1]]}", text)
        command = ["bash", "-ec", text] if language == "bash" else [sys.executable, "-c", text]
        environment = {**os.environ, "no_proxy": "*"}
        subprocess.run(command, cwd=tmp_path, check=True, env=environment)
        return tmp_path

    return run_block


def test_there_are_examples():
    assert [language for language, _ in BLOCKS] == ["bash", "python", "python"]


@pytest.mark.parametrize(("language", "text"), BLOCKS, ids=range(len(BLOCKS)))
def test_examples(run, language, text, picture):
    folder = run(language, text)
    if language == "bash":
        answer = json.loads((folder / "answer.json").read_text())
        content = base64.b64decode(answer["predictions"][0]["b64"])
    else:
        content = (folder / "mask.png").read_bytes()
    mask = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, picture((20, 30)) > 128)
