"""Frames in and out: accepts the parent's connections and answers them, whatever they send.

The parent is the only peer and fully hostile. Bounds: `CONNECTIONS_MAX` at once; a frame that has begun must
be complete within `FRAME_DEADLINE_S`, and its answer taken within as long again, so that a slow peer cannot
hold a thread; lengths are checked before anything is allocated. A connection that breaks a rule is closed;
the process goes on. The enclave ends when it is told to, or after `IDLE_LIMIT_S` without any connection.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Container
from typing import Final

from enclave_compute.calls import answer_untrusted
from enclave_compute.life import Life
from enclave_compute.phases import Phase
from protos.formats.errors import FormatError
from protos.formats.frames import Frame, read_frame_untrusted
from protos.formats.limits import KIB

CONNECTIONS_MAX: Final = 16
FRAME_DEADLINE_S: Final = 30.0
IDLE_LIMIT_S: Final = 900.0
WRITE_BYTES: Final = 64 * KIB
"""Writes to vsock: 32 to 128 KiB is fastest on all instances measured, above 1 MiB some collapse."""
_POLL_S: Final = 1.0


class PeerGoneError(Exception):
    """The connection ended or ran into its deadline; there is nobody to tell."""


class Server:
    """Serves one life on one listening stream socket."""

    def __init__(
        self,
        life: Life,
        listener: socket.socket,
        *,
        parent_cids: Container[int],
        idle_limit_s: float = IDLE_LIMIT_S,
    ):
        """`parent_cids`: the context ids served on a vsock listener; connections from others are closed."""
        self._life = life
        self._listener = listener
        self._parent_cids = parent_cids
        self._idle_limit_s = idle_limit_s
        self._threads = threading.BoundedSemaphore(CONNECTIONS_MAX)
        self._open = 0
        self._last_seen_s = time.monotonic()
        self._lock = threading.Lock()

    def serve(self) -> None:
        """Until closed or idle for too long."""
        self._listener.settimeout(_POLL_S)
        while self._life.phase is not Phase.CLOSED and not self._is_idle():
            try:
                connection, peer = self._listener.accept()
            except TimeoutError:
                continue
            if not self._is_parent(connection, peer) or not self._threads.acquire(blocking=False):
                connection.close()
                continue
            self._start(connection)

    def _start(self, connection: socket.socket) -> None:
        self._count(1)
        try:
            threading.Thread(target=self._serve_connection, args=(connection,), daemon=True).start()
        except RuntimeError:  # the kernel has no room for a thread now: nobody else's data is lost for it
            connection.close()
            self._count(-1)
            self._threads.release()

    def _serve_connection(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(PeerGoneError, FormatError, OSError):
                while self._life.phase is not Phase.CLOSED:
                    self._serve_frame(connection)
        finally:
            self._count(-1)
            self._threads.release()

    def _serve_frame(self, connection: socket.socket) -> None:
        _wait_for_data(connection)
        until_s = time.monotonic() + FRAME_DEADLINE_S
        request = read_frame_untrusted(lambda n_bytes: _read_exactly(connection, n_bytes, until_s))
        answer = answer_untrusted(self._life, request)
        _write(connection, answer, time.monotonic() + FRAME_DEADLINE_S)

    def _is_parent(self, connection: socket.socket, peer: object) -> bool:
        # Any process on the parent can connect, so this proves nothing about who it is; it keeps others out.
        if connection.family != getattr(socket, "AF_VSOCK", None):
            return True
        return isinstance(peer, tuple) and peer[0] in self._parent_cids

    def _count(self, change: int) -> None:
        with self._lock:
            self._open += change
            self._last_seen_s = time.monotonic()

    def _is_idle(self) -> bool:
        with self._lock:
            return self._open == 0 and time.monotonic() - self._last_seen_s > self._idle_limit_s


def _wait_for_data(connection: socket.socket) -> None:
    """Blocks until the next frame begins; an open connection may be quiet for as long as it likes."""
    connection.settimeout(None)
    if not connection.recv(1, socket.MSG_PEEK):
        raise PeerGoneError


def _read_exactly(connection: socket.socket, n_bytes: int, until_s: float) -> bytes:
    # In pieces: a vsock refuses to wait (MSG_WAITALL) for more than it buffers, which is less than a chunk.
    data = bytearray(n_bytes)
    missing = memoryview(data)
    while missing:
        connection.settimeout(_left_s(until_s))
        received = connection.recv_into(missing)
        if not received:
            raise PeerGoneError
        missing = missing[received:]
    return bytes(data)


def _write(connection: socket.socket, frame: Frame, until_s: float) -> None:
    for part in (frame.prefix(), frame.body):
        view = memoryview(part)
        for start in range(0, len(view), WRITE_BYTES):
            connection.settimeout(_left_s(until_s))
            connection.sendall(view[start : start + WRITE_BYTES])


def _left_s(until_s: float) -> float:
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise PeerGoneError
    return left_s
