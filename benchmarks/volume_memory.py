"""Memory and time of predicting one large CT volume: 512 x 512 x 1000 voxels, int16, NIfTI.

Usage: python benchmarks/volume_memory.py [--slices 1000]
The command `tfadvseg predict` runs as a process of its own. Its largest memory is printed beside
that of the same command on a single slice, which is what TensorFlow and the networks take.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tfadvseg.building import build_model
from tfadvseg.config import Config
from tfadvseg.data.formats.volumes import write_volume
from tfadvseg.data.geometry import Geometry
from tfadvseg.data.image import Image
from tfadvseg.run_folder import write_text

SIDE = 512
# The kernel's own count of the process; what a parent sees of a child includes the parent.
COMMAND = """
from tfadvseg.cli import main
main(standalone_mode=False)
print(open("/proc/self/status").read())
"""


def main() -> None:
    """Writes a run and two volumes, predicts them, prints a row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=1000)
    slices = parser.parse_args().slices
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _write_run(root / "run")
        print("volume            s     s/slice   largest memory, GB")
        for count in (1, slices):
            _write_volume(root / "scan.nii.gz", count)
            seconds, memory = _predict(root)
            figures = f"{seconds:7.1f}  {seconds / count:8.3f}  {memory / 1e9:8.2f}"
            print(f"{SIDE}x{SIDE}x{count:<5} {figures}")


def _write_run(run: Path) -> None:
    """Networks that are not trained cost the same."""
    run.mkdir()
    config = Config(
        classes=("background", "aorta", "pulmonary artery"),
        channels=1,
        image_size=256,
        base_filters=16,
        window="angiography",
        steps=1,
    )
    write_text(run / "config.yaml", config.to_yaml())
    build_model(config).save(run / "best.keras")


def _write_volume(path: Path, slices: int) -> None:
    voxels = np.empty((slices, SIDE, SIDE), np.int16)
    noise = np.random.default_rng(0).normal(0, 20, (SIDE, SIDE))
    for z in range(slices):
        voxels[z] = np.roll(noise, 7 * z) + 300 * np.sin(z / 50)
    grid = Geometry((SIDE, SIDE, slices), (0.7, 0.7, 0.6), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    write_volume(path, Image(voxels, grid))


def _predict(root: Path) -> tuple[float, int]:
    """Seconds and the largest resident memory in bytes."""
    arguments = ["predict", root / "run", root / "scan.nii.gz", "--out", root / "out"]
    began = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, arguments)], capture_output=True, text=True
    )
    if process.returncode:
        sys.exit(f"predict failed: {process.stderr}")
    kilobytes = int(process.stdout.rpartition("VmHWM:")[2].split()[0])
    return time.perf_counter() - began, kilobytes * 1024


if __name__ == "__main__":
    main()
