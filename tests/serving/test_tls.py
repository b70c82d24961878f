"""Both ports with TLS, and clients that need certificates themselves."""

import http.client
import shutil
import ssl
import subprocess

import grpc
import numpy as np
import pytest

SUBJECT = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A certificate for the server, and one for clients."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("server", "client"):
        files = ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"]
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, *SUBJECT]
        subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def server(start, saved, tmp_path_factory, keys):
    folder = tmp_path_factory.mktemp("secret")
    shutil.copytree(saved, folder / "net" / "1")
    process = start(
        folder,
        f"--tls-cert={keys / 'server.pem'}",
        f"--tls-key={keys / 'server.key'}",
        f"--tls-client-ca={keys / 'client.pem'}",
    )
    process.ports()
    return process


def test_grpc(server, keys):
    ca = (keys / "server.pem").read_bytes()
    own = ((keys / "client.key").read_bytes(), (keys / "client.pem").read_bytes())
    client = server.client(credentials=grpc.ssl_channel_credentials(ca, *own))
    images = np.full((1, 2, 2, 1), 200, np.float32)
    assert client.predict(images=images)["mask"].all()
    stranger = server.client(credentials=grpc.ssl_channel_credentials(ca))
    with pytest.raises(grpc.RpcError) as caught:
        stranger.predict(images=images, timeout=5)
    assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def test_rest(server, keys):
    context = ssl.create_default_context(cafile=keys / "server.pem")
    with pytest.raises(OSError):  # how it ends depends on the version of TLS
        get(server, context)
    context.load_cert_chain(keys / "client.pem", keys / "client.key")
    assert get(server, context) == 200


def get(server, context):
    connection = http.client.HTTPSConnection("localhost", server.ports()[1], context=context)
    try:
        connection.request("GET", "/v1/models/net")
        return connection.getresponse().status
    finally:
        connection.close()
