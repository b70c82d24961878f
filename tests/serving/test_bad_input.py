"""Whatever is sent: the right status, one log line without its content, and good answers after."""

import base64
import gzip
import json
import random
import socket
import struct
import threading
import time
import zlib

import cv2
import grpc
import numpy as np
import pytest
import tensorflow as tf

DOOR = "/v1/models/net:predict"
SECRET = "JOHN-DOE-1950"


def b64(content):
    return {"b64": base64.b64encode(content).decode()}


def bomb(width, height):
    """A PNG that announces a size, whole but for its missing pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(400_000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


@pytest.fixture(scope="module")
def image(picture, png):
    return png(picture((16, 16)))


@pytest.fixture
def answers_well(client, picture, png, server, eventually):
    """The server's next good answer is right, and each refusal has one line in the log."""
    yield
    image = picture((16, 16))
    (content,) = client.predict("image_bytes", image_bytes=[png(image)])["mask_bytes"]
    mask = cv2.imdecode(np.frombuffer(content, np.uint8), -1)
    np.testing.assert_array_equal(mask, image > 128)
    assert server.process.poll() is None
    count = ":tensorflow:serving:request_count"
    refused = client.metric(count) - client.metric(count, status="OK")
    eventually(lambda: len(server.failures()) == refused)
    log = "".join(server.log)
    assert SECRET not in log and "Traceback" not in log, log[-3000:]


