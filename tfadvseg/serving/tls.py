"""Encryption of both ports."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from tfadvseg.errors import InputError


@dataclass(frozen=True)
class Tls:
    """Files in PEM format.

    Attributes:
        cert: of the server, with the chain above it.
        key: of the server.
        client_ca: who has to have signed the certificates of clients; None if they need none.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        """For REST.

        Raises:
            InputError: if a file cannot be read, or does not fit to the others.
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.cert, self.key)
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except OSError as error:  # which ssl.SSLError is too
            raise InputError(
                f"--tls-cert {self.cert}, --tls-key {self.key}: expected a certificate and its "
                f"unencrypted key in PEM files ({error})"
            ) from error
        return context

    def credentials(self) -> grpc.ServerCredentials:
        """For gRPC."""
        return grpc.ssl_server_credentials(
            [(self.key.read_bytes(), self.cert.read_bytes())],
            root_certificates=self.client_ca.read_bytes() if self.client_ca else None,
            require_client_auth=self.client_ca is not None,
        )
