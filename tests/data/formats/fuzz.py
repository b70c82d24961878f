"""Reads damaged copies of a valid file and tells what came of each: `python fuzz.py FILE COUNT`.

A process of its own, so that a decoder that crashes takes no test with it. Prints JSON: the
outcomes by kind, what was raised that is no clear error, the longest time and the memory.
"""

import faulthandler
import json
import shutil
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from tfadvseg.data.folders.cases import read_data_folder
from tfadvseg.data.io import read_image, read_mask
from tfadvseg.errors import InputError

HEADER = 400  # bytes in which half of the damage is done
HANG = 5  # seconds after which a reader counts as hanging, and says where


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut, with some bytes or bits changed, with a hole, or with bytes that do not belong there."""
    broken = bytearray(content)
    end = min(HEADER, len(broken)) if rng.random() < 0.5 else len(broken)
    kind = rng.choice(["cut", "bytes", "bits", "hole", "more"])
    if kind == "cut":
        return bytes(broken[: rng.integers(len(broken))])
    for place in rng.integers(0, end, rng.integers(1, 9)):
        if kind == "bytes":
            broken[place] = rng.integers(256)
        elif kind == "bits":
            broken[place] ^= 1 << int(rng.integers(8))
        elif kind == "hole":
            broken[place : place + 8] = bytes(len(broken[place : place + 8]))
        else:
            broken[place:place] = rng.bytes(3)
    return bytes(broken)


def readers(path: Path):
    """What is tried on a file: tables and descriptions are read with their data folder."""
    if path.suffix in (".csv", ".json"):
        return [lambda: read_data_folder(path.parent)]
    return [lambda: read_image(path), lambda: read_mask(path)]


def memory() -> int:
    """The largest memory of this process in bytes; `getrusage` counts that of its parent too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main(original: Path, count: int) -> None:
    folder = original.parent / f"fuzzed-{original.name}"
    shutil.copytree(original.parent, folder, ignore=shutil.ignore_patterns("fuzzed-*"))
    path, content = folder / original.name, original.read_bytes()
    outcomes, strange, slowest = Counter(), [], 0.0
    rng = np.random.default_rng([count, *original.name.encode()])
    warnings.simplefilter("ignore")
    for number in range(count):
        path.write_bytes(damaged(content, rng))
        faulthandler.dump_traceback_later(HANG, exit=True)
        began = time.monotonic()
        for read in readers(path):
            try:
                read()
                outcomes["read"] += 1
            except InputError as error:
                outcomes["refused"] += 1
                if len(str(error).splitlines()) != 1 or path.name not in str(error):
                    strange.append(f"{number}: {error}")
            except Exception as error:
                strange.append(f"{number}: {type(error).__name__}: {error}")
        slowest = max(slowest, time.monotonic() - began)
        faulthandler.cancel_dump_traceback_later()
    result = {"outcomes": outcomes, "strange": strange, "slowest": slowest, "memory": memory()}
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
