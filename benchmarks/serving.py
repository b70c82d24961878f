"""What the embedded server costs: overhead of a request, throughput and memory under load.

Usage: python benchmarks/serving.py [--size 256] [--filters 16] [--clients 32] [--seconds 60]
A U-Net is exported and asked for masks of PNG files (`image_bytes`), in this process and through
`tfadvseg serve`, in turns, so that both see the same machine: one image at a time, and then batches
against many clients. Clients and server share the machine. Read the ratios: machines differ.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tfadvseg.building import build_model
from tfadvseg.config import Config
from tfadvseg.export.servable import Servable
from tfadvseg.inference.predictor import Predictor
from tfadvseg.run_folder import write_text

BATCH = 8  # the server's --max-batch-size
REPEATS, WARM, ROUNDS = 30, 3, 6


def main() -> None:
    """Prints overhead, throughput and memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _export(root, arguments.size, arguments.filters)
        image = _picture(arguments.size)
        model = tf.saved_model.load(str(root / "net" / "1"))

        def here(count: int) -> Any:
            images = tf.constant([image] * count)
            return model.signatures["image_bytes"](images)["mask_bytes"].numpy()

        with subprocess.Popen(
            [sys.executable, "-m", "tfadvseg.cli", "serve", str(root / "net")]
            + ["--host=127.0.0.1", "--port=0", "--rest-port=0"],
            stdout=subprocess.PIPE,
            text=True,
        ) as server:
            try:
                stub = _connect(server)
                _compare_single(here, lambda: stub.Predict(_request(image), 60))
                ask = Clients(stub, image, arguments.clients)
                _compare_many(here, ask, server.pid, arguments.seconds)
            finally:
                server.terminate()


def _compare_single(here: Callable[[int], Any], there: Callable[[], Any]) -> None:
    """One request at a time."""
    inside, outside = [], []
    for _ in range(REPEATS):
        inside.append(_seconds(lambda: here(1)))
        outside.append(_seconds(there))
    one, other = statistics.median(inside[WARM:]), statistics.median(outside[WARM:])
    print(f"one image, in this process     {one * 1e3:8.1f} ms")
    print(f"one image, through the server  {other * 1e3:8.1f} ms, {other / one - 1:+.1%}")


def _compare_many(here: Callable[[int], Any], ask: Clients, server: int, seconds: float) -> None:
    """Batches in this process, and many requests at a time, in turns."""
    memory, images, took = [], 0, 0.0
    for _ in range(WARM):
        here(BATCH)
    for _ in range(ROUNDS):
        end = time.perf_counter() + seconds / ROUNDS
        while time.perf_counter() < end:
            took, images = took + _seconds(lambda: here(BATCH)), images + BATCH
        ask(seconds / ROUNDS)
        memory.append(f"{_memory(server) / 1e9:.2f}")
    inside, outside = images / took, ask.answers / ask.seconds
    print(f"batches of {BATCH}, in this process  {inside:8.1f} images/s")
    print(f"{len(ask.stubs)} clients for {ask.seconds:.0f} s          {outside:8.1f} images/s")
    print(f"through the server: {outside / inside:.0%} of the rate, {len(ask.errors)} errors")
    print(f"memory of the server after each round, GB: {', '.join(memory)}")


class Clients:
    """Threads that ask without a pause, when called for some seconds."""

    def __init__(self, stub: Any, image: bytes, count: int):
        self.stubs, self.image = [stub] * count, image
        self.answers, self.seconds, self.errors = 0, 0.0, []

    def __call__(self, seconds: float) -> None:
        began = time.perf_counter()
        end = began + seconds
        with ThreadPoolExecutor(len(self.stubs)) as pool:
            self.answers += sum(pool.map(lambda stub: self._ask(stub, end), self.stubs))
        self.seconds += time.perf_counter() - began

    def _ask(self, stub: Any, end: float) -> int:
        answers = 0
        while time.perf_counter() < end:
            try:
                stub.Predict(_request(self.image), 120)
                answers += 1
            except grpc.RpcError as error:
                self.errors.append(error.code().name)
        return answers


def _export(root: Path, size: int, filters: int) -> None:
    """Networks that are not trained cost the same."""
    config = Config(
        classes=("background", "aorta", "pulmonary artery"),
        channels=1,
        image_size=size,
        base_filters=filters,
        steps=1,
    )
    (root / "run").mkdir()
    write_text(root / "run" / "config.yaml", config.to_yaml())
    build_model(config).save(root / "run" / "best.keras")
    servable = Servable(Predictor.load(root / "run"), confidence=False)
    tf.saved_model.save(servable, str(root / "net" / "1"), servable.signatures())


def _picture(size: int) -> bytes:
    smooth = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(size, size)), (0, 0), 3)
    return cv2.imencode(".png", np.clip(128 + 500 * smooth, 0, 255).astype(np.uint8))[1].tobytes()


def _connect(server: subprocess.Popen[str]) -> Any:
    assert server.stdout is not None
    port = next(found[1] for line in server.stdout if (found := re.search(r":(\d+) \(gRPC", line)))
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def _request(image: bytes) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "net", "image_bytes"
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([image]))
    return request


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _memory(pid: int) -> int:
    """Resident bytes of a process."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    main()
