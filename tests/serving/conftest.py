"""Tiny SavedModels with the signatures of ours, and real server processes."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import cv2
import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

IMAGES = tf.TensorSpec([None, None, None, 1], tf.float32, name="images")
STRINGS = tf.TensorSpec([None], tf.string, name="image_bytes")


class Thresholder(tf.Module):
    """Foreground is what is brighter than `level`; the mask holds the number of the version."""

    def __init__(self, version, level=128.0, holds=""):
        super().__init__()
        self.holds = str(holds)
        self.version, self.level = tf.Variable(version), tf.Variable(level)

    @tf.function(input_signature=[IMAGES])
    def images(self, images):
        foreground = tf.cast(images > self.level, tf.float32)
        mask = tf.cast(foreground[..., 0], tf.int32) * self.version
        return {
            "probabilities": tf.concat([1 - foreground, foreground], -1),
            "mask": mask,
        }

    @tf.function(input_signature=[STRINGS])
    def image_bytes(self, image_bytes):
        images = tf.map_fn(decode, image_bytes, fn_output_signature=tf.float32)
        masks = tf.cast(self.images(images)["mask"], tf.uint8)[..., None]
        return {"mask_bytes": tf.map_fn(tf.io.encode_png, masks, fn_output_signature=tf.string)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="numbers")])
    def held(self, numbers):
        """Keeps its thread at work, without a GIL to wait for, for as long as a file is there."""
        files = tf.strings.join([self.holds, tf.strings.as_string(numbers)], "/")
        there = lambda _: tf.size(tf.io.matching_files(files)) > 0  # noqa: E731
        with tf.control_dependencies(tf.while_loop(there, lambda turn: [turn + 1], [0])):
            return {"rows": tf.fill(tf.shape(numbers), tf.shape(numbers)[0])}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int64, name="a"),
            tf.TensorSpec([None], tf.string, name="b"),
        ]
    )
    def pairs(self, a, b):
        return {"a": a * 2, "text": tf.strings.join([b, b"!"]), "raw_bytes": b}


def decode(content):
    return tf.cast(tf.io.decode_png(content, channels=1), tf.float32)


def save(folder, version=1, level=128.0, warmup=None):
    """Writes a version as a whole, as an exporter does."""
    model = Thresholder(version, level, folder.parent)
    written = folder.parent / f".{version}"
    signatures = {
        "serving_default": model.images,
        "image_bytes": model.image_bytes,
        "held": model.held,
        "pairs": model.pairs,
    }
    tf.saved_model.save(model, str(written), signatures)
    if warmup is not None:
        (written / "assets.extra").mkdir()
        with tf.io.TFRecordWriter(
            str(written / "assets.extra" / "tf_serving_warmup_requests")
        ) as file:
            for request in warmup:
                log = prediction_log_pb2.PredictionLog()
                log.predict_log.request.CopyFrom(request)
                file.write(log.SerializeToString())
    written.rename(folder)


def encode(array):
    return cv2.imencode(".png", np.asarray(array, np.uint8))[1].tobytes()


def predict_request(signature="", model="net", version=None, label=None, **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


class Client:
    """Stock clients of TensorFlow Serving."""

    def __init__(self, port, rest_port, credentials=None, options=()):
        address = f"localhost:{port}" if credentials else f"127.0.0.1:{port}"
        options = [("grpc.max_receive_message_length", -1), *options]
        self.channel = (
            grpc.secure_channel(address, credentials, options)
            if credentials
            else grpc.insecure_channel(address, options)
        )
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)
        self.rest_port = rest_port

    def predict(self, *arguments, timeout=60, **inputs):
        """Over gRPC: arrays by name."""
        response = self.stub.Predict(predict_request(*arguments, **inputs), timeout)
        return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}

    def refused(self, request, call="Predict", timeout=60):
        """The status and the text of a refusal over gRPC."""
        with pytest.raises(grpc.RpcError) as caught:
            getattr(self.stub, call)(request, timeout)
        return caught.value.code().name, caught.value.details()

    def http(self, method, path, body=None, headers=None):
        """Status and content over REST."""
        connection = http.client.HTTPConnection("127.0.0.1", self.rest_port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def get(self, path):
        status, content = self.http("GET", path)
        return status, json.loads(content)

    def post(self, content, path="/v1/models/net:predict"):
        body = content if isinstance(content, bytes) else json.dumps(content)
        status, content = self.http("POST", path, body)
        return status, json.loads(content)

    def metric(self, name, **labels):
        """The value of a metric; its parts are added up."""
        total = 0.0
        for line in self.http("GET", "/monitoring/prometheus/metrics")[1].decode().splitlines():
            found = re.fullmatch(rf"{name}(?:{{(.*)}})? (\S+)", line)
            if found and all(f'{key}="{value}"' in found[1] for key, value in labels.items()):
                total += float(found[2])
        return total

    def state(self, version, model="net"):
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        states = self.models.GetModelStatus(request, 10).model_version_status
        names = get_model_status_pb2.ModelVersionStatus.State
        found = {one.version: (names.Name(one.state), one.status.error_message) for one in states}
        return found.get(version)

    def definitions(self, model="net"):
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = model
        response = self.stub.GetModelMetadata(request, 10)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        return response.model_spec, signatures.signature_def


class Process:
    """`tfadvseg serve` as a real process, on ports that the machine chooses."""

    def __init__(self, folder, *options, environment=None):
        command = [sys.executable, "-m", "tfadvseg.cli", "serve", str(folder)]
        self.process = subprocess.Popen(
            [*command, "--port=0", "--rest-port=0", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.out, self.log = [], []
        streams = ((self.process.stdout, self.out), (self.process.stderr, self.log))
        self.readers = [
            threading.Thread(target=lambda s=stream, to=lines: to.extend(s))
            for stream, lines in streams
        ]
        for reader in self.readers:
            reader.start()

    def ports(self):
        found = wait_for(lambda: re.search(r":(\d+) \(gRPC\).*:(\d+) \(REST\)", "".join(self.out)))
        return int(found[1]), int(found[2])

    def client(self, **options):
        return Client(*self.ports(), **options)

    def failures(self):
        return [line for line in self.log if "request failed" in line]

    def stop(self, number=signal.SIGTERM):
        """Tells it to end; its exit status."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self):
        status = self.process.wait(60)
        for reader in self.readers:
            reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return status

    def kill(self):
        """Ends it without asking, if it has not ended."""
        self.process.kill()
        self.wait()


