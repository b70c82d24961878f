"""A server with one thread and a short queue: full, late, and told to end."""

import json
import shutil
import signal
import socket
import threading
import time

import grpc
import numpy as np
import pytest

DOOR = "/v1/models/net:predict"


@pytest.fixture
def server(start, saved, tmp_path):
    shutil.copytree(saved, tmp_path / "net" / "1")
    options = ("--threads=1", "--queue-size=2", "--max-batch-size=4", "--timeout=2")
    process = start(tmp_path / "net", *options)
    process.ports()
    return process


class Waiting(threading.Thread):
    """A request in a thread of its own: seconds for the model, and what came of it."""

    def __init__(self, client, seconds, timeout=60):
        super().__init__()
        self.client, self.seconds, self.timeout, self.answer = client, seconds, timeout, None
        self.start()

    def run(self):
        seconds = np.full(1, self.seconds, np.float32)
        try:
            answer = self.client.predict("slow", seconds=seconds, timeout=self.timeout)
            self.answer = int(answer["rows"][0])
        except grpc.RpcError as error:
            self.answer = error.code().name

    def end(self):
        self.join()
        return self.answer


def busy(client, eventually, seconds):
    """Starts a request that keeps the only thread at work."""
    before = client.metric(":tensorflow:serving:batching_session:processed_batch_size_count")
    waiting = Waiting(client, seconds)
    name = ":tensorflow:serving:batching_session:processed_batch_size_count"
    eventually(lambda: client.metric(name) > before)
    return waiting


def test_one_server_from_full_to_its_end(server, eventually):
    client = server.client()
    _joins_what_waits_and_refuses_the_rest(client, eventually)
    _does_not_compute_what_is_too_late(client, eventually)
    _drains(server, client, eventually)


def _joins_what_waits_and_refuses_the_rest(client, eventually):
    first = busy(client, eventually, 1.5)
    others = [Waiting(client, 0.0) for _ in range(2)]
    eventually(lambda: client.metric("tfadvseg_serving_queue_depth") == 2)
    assert Waiting(client, 0.0).end() == "RESOURCE_EXHAUSTED"
    status, answer = client.post({"signature_name": "slow", "instances": [0.0]})
    assert status == 429 and "2 requests wait already" in answer["error"]
    assert first.end() == 1 and [other.end() for other in others] == [2, 2]


def _does_not_compute_what_is_too_late(client, eventually):
    rows = ":tensorflow:serving:batching_session:processed_batch_size_sum"
    first = busy(client, eventually, 1.0)
    before = client.metric(rows)
    assert Waiting(client, 0.0, timeout=0.2).end() == "DEADLINE_EXCEEDED"
    eventually(lambda: client.metric("tfadvseg_serving_queue_depth") == 0)
    assert first.end() == 1 and client.metric(rows) == before
    status, answer = client.post({"signature_name": "slow", "instances": [3.0]})
    assert status == 504 and "deadline" in answer["error"]
    name = ":tensorflow:serving:request_count"
    eventually(lambda: client.metric(name, status="DEADLINE_EXCEEDED") == 2)


def _drains(server, client, eventually):
    eventually(lambda: Waiting(client, 0.0).end() == 1)  # the late one has left the thread
    over_grpc, over_rest = busy(client, eventually, 1.0), []
    body = {"signature_name": "slow", "instances": [0.5]}
    asking = threading.Thread(target=lambda: over_rest.append(client.post(body)))
    asking.start()
    eventually(lambda: client.metric("tfadvseg_serving_queue_depth") == 1)
    server.process.send_signal(signal.SIGTERM)
    eventually(lambda: _is_closed(client.rest_port))
    assert Waiting(server.client(), 0.0).end() == "UNAVAILABLE"
    assert over_grpc.end() == 1
    asking.join()
    assert over_rest == [(200, {"predictions": [1]})]
    assert server.wait() == 0
    assert any("no new requests" in line for line in server.log)


def _is_closed(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_second_signal_ends_at_once(server, eventually):
    client = server.client()
    body = json.dumps({"signature_name": "slow", "instances": [3.0]})
    with socket.create_connection(("127.0.0.1", client.rest_port), 30) as connection:
        head = f"POST {DOOR} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall((head + body).encode())
        name = ":tensorflow:serving:batching_session:processed_batch_size_count"
        eventually(lambda: client.metric(name) > 0)
        server.process.send_signal(signal.SIGINT)
        eventually(lambda: _is_closed(client.rest_port))
        began = time.monotonic()
        assert server.stop(signal.SIGINT) == 1
        assert time.monotonic() - began < 2
