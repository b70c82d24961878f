"""Keeps OpenVINO and NNCF from sending usage data."""

import sys


def forbid() -> None:
    """Lets both packages find that theirs for telemetry is not installed; call it before them.

    They send what was imported and converted, unless a file in the user's home says no. What
    segments patients' images tells nobody.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
