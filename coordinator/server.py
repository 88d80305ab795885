"""The gRPC server: where it listens, who may connect, and the bounds on what may come in.

Mutual TLS from a folder of PEM files; without it only loopback addresses are listened on. Health and
reflection are served beside the coordinator's own service.
"""

from __future__ import annotations

import ipaddress
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from coordinator.errors import CannotServeError
from protos.formats.limits import KIB, MIB
from protos.v1 import concordat_pb2, concordat_pb2_grpc

THREADS: Final = 48
"""Calls at once; each upload stream is one. More are refused, not queued."""
MESSAGE_IN_MAX_BYTES: Final = 2 * MIB
"""A chunk or an agreement has at most 1 MiB and little beside."""
MESSAGE_OUT_MAX_BYTES: Final = 8 * MIB
"""A receipt has at most 4 MiB, an agreement with its approvals 2 MiB."""
_STREAMS_PER_CONNECTION: Final = 32
_KEEPALIVE_MS: Final = 30_000
_KEEPALIVE_TIMEOUT_MS: Final = 10_000
_MIN_PING_INTERVAL_MS: Final = 10_000
_METADATA_MAX_BYTES: Final = 16 * KIB
_GRACE_S: Final = 5.0
_PEM_MAX_BYTES: Final = MIB
_OPTIONS: Final = (
    # Without this a second server on the same port would get half of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MESSAGE_IN_MAX_BYTES),
    ("grpc.max_send_message_length", MESSAGE_OUT_MAX_BYTES),
    ("grpc.max_concurrent_streams", _STREAMS_PER_CONNECTION),
    ("grpc.max_metadata_size", _METADATA_MAX_BYTES),
    ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
    ("grpc.http2.min_ping_interval_without_data_ms", _MIN_PING_INTERVAL_MS),
    ("grpc.keepalive_permit_without_calls", 1),
)


@dataclass(frozen=True)
class Transport:
    """Where to listen and as whom: `mutual_tls`, or `plaintext` on loopback."""

    addresses: tuple[str, ...]
    """HOST:PORT each; port 0 is any free one."""
    credentials: grpc.ServerCredentials | None

    @classmethod
    def mutual_tls(cls, addresses: tuple[str, ...], folder: Path) -> Transport:
        """With coordinator.pem, coordinator.key.pem and ca.pem of `folder`.

        A client without a certificate of this CA gets no further than the handshake.
        """
        for address in addresses:
            _require_host(address)
        key, certificate, authority = (
            _read_pem(folder / name) for name in ("coordinator.key.pem", "coordinator.pem", "ca.pem")
        )
        credentials = grpc.ssl_server_credentials(
            [(key, certificate)], root_certificates=authority, require_client_auth=True
        )
        return cls(addresses, credentials)

    @classmethod
    def plaintext(cls, addresses: tuple[str, ...]) -> Transport:
        """Without TLS. Raises `CannotServeError` for an address that others could reach."""
        for address in addresses:
            if not _is_loopback(_require_host(address)):
                raise CannotServeError(
                    f"--plaintext: {address} can be reached from elsewhere, expected a loopback address only",
                    hint="listen on 127.0.0.1 or [::1], or use --tls DIR",
                )
        return cls(addresses, credentials=None)


class Server:
    """The server around one service."""

    def __init__(self, service: concordat_pb2_grpc.CoordinatorServicer, transport: Transport) -> None:
        self._transport = transport
        self._health = health.HealthServicer()
        self._server = grpc.server(
            ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="call"),
            options=_OPTIONS,
            maximum_concurrent_rpcs=THREADS,
        )
        concordat_pb2_grpc.add_CoordinatorServicer_to_server(  # type: ignore[no-untyped-call]
            service, self._server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._service_name = concordat_pb2.DESCRIPTOR.services_by_name["Coordinator"].full_name
        reflection.enable_server_reflection(
            (self._service_name, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )

    def listen(self) -> list[str]:
        """Take the ports; the addresses with their real numbers. Raises `CannotServeError`."""
        return [self._listen(address) for address in self._transport.addresses]

    def start(self) -> None:
        """Answer calls."""
        self._server.start()
        for name in ("", self._service_name):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self) -> None:
        """Say so in health, take no more calls, and give those that run some seconds to end."""
        self._health.enter_graceful_shutdown()
        self._server.stop(_GRACE_S).wait()

    def _listen(self, address: str) -> str:
        try:
            if self._transport.credentials is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, self._transport.credentials)
        except RuntimeError as error:
            raise CannotServeError(
                f"cannot listen on {address}: the port is taken, or the address is not of this computer",
                hint="see who has it (ss -ltnp), or choose another address with --listen",
            ) from error
        return f"{address.rpartition(':')[0]}:{port}"


def _read_pem(path: Path) -> bytes:
    hint = f"make certificates: concordat tls dev {path.parent} coordinator NAME..."
    try:
        with path.open("rb") as file:
            pem = file.read(_PEM_MAX_BYTES)
    except OSError as error:
        raise CannotServeError(f"{path}: {error.strerror}", hint=hint) from error
    if not pem.startswith(b"-----BEGIN "):
        raise CannotServeError(f"{path}: not a PEM file", hint=hint)
    return pem


def _require_host(address: str) -> str:
    """The host of HOST:PORT, or `CannotServeError`."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) >= 2**16:
        raise CannotServeError(
            f"--listen: got {address!r}, expected HOST:PORT", hint="for instance 127.0.0.1:50051"
        )
    return host.strip("[]")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
