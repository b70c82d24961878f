"""A real server whose folder changes under load."""

import shutil
import threading

import numpy as np
import pytest

IMAGES = np.full((1, 8, 8, 1), 200, np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, saved):
    folder = tmp_path_factory.mktemp("watched")
    shutil.copytree(saved, folder / "net" / "1")
    return folder


@pytest.fixture(scope="module")
def server(start, folder):
    process = start(folder, "--poll=0.2", "--batch-timeout-ms=5")
    process.ports()
    return process


@pytest.fixture(scope="module")
def client(server):
    return server.client()


class Load:
    """Clients that ask without a pause, over both ports."""

    def __init__(self, server):
        self.server, self.answers, self.errors = server, [], []
        self.enough = threading.Event()
        kinds = (self._grpc, self._grpc, self._grpc, self._rest)
        self.threads = [threading.Thread(target=kind, args=[server.client()]) for kind in kinds]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.enough.set()
        for thread in self.threads:
            thread.join()

    def _grpc(self, client):
        self._ask(lambda: client.predict(images=IMAGES)["mask"][0, 0, 0])

    def _rest(self, client):
        body = {"instances": [[[[200]]]]}
        self._ask(lambda: client.post(body)[1]["predictions"][0]["mask"][0][0])

    def _ask(self, question):
        while not self.enough.is_set():
            try:
                self.answers.append(int(question()))
            except Exception as error:  # told by the test
                self.errors.append(repr(error))


def test_versions_come_and_go_without_a_failed_request(
    server, client, folder, save_model, request_of, eventually
):
    with Load(server) as load:
        eventually(lambda: len(load.answers) > 50)
        save_model(folder / "net" / "2", 2, warmup=[request_of(images=IMAGES)])
        eventually(lambda: client.state(2) == ("AVAILABLE", ""))
        eventually(lambda: load.answers[-1] == 2)
        eventually(lambda: client.state(1) == ("END", ""))

        shutil.copytree(folder / "net" / "2", folder / "net" / "3")
        (folder / "net" / "3" / "variables" / "variables.index").write_bytes(b"torn")
        eventually(lambda: client.state(3))
        eventually(lambda: client.state(3)[0] == "END")
        assert client.state(2) == ("AVAILABLE", "")

        shutil.rmtree(folder / "net" / "2")
        eventually(lambda: client.state(1)[0] == "AVAILABLE")
        eventually(lambda: load.answers[-1] == 1)
        asked = len(load.answers)
        eventually(lambda: len(load.answers) > asked + 50)
    assert load.errors == []
    assert set(load.answers) == {1, 2}
    assert sum("version=3 cannot be loaded" in line for line in server.log) == 1
    assert server.failures() == []


def test_a_warm_up_that_fails_keeps_a_version_out(
    client, folder, save_model, request_of, eventually
):
    wrong = request_of("image_bytes", image_bytes=[b"no image"])
    save_model(folder / "cold" / "1", warmup=[wrong])
    state, error = eventually(lambda: _ended(client, "cold"))
    assert state == "END" and "Unknown image" in error or "PNG" in error


def test_a_new_model_is_taken_up(client, folder, saved, eventually):
    shutil.copytree(saved, folder / "second" / "7")
    eventually(lambda: client.state(7, "second") == ("AVAILABLE", ""))
    assert client.predict("", "second", images=IMAGES)["mask"][0, 0, 0] == 1


def _ended(client, model):
    state = client.state(1, model)
    return state if state and state[0] == "END" else None