def bad_images(good):
    jpeg = cv2.imencode(".jpg", np.zeros((16, 16), np.uint8))[1].tobytes()
    size = jpeg.index(b"\xff\xc0") + 5
    return {
        "no image": SECRET.encode(),
        "empty": b"",
        "truncated PNG": good[: len(good) // 2],
        "truncated JPEG": jpeg[: len(jpeg) // 2],
        "damaged PNG": good[:60] + b"\0\0\0\0" + good[64:],
        "bomb": bomb(60000, 60000),
        "more than --max-pixels": bomb(1001, 1000),
        "JPEG bomb": jpeg[:size] + struct.pack(">HH", 60000, 60000) + jpeg[size + 4 :],
        "GIF": b"GIF89a" + struct.pack("<HH", 65000, 65000) + bytes(20),
        "WebP": b"RIFF\x10\0\0\0WEBPVP8 ",
    }


@pytest.mark.parametrize("kind", list(bad_images(bytes(200))))
def test_bad_images(client, image, kind, answers_well):
    content = bad_images(image)[kind]
    status, answer = client.post({"signature_name": "image_bytes", "instances": [b64(content)]})
    assert status == 400 and list(answer) == ["error"] and answer["error"], answer
    assert "\n" not in answer["error"] and "Traceback" not in answer["error"]


def test_a_bad_image_beside_good_ones_fails_its_own_request_only(client, image, answers_well):
    answers = {}

    def ask(number):
        content = b"no image" if number % 4 == 0 else image
        body = {"signature_name": "image_bytes", "instances": [b64(content)]}
        answers[number] = client.post(body)[0]

    threads = [threading.Thread(target=ask, args=[number]) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: 400 if number % 4 == 0 else 200 for number in range(16)}


FLAWED = {
    "wrong dtype": ({"images": np.zeros((1, 4, 4, 1), np.int32)}, "expected float32, received"),
    "wrong rank": ({"images": np.zeros((4, 4), np.float32)}, "expected shape [?,?,?,1]"),
    "wrong channels": ({"images": np.zeros((1, 4, 4, 3), np.float32)}, "received [1,4,4,3]"),
    "wrong name": ({"picture": np.zeros((1, 4, 4, 1), np.float32)}, "Sent extra: {picture}"),
    "no input": ({}, "Missing but required: {images}"),
    "strings": ({"images": np.array([b"x"])}, "received DT_STRING"),
}


@pytest.mark.parametrize("flaw", FLAWED)
def test_bad_tensors_over_grpc(client, request_of, flaw, answers_well):
    inputs, text = FLAWED[flaw]
    code, details = client.refused(request_of(**inputs))
    assert code == "INVALID_ARGUMENT" and text in details


@pytest.mark.parametrize(
    "sides", [[1 << 40], [-1, 4, 4, 1], [1, 1 << 20, 1 << 20, 1], [7, 7, 7, 1]]
)
def test_shapes_that_the_values_do_not_fill(client, request_of, sides, answers_well):
    request = request_of(images=np.zeros((1, 2, 2, 1), np.float32))
    request.inputs["images"].tensor_shape.CopyFrom(
        tf.TensorShape([None if side < 0 else side for side in sides]).as_proto()
    )
    assert client.refused(request)[0] == "INVALID_ARGUMENT"


def test_a_type_that_does_not_exist(client, request_of, answers_well):
    request = request_of(images=np.zeros((1, 2, 2, 1), np.float32))
    request.inputs["images"].dtype = 999
    assert client.refused(request)[0] == "INVALID_ARGUMENT"


def test_unknown_model_version_signature_and_label(client, request_of, answers_well):
    images = np.zeros((1, 4, 4, 1), np.float32)
    code, text = client.refused(request_of(model=SECRET, images=images))
    assert (code, text) == ("NOT_FOUND", f"Servable not found for request: Latest({SECRET})")
    code, text = client.refused(request_of(version=9, images=images))
    assert (code, text) == ("NOT_FOUND", "Servable not found for request: Specific(net, 9)")
    code, text = client.refused(request_of("other", images=images))
    assert (code, text) == ("FAILED_PRECONDITION", 'Serving signature key "other" not found.')
    assert client.refused(request_of(label="x", images=images))[0] == "INVALID_ARGUMENT"


BODIES = [
    (b"", "JSON Parse error"),
    (b"{", "JSON Parse error"),
    (b"\xff\xfe", "JSON Parse error"),
    (b"[" * 100_000, "nested too deeply"),
    (b"[1]", "Is not object"),
    ({}, "Missing 'inputs' or 'instances' key"),
    ({"instances": []}, "No values in 'instances' array"),
    ({"instances": {"a": 1}}, "to be an list/array"),
    ({"instances": [1], "inputs": [1]}, "only one of"),
    ({"instances": [[[[1]]]], "signature_name": 3}, "must be a string"),
    ({"instances": [[[[1]]]], "signature_name": SECRET}, "not found in signature def"),
    ({"instances": [[[[SECRET]]]]}, "expected float32, received str"),
    ({"instances": [[[[True]]]]}, "expected float32, received bool"),
    ({"instances": [[[[None]]]]}, "expected float32, received NoneType"),
    ({"instances": [[[[1], [2, 3]]]]}, "differ in length"),
    ({"instances": [[[[1]]], [[[1]], [[1]]]]}, "differ in length"),
    ({"instances": [1]}, "expected shape [?,?,?,1], received [1]"),
    ({"instances": [b64(b"AAAA")]}, "expected float32"),
    ({"instances": [{"images": [[[1]]], "x": 1}]}, "Sent extra: {x}"),
    ({"instances": [{"images": [[[1]]]}, [[[1]]]]}, "mixes objects"),
    ({"inputs": {"x": 1}}, "Missing but required: {images}"),
    ({"signature_name": "pairs", "instances": [1]}, "expecting list of objects"),
    ({"signature_name": "pairs", "inputs": [1]}, "expecting an object"),
    ({"signature_name": "pairs", "inputs": {"a": [1.5], "b": ["x"]}}, "expected int64"),
    ({"signature_name": "pairs", "inputs": {"a": [1 << 70], "b": ["x"]}}, "does not fit int64"),
    ({"signature_name": "pairs", "inputs": {"a": [1], "b": [2]}}, "expected string"),
    (
        {"signature_name": "pairs", "inputs": {"a": [1, 2], "b": ["x"]}},
        "differ in their first axis",
    ),
    ({"signature_name": "image_bytes", "instances": [{"b64": "*"}]}, "Unable to base64 decode"),
    ({"signature_name": "image_bytes", "instances": [{"b64": 1}]}, ""),
    ({"signature_name": "image_bytes", "instances": [["x"]]}, "expected shape [?]"),
]


@pytest.mark.parametrize(("body", "text"), BODIES, ids=range(len(BODIES)))
def test_bad_bodies(client, body, text, answers_well):
    status, answer = client.post(body)
    assert status == 400 and text in answer["error"], answer


def test_bodies_that_are_too_large(client, request_of, answers_well):
    body = json.dumps({"instances": [0.0] * 600_000}).encode()
    assert client.http("POST", DOOR, body)[0] == 413
    packed = gzip.compress(body)  # small on the way, and no smaller in memory
    assert client.http("POST", DOOR, packed, {"Content-Encoding": "gzip"})[0] == 413
    code, _ = client.refused(request_of(images=np.zeros((1, 1024, 1024, 1), np.float32)))
    assert code == "RESOURCE_EXHAUSTED"


def test_a_damaged_body(client, answers_well):
    status, content = client.http("POST", DOOR, b"no gzip", {"Content-Encoding": "gzip"})
    assert status == 400 and "not what its headers announce" in content.decode()


def test_a_client_that_hangs_up_before_its_body_is_whole(client, server, answers_well, eventually):
    before = client.metric(":tensorflow:serving:request_count", status="CANCELLED")
    with socket.create_connection(("127.0.0.1", client.rest_port), 30) as connection:
        head = f"POST {DOOR} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"
        connection.sendall(f"{head}{{".encode())
    count = ":tensorflow:serving:request_count"
    eventually(lambda: client.metric(count, status="CANCELLED") == before + 1)


def test_a_slow_client_gets_408(client, answers_well):
    with socket.create_connection(("127.0.0.1", client.rest_port), 30) as connection:
        connection.sendall(
            f"POST {DOOR} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{{".encode()
        )
        assert b" 408 " in connection.recv(1000)


@pytest.mark.parametrize("sent", [b"", b"POST /v1/models/net:predict HTTP/1.1\r\nHo"])
def test_a_connection_without_a_request_is_closed(client, sent, answers_well):
    with socket.create_connection(("127.0.0.1", client.rest_port), 30) as connection:
        connection.sendall(sent)
        assert connection.recv(1000) == b""


def test_a_client_that_hangs_up_is_forgotten(client, server, answers_well, eventually, hold):
    labels = {"status": "CANCELLED", "signature": "held"}
    before = client.metric(":tensorflow:serving:request_count", **labels)
    body = json.dumps({"signature_name": "held", "instances": [int(hold.name)]})
    batches = ":tensorflow:serving:batching_session:processed_batch_size_count"
    batch = client.metric(batches)
    with socket.create_connection(("127.0.0.1", client.rest_port), 30) as connection:
        head = f"POST {DOOR} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall((head + body).encode())
        eventually(lambda: client.metric(batches) > batch)
    eventually(lambda: client.metric(":tensorflow:serving:request_count", **labels) == before + 1)
    hold.unlink()
    eventually(lambda: any('cause="client gone"' in line for line in server.failures()))


def test_what_is_not_http(client, answers_well):
    for nonsense in (b"\x16\x03\x01\x02\0" + bytes(200), b"GET\r\n\r\n", bytes(5000)):
        with socket.create_connection(("127.0.0.1", client.rest_port), 30) as connection:
            connection.sendall(nonsense)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(1000)
            assert not answer or b" 400 " in answer


@pytest.mark.slow
def test_random_requests(client, image, answers_well):
    """10,000 mutations of good requests, or a minute of them: each answered, none by status 500."""
    chance, seen = random.Random(1), set()
    good = [
        json.dumps({"signature_name": "image_bytes", "instances": [b64(image)]}),
        json.dumps({"instances": [[[[200], [1.5]], [[0], [1e3]]]]}),
        json.dumps({"signature_name": "pairs", "inputs": {"a": [1, 2], "b": ["x", "y"]}}),
    ]
    end = time.monotonic() + 60
    for _ in range(10_000):
        if time.monotonic() > end:
            break
        body = bytearray(chance.choice(good).encode())
        for _ in range(chance.randint(0, 4)):
            place = chance.randrange(len(body))
            match chance.randrange(4):
                case 0:
                    body[place] = chance.randrange(256)
                case 1:
                    del body[place : place + chance.randint(1, 20)]
                case 2:
                    body[place:place] = chance.choice(
                        [b"[", b"]", b'"', b"{", b"1e999", b"NaN", b","]
                    )
                case 3:
                    body[place:place] = body[: chance.randint(0, 40)]
        status, content = client.http("POST", DOOR, bytes(body))
        assert status in (200, 400), (status, content, bytes(body))
        assert set(json.loads(content)) <= {"error", "predictions", "outputs"}
        seen.add(status)
    assert seen == {200, 400}


def test_random_messages_over_grpc(client, request_of, image, answers_well):
    """Mutations of good messages: those that are no message any more are refused as such."""
    chance, seen = random.Random(2), set()
    predict = client.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    good = [
        request_of("image_bytes", image_bytes=[image]).SerializeToString(),
        request_of(images=np.zeros((1, 2, 2, 1), np.float32)).SerializeToString(),
        request_of("pairs", a=np.array([1, 2]), b=[b"x", b"y"]).SerializeToString(),
    ]
    for _ in range(1000):
        message = bytearray(chance.choice(good))
        for _ in range(chance.randint(0, 3)):
            message[chance.randrange(len(message))] = chance.randrange(256)
        try:
            predict(bytes(message), timeout=60)
            seen.add("OK")
        except grpc.RpcError as error:
            seen.add(error.code().name)
    assert seen <= {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"}
    assert "OK" in seen and "INVALID_ARGUMENT" in seen
