"""A server with one thread and a short queue: full, late, and told to end."""

import json
import shutil
import signal
import socket
import threading

import grpc
import numpy as np
import pytest

pytestmark = pytest.mark.slow

DOOR = "/v1/models/net:predict"


@pytest.fixture
def server(start, saved, tmp_path):
    shutil.copytree(saved, tmp_path / "net" / "1")
    options = ("--threads=1", "--queue-size=2", "--max-batch-size=4", "--timeout=5")
    process = start(tmp_path / "net", *options)
    process.ports()
    return process


class Waiting(threading.Thread):
    """A request in a thread of its own, and what came of it: the rows of its batch, or a status."""

    def __init__(self, client, number=0, timeout=60):
        super().__init__()
        self.client, self.number, self.timeout, self.answer = client, number, timeout, None
        self.start()

    def run(self):
        numbers = np.full(1, self.number, np.int32)
        try:
            answer = self.client.predict("held", numbers=numbers, timeout=self.timeout)
            self.answer = int(answer["rows"][0])
        except grpc.RpcError as error:
            self.answer = error.code().name

    def end(self):
        self.join()
        return self.answer


def over_rest(client, number=0):
    return client.post({"signature_name": "held", "instances": [number]})


def busy(client, eventually, hold):
    """Starts a request that keeps the only thread at work."""
    batches = ":tensorflow:serving:batching_session:processed_batch_size_count"
    before = client.metric(batches)
    hold.touch()
    waiting = Waiting(client, int(hold.name))
    eventually(lambda: client.metric(batches) > before)
    return waiting


def waits(client, eventually, number):
    eventually(lambda: client.metric("tfadvseg_serving_queue_depth") == number)


def test_one_server_from_full_to_its_end(server, hold, eventually):
    client = server.client()
    _joins_what_waits_and_refuses_the_rest(client, hold, eventually)
    _does_not_compute_what_is_too_late(client, hold, eventually)
    _drains(server, client, hold, eventually)


def _joins_what_waits_and_refuses_the_rest(client, hold, eventually):
    first = busy(client, eventually, hold)
    others = [Waiting(client) for _ in range(2)]
    waits(client, eventually, 2)
    assert Waiting(client).end() == "RESOURCE_EXHAUSTED"
    status, answer = over_rest(client)
    assert status == 429 and "2 requests wait already" in answer["error"]
    hold.unlink()
    assert first.end() == 1 and [other.end() for other in others] == [2, 2]


def _does_not_compute_what_is_too_late(client, hold, eventually):
    rows = ":tensorflow:serving:batching_session:processed_batch_size_sum"
    first = busy(client, eventually, hold)
    before = client.metric(rows)
    late = Waiting(client, timeout=3)
    waits(client, eventually, 1)  # else, on a busy machine, its deadline could pass on the way
    assert late.end() == "DEADLINE_EXCEEDED"
    status, answer = over_rest(client, int(hold.name))
    assert status == 504 and "deadline" in answer["error"]
    hold.unlink()
    waits(client, eventually, 0)
    assert first.end() == 1 and client.metric(rows) == before
    name = ":tensorflow:serving:request_count"
    eventually(lambda: client.metric(name, status="DEADLINE_EXCEEDED") == 2)


def _drains(server, client, hold, eventually):
    first, answers = busy(client, eventually, hold), []
    asking = threading.Thread(target=lambda: answers.append(over_rest(client)))
    asking.start()
    waits(client, eventually, 1)
    server.process.send_signal(signal.SIGTERM)
    eventually(lambda: _is_closed(client.rest_port))
    # gRPC itself cancels a call that comes in the very instant in which it closes.
    eventually(lambda: Waiting(server.client()).end() == "UNAVAILABLE")
    hold.unlink()
    assert first.end() == 1
    asking.join()
    assert answers == [(200, {"predictions": [1]})]
    assert server.wait() == 0
    assert any("no new requests" in line for line in server.log)


def _is_closed(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_second_signal_ends_at_once(server, hold, eventually):
    client = server.client()
    body = json.dumps({"signature_name": "held", "instances": [int(hold.name)]})
    with socket.create_connection(("127.0.0.1", client.rest_port), 30) as connection:
        head = f"POST {DOOR} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall((head + body).encode())
        name = ":tensorflow:serving:batching_session:processed_batch_size_count"
        eventually(lambda: client.metric(name) > 0)
        server.process.send_signal(signal.SIGINT)
        eventually(lambda: _is_closed(client.rest_port))
        assert server.stop(signal.SIGINT) == 1
        assert hold.exists()  # what was at work was not waited for
