"""Serves one SIMULATED KMS over HTTPS, on an address of this computer.

Anybody who reaches the port may connect: the handshake and every read have a time limit, connections and
bodies a bound. Nothing is answered without TLS.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket
from typing import Any, Final

from scenarios.kms.errors import AddressError
from scenarios.kms.service import BODY_MAX_BYTES, KmsService
from scenarios.kms.sigv4 import SignedRequest

CONNECTIONS_MAX: Final = 64
_IDLE_S: Final = 20.0
_CLOSE_S: Final = 0.2


class KmsServer(ThreadingHTTPServer):
    """Listens as soon as it is made; serves in `serve_forever`."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], service: KmsService, tls_files: tuple[Path, Path]) -> None:
        self.service = service
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._context.load_cert_chain(*tls_files)
        self._places = threading.BoundedSemaphore(CONNECTIONS_MAX)
        try:
            super().__init__(address, _Handler)
        except OSError as error:
            raise AddressError(
                f"{address[0]}:{address[1]}: cannot listen there ({error.strerror or error})",
                hint="name an IPv4 address of this computer and a free port (TLS names localhost)",
            ) from error

    @property
    def endpoint(self) -> str:
        """The URL that clients are given."""
        host, port = self.server_address[:2]
        return f"https://{host!s}:{port}"

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        """Whether there is room for one more connection; if not, it is closed at once."""
        return self._places.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection in its thread: TLS first, then requests until it is silent or ends."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """TLS within its time, then the requests."""
        plain: socket = request
        plain.settimeout(_IDLE_S)
        with self._context.wrap_socket(plain, server_side=True) as secured:
            _Handler(secured, client_address, self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that hangs up or speaks no TLS is none of the server's business."""


@contextmanager
def serving(server: KmsServer) -> Iterator[KmsServer]:
    """Serves in a thread of its own until the block ends."""
    thread = threading.Thread(target=server.serve_forever, args=(_CLOSE_S,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    server: KmsServer

    def do_POST(self) -> None:
        """One request. A body without a length, or too long, ends the connection."""
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            self._end(HTTPStatus.LENGTH_REQUIRED)
        elif len(length) > 9 or int(length) > BODY_MAX_BYTES:
            self._end(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            self._answer(self.rfile.read(int(length)))

    def _answer(self, body: bytes) -> None:
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            earlier = headers.get(name.lower())
            headers[name.lower()] = value if earlier is None else f"{earlier},{value}"
        answer = self.server.service.answer_untrusted(
            SignedRequest(headers, body), path=self.path, source_ip=str(self.client_address[0])
        )
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def _end(self, status: HTTPStatus) -> None:
        self.close_connection = True
        self.send_error(status)

    def version_string(self) -> str:
        """What the Server header says."""
        return "Concordat-SIMULATED-KMS"

    def log_message(self, format: str, *args: Any) -> None:
        """The service keeps the log."""
