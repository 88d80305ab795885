"""A connection to a key service: bytes there and back until one moment, after which nothing is waited for.

The other side may be anything that answers at an address of the operator's list. It may trickle, fall silent
or never end; whoever holds this learns of it in time.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from coordinator.errors import EndpointUnreachableError

CONNECT_S: Final = 10.0


class Endpoint:
    """A connected stream socket. For one thread."""

    def __init__(self, peer: socket.socket, *, until: float, clock: Callable[[], float]) -> None:
        self._socket = peer
        self._until = until
        self._clock = clock

    def left_s(self) -> float:
        """How much time there is. Raises `EndpointUnreachableError` when there is none."""
        left_s = self._until - self._clock()
        if left_s <= 0:
            raise EndpointUnreachableError("the errand took too long")
        return left_s

    def send(self, data: bytes) -> None:
        """Send all of `data`."""
        self._socket.settimeout(self.left_s())
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise EndpointUnreachableError(f"while sending: {error.strerror or error}") from error

    def receive(self, max_bytes: int) -> bytes:
        """What has come; empty when the other side closed. Waits for the first byte only."""
        self._socket.settimeout(self.left_s())
        try:
            return self._socket.recv(max_bytes)
        except ConnectionResetError:
            return b""
        except OSError as error:
            raise EndpointUnreachableError(f"while waiting: {error.strerror or error}") from error


@contextmanager
def connected(
    host: str, port: int, *, within_s: float, clock: Callable[[], float] = time.monotonic
) -> Iterator[Endpoint]:
    """A connection for the length of the block, which has `within_s` for everything, the connecting too."""
    until = clock() + within_s
    try:
        peer = socket.create_connection((host, port), timeout=min(CONNECT_S, within_s))
    except OSError as error:
        raise EndpointUnreachableError(f"{host}:{port}: {error.strerror or error}") from error
    with peer:
        yield Endpoint(peer, until=until, clock=clock)
