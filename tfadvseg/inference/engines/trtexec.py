"""NVIDIA's program `trtexec`, where its module for Python is not installed."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfadvseg.errors import ExportError

Arrays = dict[str, np.ndarray]


def version(program: str) -> str:
    """Of TensorRT, as `10.16.1`; empty where the program does not tell it."""
    found = re.search(r"TensorRT v(\d+)", output([program, "--help"]))
    if not found:
        return ""
    number = int(found.group(1))  # 101601 for 10.16.1
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def ask(program: str, plan: Path, inputs: Arrays) -> Arrays:
    """Runs an engine once, in a process of its own.

    Raises:
        ExportError: if it fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        files = {name: Path(scratch) / f"{name}.bin" for name in inputs}
        for name, file in files.items():
            file.write_bytes(np.ascontiguousarray(inputs[name]).tobytes())
        answer = Path(scratch) / "answer.json"
        output(
            [
                program,
                f"--loadEngine={plan}",
                f"--shapes={','.join(f'{n}:{joined(a.shape)}' for n, a in inputs.items())}",
                f"--loadInputs={','.join(f'{name}:{file}' for name, file in files.items())}",
                f"--exportOutput={answer}",
                "--iterations=1",
                "--warmUp=0",
                "--duration=0",
            ]
        )
        outputs = json.loads(answer.read_text(encoding="utf-8"))
    return {
        one["name"]: np.array(one["values"]).reshape([int(s) for s in one["dimensions"].split("x")])
        for one in outputs
    }


def output(command: Sequence[str]) -> str:
    """What a command prints.

    Raises:
        ExportError: if it fails; it says why.
    """
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    told = done.stdout + done.stderr
    if done.returncode:
        errors = [line for line in told.splitlines() if "[E]" in line] or told.splitlines() or [""]
        raise ExportError(f"{Path(command[0]).name} failed ({done.returncode}): {errors[0]}")
    return told


def joined(sizes: Sequence[int]) -> str:
    """A shape as the program reads it: `8x256x256x1`."""
    return "x".join(map(str, sizes))
