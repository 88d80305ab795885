"""A key service of a few lines behind real TLS, and the enclave's end of a conversation with it.

Neither knows AWS: a request is one line, the answer another. What the coordinator carries between them is
real TLS all the same; what the service does in place of it is `Service.on_connection`.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from coordinator.errors import CredentialsError
from coordinator.kms.allowlist import Allowlist
from coordinator.kms.credentials import Credentials
from coordinator.kms.services import KeyServices

CREDENTIALS = Credentials("AKIA" + "A" * 16, "s" * 40, "a-token")
GRANTED = b"granted\n"
DENIED = b"denied\n"


@dataclass
class Service:
    """One that runs."""

    endpoint: str
    certificate: Path
    """Of the service, and its own authority."""
    answer: bytes = GRANTED
    on_connection: Callable[[socket.socket], None] | None = None
    """Has the bare connection in place of TLS."""
    requests: list[bytes] = field(default_factory=list)
    connected_at_s: list[float] = field(default_factory=list)

    @property
    def connections(self) -> int:
        return len(self.connected_at_s)

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    def serve(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        self.connected_at_s.append(time.monotonic())
        with connection, contextlib.suppress(OSError):
            if self.on_connection is not None:
                self.on_connection(connection)
                return
            with context.wrap_socket(connection, server_side=True) as peer:
                self.requests.append(peer.recv(4096))
                peer.sendall(self.answer)


@contextmanager
def serving(folder: Path) -> Iterator[Service]:
    certificate, key = make_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        service = Service(f"127.0.0.1:{listener.getsockname()[1]}", certificate)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=service.serve, args=(connection, context), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield service
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """(certificate, key) for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a key service")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    paths = folder / "service.pem", folder / "service.key.pem"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


class Conversation:
    """The client's end, without a socket: what an enclave has."""

    def __init__(self, certificate: Path, request: bytes) -> None:
        context = ssl.create_default_context(cafile=certificate)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="127.0.0.1")
        self._request = request
        self._said = b""

    def step(self, received: bytes) -> bytes:
        """What is to be sent after `received`. Raises `ssl.SSLError` if the service did not write that."""
        self._incoming.write(received)
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
            if self._request:
                self._tls.write(self._request)
                self._request = b""
            self._said += self._tls.read(4096)
        return self._outgoing.read()

    @property
    def answer(self) -> bytes:
        """The service's line; empty as long as it has not come."""
        return self._said if self._said.endswith(b"\n") else b""


def silent(connection: socket.socket) -> None:
    """Take the connection and say nothing."""
    time.sleep(60)


def endless(connection: socket.socket) -> None:
    """Send without end, as fast as it is taken."""
    while True:
        connection.sendall(b"\x16\x03\x03" * 20_000)


def closing(connection: socket.socket) -> None:
    """End it at once."""


@dataclass
class KnownCredentials:
    """Credentials for every role; who asked for which is kept."""

    asked: list[tuple[str, str, bytes, str]] = field(default_factory=list)
    error: CredentialsError | None = None

    def get(self, role: str, region: str, agreement_digest: bytes, party: str) -> Credentials:
        self.asked.append((role, region, agreement_digest, party))
        if self.error is not None:
            raise self.error
        return CREDENTIALS


def key_services(*services: Service, credentials: KnownCredentials | None = None) -> KeyServices:
    """What a coordinator is told about these."""
    endpoints = frozenset(("127.0.0.1", service.port) for service in services)
    return KeyServices(Allowlist(endpoints), credentials or KnownCredentials())