def wait_for(condition, seconds=60):
    """The first true value of a condition."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(grpc.RpcError, OSError):
            if value := condition():
                return value
        time.sleep(0.05)
    raise AssertionError("waited in vain")


@pytest.fixture(scope="session")
def png():
    """Encodes an array."""
    return encode


@pytest.fixture(scope="session")
def picture():
    """An image: the same for the same size and seed."""
    return lambda size=(8, 8), seed=0: np.random.default_rng(seed).integers(0, 256, size, np.uint8)


@pytest.fixture(scope="session")
def request_of():
    """Makes a request for gRPC: signature, model, version, label, and arrays by name."""
    return predict_request


@pytest.fixture(scope="session")
def save_model():
    """Writes a version of the tiny model."""
    return save


@pytest.fixture(scope="session")
def eventually():
    """Waits for a condition, and returns its first true value."""
    return wait_for


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """A version of the tiny model, which no test changes."""
    folder = tmp_path_factory.mktemp("saved") / "1"
    save(folder, warmup=[predict_request(images=np.zeros((1, 8, 8, 1), np.float32))])
    return folder


@pytest.fixture
def hold(saved):
    """A file that is named by a number: `held` works on that number for as long as it is there."""
    file = saved.parent / str(max(int(file.name) for file in saved.parent.iterdir()) + 1)
    file.touch()
    yield file
    file.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def start():
    """Starts servers, which end with the session at the latest."""
    processes = []

    def start_one(folder, *options, **more):
        processes.append(Process(folder, *options, **more))
        return processes[-1]

    yield start_one
    for process in processes:
        process.kill()


@pytest.fixture(scope="session")
def server(start, saved, tmp_path_factory):
    """A server of two equal models that no test changes, `net` and `heart`, with small limits."""
    folder = tmp_path_factory.mktemp("served")
    for name in ("net", "heart"):
        shutil.copytree(saved, folder / name / "1")
    process = start(folder, "--max-body-mb=2", "--max-pixels=1000000", "--read-timeout=1")
    process.ports()
    return process


@pytest.fixture(scope="session")
def client(server):
    return server.client()
