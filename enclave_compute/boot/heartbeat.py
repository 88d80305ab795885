"""Tells whoever started the machine that its kernel runs: one byte there, the same byte back.

nitro-cli waits for it on port 9000 and takes the machine down if it does not come. It means nothing else, so
nobody's silence keeps the enclave from starting, and nothing that is answered has a consequence.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable
from typing import Final

from protos.formats.frames import HEARTBEAT, HEARTBEAT_PORT

ANSWER_WITHIN_S: Final = 5.0

Connect = Callable[[int], socket.socket]


def connect_vsock(cid: int) -> socket.socket:
    """A stream to the launcher's port at `cid`, or `OSError`."""
    stream = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    try:
        stream.settimeout(ANSWER_WITHIN_S)
        stream.connect((cid, HEARTBEAT_PORT))
    except BaseException:
        stream.close()
        raise
    return stream


def send_heartbeat(cids: Iterable[int], *, connect: Connect = connect_vsock) -> int | None:
    """The context id of the one among `cids` that answered, or None."""
    for cid in cids:
        with contextlib.suppress(OSError), connect(cid) as stream:
            stream.sendall(HEARTBEAT)
            if stream.recv(len(HEARTBEAT)) == HEARTBEAT:
                return cid
    return None
