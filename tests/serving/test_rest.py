"""REST as TensorFlow Serving has it, through Python's client and curl."""

import base64
import gzip
import json
import subprocess

import cv2
import numpy as np
import pytest


def b64(content):
    return {"b64": base64.b64encode(content).decode()}


@pytest.fixture(scope="module")
def image(picture, png):
    return png(picture())


def test_rows_of_a_single_input(client):
    status, answer = client.post({"instances": [[[[200], [1.5]]], [[[0], [1e3]]]]})
    assert status == 200
    assert [row["mask"] for row in answer["predictions"]] == [[[1, 0]], [[0, 1]]]
    assert answer["predictions"][0]["probabilities"] == [[[0.0, 1.0], [1.0, 0.0]]]


def test_rows_by_name(client):
    rows = [{"a": 3, "b": "x"}, {"a": 4, "b": b64(b"\xff")}]
    status, answer = client.post({"signature_name": "pairs", "instances": rows})
    assert status == 200
    first, second = answer["predictions"]
    assert first == {"a": 6, "text": "x!", "raw_bytes": b64(b"x")}
    assert second["raw_bytes"] == b64(b"\xff")


def test_columns(client):
    columns = {"a": [3, 4], "b": ["x", "y"]}
    status, answer = client.post({"signature_name": "pairs", "inputs": columns})
    assert (status, answer["outputs"]["a"]) == (200, [6, 8])
    status, answer = client.post({"inputs": [[[[200]]]]})
    assert (status, answer["outputs"]["mask"]) == (200, [[[1]]])


@pytest.mark.parametrize("form", ["instances", "inputs"])
def test_encoded_images(client, image, form, picture):
    status, answer = client.post({"signature_name": "image_bytes", form: [b64(image)]})
    assert status == 200
    (content,) = answer["predictions" if form == "instances" else "outputs"]
    mask = cv2.imdecode(np.frombuffer(base64.b64decode(content["b64"]), np.uint8), -1)
    np.testing.assert_array_equal(mask, picture() > 128)


@pytest.mark.parametrize("path", ["/versions/1", "/VERSIONS/1", ""])
def test_status(client, path):
    status, answer = client.get(f"/v1/models/net{path}")
    ok = {"error_code": "OK", "error_message": ""}
    states = [{"version": "1", "state": "AVAILABLE", "status": ok}]
    assert (status, answer) == (200, {"model_version_status": states})


def test_metadata(client):
    status, answer = client.get("/v1/models/net/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": "net", "signature_name": "", "version": "1"}
    pairs = answer["metadata"]["signature_def"]["signature_def"]["pairs"]
    shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    assert pairs["inputs"]["b"] == {
        "dtype": "DT_STRING",
        "tensor_shape": shape,
        "name": "pairs_b:0",
    }
    assert pairs["method_name"] == "tensorflow/serving/predict"


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        ("/v1/models/other", 404, "Could not find any versions of model other"),
        ("/v1/models/net/versions/7", 404, "Could not find version 7 of model net"),
        ("/v1/models/net/versions/7/metadata", 404, "Servable not found for request: Specific"),
        ("/v1/models/net/labels/stable", 400, "Unrecognized servable version label: stable"),
        ("/v1/models", 400, "Malformed request: GET /v1/models"),
        ("/v1/models/net:predict", 400, "Malformed request: GET"),
    ],
)
def test_unknown_paths(client, path, code, text):
    status, answer = client.get(path)
    assert status == code and text in answer["error"]


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        ("/v1/models/other:predict", 404, "Servable not found for request: Latest(other)"),
        ("/v1/models/net/versions/7:predict", 404, "Specific(net, 7)"),
        ("/v1/models/net:classify", 501, "use predict"),
        ("/v1/models/net", 400, "Malformed request: POST"),
    ],
)
def test_unknown_targets(client, path, code, text):
    status, answer = client.post({"instances": [[[[1]]]]}, path)
    assert status == code and text in answer["error"]


def test_health_and_metrics(client):
    assert client.http("GET", "/healthz") == (200, b"ok\n")
    assert client.http("GET", "/readyz") == (200, b"ready\n")
    labels = {"model_name": "net", "signature": "pairs", "version": "1", "status": "OK"}
    before = client.metric(":tensorflow:serving:request_count", **labels)
    client.post({"signature_name": "pairs", "instances": [{"a": 3, "b": "x"}]})
    assert client.metric(":tensorflow:serving:request_count", **labels) == before + 1
    for name in ("request_latency", "runtime_latency", "batching_session:queuing_latency"):
        assert client.metric(f":tensorflow:serving:{name}_count", model_name="net") > 0
    assert client.metric("tfadvseg_serving_version_available", model_name="net") == 1
    assert client.http("GET", "/favicon.ico")[0] == 404


def test_curl(client, image, tmp_path):
    body = tmp_path / "request.json"
    body.write_text(json.dumps({"signature_name": "image_bytes", "instances": [b64(image)]}))
    url = f"http://127.0.0.1:{client.rest_port}/v1/models/net:predict"
    command = ["curl", "-sSf", "-d", f"@{body}", url]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert list(json.loads(result.stdout)["predictions"][0]) == ["b64"]


def test_compressed_bodies(client):
    body = gzip.compress(json.dumps({"instances": [[[[200]]]]}).encode())
    status, content = client.http(
        "POST", "/v1/models/net:predict", body, {"Content-Encoding": "gzip"}
    )
    assert status == 200 and json.loads(content)["predictions"][0]["mask"] == [[1]]
