from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from coordinator.enclave_link import EnclaveLink
from coordinator.errors import EnclaveAnswerError, EnclaveRefusedError, EnclaveUnreachableError
from protos.formats.calls import Op, Refusal
from protos.formats.canonical import encode
from protos.formats.frames import Frame, read_frame_untrusted
from tests.unit.coordinator.fake_enclave import read_exactly


@pytest.fixture
def ends() -> Iterator[tuple[EnclaveLink, socket.socket]]:
    """(our end, the enclave's end)."""
    ours, theirs = socket.socketpair()
    link = EnclaveLink(ours)
    with theirs:
        yield link, theirs
    link.close()


def request(peer: socket.socket) -> Frame:
    return read_frame_untrusted(lambda n_bytes: read_exactly(peer, n_bytes))


def frame_bytes(header: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">HI", len(header), len(body)) + header + body


def test_a_call_carries_its_fields_and_gives_the_answer(ends: tuple[EnclaveLink, socket.socket]) -> None:
    link, peer = ends
    body = b"sealed" * 100_000
    received: list[Frame] = []
    reader = threading.Thread(target=lambda: received.append(request(peer)))
    reader.start()
    peer.sendall(frame_bytes(encode({"id": 0, "ok": True, "next": 3}), b"body"))
    answer = link.call(Op.CHUNK, deadline_s=5, body=body, number=2, last=False)
    reader.join()
    assert (answer.header["next"], answer.body) == (3, b"body")
    assert received == [Frame({"op": "chunk", "id": 0, "number": 2, "last": False}, body)]


def test_requests_may_be_pipelined(ends: tuple[EnclaveLink, socket.socket]) -> None:
    link, peer = ends
    for number in range(3):
        link.send(Op.CHUNK, deadline_s=5, number=number)
    assert link.in_flight == 3
    for number in range(3):
        assert request(peer).header["number"] == number
        peer.sendall(frame_bytes(encode({"id": number, "ok": True, "next": number + 1})))
    assert [link.receive(deadline_s=5).header["next"] for _ in range(3)] == [1, 2, 3]
    assert link.in_flight == 0


def test_a_refusal_is_one_of_the_closed_list(ends: tuple[EnclaveLink, socket.socket]) -> None:
    link, peer = ends
    peer.sendall(frame_bytes(encode({"id": 0, "error": "out-of-order", "next": 7})))
    with pytest.raises(EnclaveRefusedError) as caught:
        link.call(Op.CHUNK, deadline_s=5)
    assert (caught.value.refusal, caught.value.next_chunk) == (Refusal.OUT_OF_ORDER, 7)


@pytest.mark.parametrize(
    "answer",
    [
        encode({"id": 1, "ok": True}),
        encode({"id": "0", "ok": True}),
        encode({"ok": True}),
        encode({"id": 0}),
        encode({"id": 0, "ok": 1}),
        encode({"id": 0, "error": "row 17 says 'Smith'"}),
        encode({"id": 0, "error": None}),
        encode([0, True]),
        b"\xa2bok\xf5bid\x00",
        b"\xbfbid\x00bok\xf5\xff",
        b"",
        b"\xff" * 20,
    ],
)
def test_an_answer_of_another_shape_is_an_error_of_the_enclave(
    ends: tuple[EnclaveLink, socket.socket], answer: bytes
) -> None:
    link, peer = ends
    peer.sendall(frame_bytes(answer) + frame_bytes(encode({"id": 0, "ok": True})))
    with pytest.raises(EnclaveAnswerError):
        link.call(Op.STATUS, deadline_s=5)


@pytest.mark.parametrize("lengths", [(0xFFFF, 0), (10, 0xFFFFFFFF)])
def test_announced_lengths_are_refused_before_anything_is_read(
    ends: tuple[EnclaveLink, socket.socket], lengths: tuple[int, int]
) -> None:
    link, peer = ends
    peer.sendall(struct.pack(">HI", *lengths))
    with pytest.raises(EnclaveAnswerError, match="announces"):
        link.call(Op.STATUS, deadline_s=5)


def test_a_silent_enclave_is_given_up_at_the_deadline(ends: tuple[EnclaveLink, socket.socket]) -> None:
    link, _ = ends
    began = time.monotonic()
    with pytest.raises(EnclaveUnreachableError, match="silent or gone"):
        link.call(Op.STATUS, deadline_s=0.2)
    assert 0.2 <= time.monotonic() - began < 2


def test_the_deadline_is_for_the_whole_answer_however_it_trickles(
    ends: tuple[EnclaveLink, socket.socket],
) -> None:
    link, peer = ends
    stop = threading.Event()

    def trickle() -> None:
        for byte in frame_bytes(encode({"id": 0, "ok": True}), bytes(1000)):
            if stop.wait(0.05):
                return
            peer.sendall(bytes([byte]))

    trickler = threading.Thread(target=trickle)
    trickler.start()
    with pytest.raises(EnclaveUnreachableError):
        link.call(Op.STATUS, deadline_s=0.4)
    stop.set()
    trickler.join()


def test_an_enclave_that_does_not_read_is_given_up_too(ends: tuple[EnclaveLink, socket.socket]) -> None:
    link, _ = ends
    with pytest.raises(EnclaveUnreachableError, match="while sending chunk"):
        link.send(Op.CHUNK, deadline_s=0.2, body=bytes(8_000_000))


def test_a_closed_connection_is_an_unreachable_enclave(ends: tuple[EnclaveLink, socket.socket]) -> None:
    link, peer = ends
    peer.close()
    with pytest.raises(EnclaveUnreachableError):
        link.call(Op.STATUS, deadline_s=5)


def test_waiting_for_the_end_notices_it(ends: tuple[EnclaveLink, socket.socket]) -> None:
    link, peer = ends
    assert not link.wait_for_end(timeout_s=0.05)
    peer.close()
    assert link.wait_for_end(timeout_s=5)


def test_a_waiting_thread_can_be_interrupted(ends: tuple[EnclaveLink, socket.socket]) -> None:
    link, _ = ends
    threading.Timer(0.1, link.interrupt).start()
    assert link.wait_for_end(timeout_s=10)
