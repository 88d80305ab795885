"""Attacks on the enclave's socket by its parent, the only one who can reach it (row 38)."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from enclave_compute import server as server_module
from enclave_compute.calls import answer_untrusted
from protos.formats.agreement import Agreement
from protos.formats.canonical import encode
from protos.formats.frames import Frame, read_frame_untrusted
from tests.enclave_fixtures import Connect
from tests.world import Enclave


def status(connection: socket.socket) -> str:
    connection.sendall(Frame({"op": "status", "id": 7}).prefix())
    answer = read_frame_untrusted(lambda n_bytes: connection.recv(n_bytes, socket.MSG_WAITALL))
    return str(answer.header["phase"])


MALFORMED = {
    "a header that is not CBOR": b"\x00\x01\x00\x00\x00\x00\xff",
    "a header that is not a map": b"\x00\x01\x00\x00\x00\x00\x01",
    "a huge header": b"\xff\xff\x00\x00\x00\x00",
    "a huge body": b"\x00\x01\xff\xff\xff\xff",
    "nothing": b"",
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED.keys())
def test_attack_38_malformed_frames_and_slow_senders(parent: Connect, sent: bytes) -> None:
    with parent() as hostile:
        hostile.sendall(sent)
        hostile.shutdown(socket.SHUT_WR)
        assert hostile.recv(1) == b"", "the connection is closed"
    with parent() as honest:
        assert status(honest) == "empty"


def test_attack_38_slow_sender_does_not_hold_a_connection(parent: Connect) -> None:
    with parent() as slow:
        slow.sendall(b"\x00")
        begun = time.monotonic()
        assert slow.recv(1) == b""
        assert time.monotonic() - begun < 8


def test_attack_38_more_connections_than_are_served(parent: Connect) -> None:
    held = [parent() for _ in range(server_module.CONNECTIONS_MAX)]
    assert [status(connection) for connection in held] == ["empty"] * len(held)
    with parent() as one_more:
        assert one_more.recv(1) == b""
    for connection in held:
        connection.close()
    time.sleep(0.5)  # the enclave's threads notice
    with parent() as again:
        assert status(again) == "empty"


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"op": "status "},
        {"op": 1},
        {"op": "attest"},
        {"op": "attest", "nonce": "x" * 32},
        {"op": "attest", "nonce": bytes(31)},
        {"op": "chunk", "upload": bytes(16), "number": -1, "last": False},
        {"op": "chunk", "upload": bytes(16), "number": 0, "last": 0},
        {"op": "begin", "dataset": "No", "upload": bytes(16)},
        {"op": "result", "run": bytes(16), "receiver": None},
        {"op": "bind"},
    ],
    ids=str,
)
def test_attack_38_malformed_requests_get_one_code(enclave: Enclave, agreed: Agreement, header: Any) -> None:
    enclave.bind(agreed)
    answer = answer_untrusted(enclave.life, Frame({"id": 1, **header}, encode({})))
    assert answer.header == {"id": 1, "error": "malformed"}
    assert answer.body == b""
