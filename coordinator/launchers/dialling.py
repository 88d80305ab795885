"""A connection to an enclave, wherever it listens, or none that is left open."""

from __future__ import annotations

import socket


def dial(family: socket.AddressFamily, address: str | tuple[int, int], *, timeout_s: float) -> socket.socket:
    """A connected stream socket whose every wait ends after `timeout_s`. Raises `OSError`."""
    peer = socket.socket(family, socket.SOCK_STREAM)
    try:
        peer.settimeout(timeout_s)
        peer.connect(address)
    except BaseException:
        peer.close()
        raise
    return peer
