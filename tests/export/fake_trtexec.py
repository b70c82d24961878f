"""A stand-in for NVIDIA's `trtexec`, which needs a GPU: its "engine" is the ONNX itself.

It refuses flags that the real ones of TensorRT 10.0, 10.16 and 11.1 do not all have.
"""

import json
import os
import shutil
import sys

import numpy as np

FLAGS = """help onnx saveEngine minShapes optShapes maxShapes stronglyTyped noTF32 skipInference
    loadEngine shapes loadInputs exportOutput iterations warmUp duration""".split()


def main() -> None:
    print("&&&& RUNNING TensorRT.trtexec [TensorRT v101601] [b11] # trtexec")
    given = dict(text.removeprefix("--").partition("=")[::2] for text in sys.argv[1:])
    for flag in given:
        if flag not in FLAGS:
            sys.exit(f"[E] Unknown option: --{flag}")
    mode = os.environ.get("FAKE_TRTEXEC", "")
    if "onnx" in given and mode == "refuses":
        sys.exit("[E] [TRT] ModelImporter.cpp: operator refused")
    if "onnx" in given and mode != "writes nothing":
        shutil.copy(given["onnx"], given["saveEngine"])
    if "loadEngine" in given:
        answer(given, wrong=mode == "answers wrongly")


def answer(given: dict[str, str], wrong: bool) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(given["loadEngine"], providers=["CPUExecutionProvider"])
    files = dict(one.split(":") for one in given["loadInputs"].split(","))
    sizes = dict(one.split(":") for one in given["shapes"].split(","))
    inputs = {
        name: np.fromfile(file, np.float32).reshape(list(map(int, sizes[name].split("x"))))
        for name, file in files.items()
    }
    names = [output.name for output in session.get_outputs()]
    told = [
        {
            "name": name,
            "dimensions": "x".join(map(str, value.shape)),
            "values": [float(f"{number:.6g}") for number in (value + wrong).ravel()],
        }
        for name, value in zip(names, session.run(names, inputs), strict=True)
    ]
    with open(given["exportOutput"], "w") as file:
        json.dump(told, file)


if __name__ == "__main__":
    main()
