"""Time to read volumes of each format: by one thread, and by as many as the package takes.

Usage: python benchmarks/reading.py [--volumes 8] [--slices 30] [--side 256] [--repeats 3]
What ITK reads (MetaImage, NRRD, DICOM) goes through it one file at a time; NIfTI's voxels do not.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from tfadvseg.data.io import read_image, reading_threads

FORMATS = (".nii.gz", ".mha", ".nrrd", ".dcm")


def main() -> None:
    """Writes volumes of noise, then prints a row for each format."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=int, default=8)
    parser.add_argument("--slices", type=int, default=30)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    shape = (arguments.slices, arguments.side, arguments.side)
    print(f"{arguments.volumes} volumes of {' x '.join(map(str, shape))}")
    for suffix in FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"{number}{suffix}" for number in range(arguments.volumes)]
            for path in paths:
                _write(path, (rng.normal(size=shape) * 50).astype(np.int16))
            _print_row(suffix, paths, arguments.repeats)


def _write(path: Path, voxels: np.ndarray) -> None:
    """A packed volume; for DICOM a folder of slices, unpacked as scanners write them."""
    if path.suffix != ".dcm":
        sitk.WriteImage(sitk.GetImageFromArray(voxels), str(path), useCompression=True)
        return
    path.mkdir()
    for z, pixels in enumerate(voxels):
        image = sitk.GetImageFromArray(pixels)
        elements = {
            "0020|0032": f"0\\0\\{z}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0020|000e": "1.2.3",
            "0028|0030": "1\\1",
        }
        for tag, value in elements.items():
            image.SetMetaData(tag, value)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(path / f"{z}.dcm"))
        writer.Execute(image)


def _print_row(suffix: str, paths: list[Path], repeats: int) -> None:
    """The best of the repeats, both ways in turn."""
    pairs = [
        (_seconds(ThreadPoolExecutor(1), paths), _seconds(reading_threads(), paths))
        for _ in range(repeats)
    ]
    one, several = map(min, zip(*pairs, strict=True))
    print(f"{suffix:8} one thread {one:.2f} s  several {several:.2f} s  ratio {one / several:.2f}")


def _seconds(pool: ThreadPoolExecutor, paths: list[Path]) -> float:
    started = time.perf_counter()
    with pool as threads:
        list(threads.map(read_image, paths))
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
