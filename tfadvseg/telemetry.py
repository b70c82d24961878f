"""Keeps other packages from sending usage data: what segments patients' images tells nobody."""

import os
import sys


def forbid() -> None:
    """Lets OpenVINO, NNCF and ONNX Runtime send nothing; call it before they are imported.

    The first two send what was imported and converted, ONNX Runtime from 1.28 on also what was
    computed on what machine, under an identifier that it leaves in the user's home.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.environ["ORT_TELEMETRY_DISABLED"] = "1"  # its name in some releases
