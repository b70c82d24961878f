"""Packages that would tell their makers what they are used for."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("package", "code"),
    [
        ("onnxruntime", "from tfadvseg.inference.engines import loader; loader('onnxruntime')"),
        ("tf2onnx", "from tfadvseg.export.onnx_model import require_onnx; require_onnx()"),
        ("openvino", "from tfadvseg.inference.engines import loader; loader('openvino')"),
        (
            "nncf",
            "from tfadvseg.export.openvino_model import require_openvino;"
            "require_openvino(nncf=True)",
        ),
    ],
)
def test_nothing_is_kept_or_sent(tmp_path, package, code):
    """Both kinds begin with a file in the home, and OpenVINO's with a package of its own."""
    pytest.importorskip(package)
    code += "; import sys; print(sys.modules.get('openvino_telemetry'))"
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.splitlines()[-1] == "None"
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in left if path.name != "keras.json"] == []
