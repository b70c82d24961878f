"""TF-TRT in a process of its own, under whichever TensorFlow has it; knows nothing of this package.

Usage: python tftrt_process.py probe
       python tftrt_process.py convert SAVED_MODEL FOLDER PRECISION TARGET

`probe` prints JSON: the version of TensorFlow, the TensorRT it was built for, whether it finds it,
and the number of GPUs. `convert` takes `<number>.npz` of FOLDER, each the inputs of one call, to
build engines for their shapes, and prints JSON: the number of engines.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf


def probe() -> dict[str, Any]:
    """What this TensorFlow has; asks for nothing that aborts the process where it is missing."""
    found: dict[str, Any] = {"tensorflow": tf.__version__, "built_for": None, "finds": False}
    if tf.sysconfig.get_build_info().get("is_tensorrt_build"):
        from tensorflow.compiler.tf2tensorrt import _pywrap_py_utils

        found["built_for"] = ".".join(map(str, _pywrap_py_utils.get_linked_tensorrt_version()))
        found["finds"] = bool(_pywrap_py_utils.is_tensorrt_enabled())
    found["gpus"] = len(tf.config.list_physical_devices("GPU"))
    return found


def convert(source: str, folder: str, precision: str, target: str) -> dict[str, Any]:
    """Converts `serving_default`, builds its engines and saves it."""
    from tensorflow.python.compiler.tensorrt.trt_convert import TrtGraphConverterV2

    converter = TrtGraphConverterV2(
        input_saved_model_dir=source,
        input_saved_model_signature_key="serving_default",
        precision_mode=precision,
        use_dynamic_shape=True,
        dynamic_shape_profile_strategy="Range",
        allow_build_at_runtime=False,  # an image of another size falls back on TensorFlow
    )
    function = converter.convert()
    nodes = [node.op for node in function.graph.as_graph_def().node]
    files = sorted(Path(folder).glob("*.npz"))
    converter.build(input_fn=lambda: (dict(np.load(file)) for file in files))
    converter.save(target)
    return {"engines": nodes.count("TRTEngineOp")}


if __name__ == "__main__":
    task, *arguments = sys.argv[1:]
    print(json.dumps(convert(*arguments) if task == "convert" else probe()))
