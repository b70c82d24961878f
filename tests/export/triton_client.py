"""Asks a Triton server with NVIDIA's own clients; runs in the environment that has them.

Usage: python triton_client.py HTTP_PORT GRPC_PORT FOLDER

FOLDER holds `<number>.npz`: `model`, and the inputs by name; files are arrays of bytes,
`image_bytes/0`, ... The answers are written as `<number>.http.npz` and `<number>.grpc.npz`, those
over gRPC asked for by several threads at once. A refusal is `status` and `message`.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException, np_to_triton_dtype


def main():
    http_port, grpc_port, folder = sys.argv[1:]
    files = [file for file in sorted(Path(folder).glob("*.npz")) if file.stem.isdigit()]
    http = tritonclient.http.InferenceServerClient(f"127.0.0.1:{http_port}")
    for file in files:
        np.savez(file.with_suffix(".http"), **ask(tritonclient.http, http, file))
    grpc = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{grpc_port}")
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda file: ask(tritonclient.grpc, grpc, file), files))
    for file, answer in zip(files, answers, strict=True):
        np.savez(file.with_suffix(".grpc"), **answer)


def ask(kind, client, file):
    call = dict(np.load(file))
    model, inputs = str(call.pop("model")), []
    for name, array in gathered(call).items():
        inputs.append(kind.InferInput(name, array.shape, np_to_triton_dtype(array.dtype)))
        inputs[-1].set_data_from_numpy(array)
    try:
        result = client.infer(model, inputs)
    except InferenceServerException as error:
        return {"status": str(error.status()), "message": error.message()}
    names = [output["name"] for output in told(result)["outputs"]]
    return spread({name: result.as_numpy(name) for name in names})


def told(result):
    response = result.get_response()
    if isinstance(response, dict):
        return response
    return {"outputs": [{"name": output.name} for output in response.outputs]}


def gathered(arrays):
    inputs, files = {}, []
    for name, array in arrays.items():
        if "/" in name:
            files.append(array.tobytes())
            inputs[name.partition("/")[0]] = np.array(files, object)
        else:
            inputs[name] = array
    return inputs


def spread(answers):
    arrays = {}
    for name, array in answers.items():
        if array.dtype == object:
            for number, content in enumerate(array):
                arrays[f"{name}/{number}"] = np.frombuffer(content, np.uint8)
        else:
            arrays[name] = array
    return arrays


if __name__ == "__main__":
    main()
