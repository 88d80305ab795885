"""The loop around the calls: who is let in, what a connection may do to others, and when it ends."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from enclave_compute import server as server_module
from enclave_compute.server import CONNECTIONS_MAX, Server
from protos.formats.calls import Op
from protos.formats.frames import Frame, read_frame_untrusted
from protos.formats.limits import KIB
from tests.enclave_fixtures import Connect
from tests.world import Enclave, asking

WAIT_S = 10


def send(connection: socket.socket, frame: Frame) -> None:
    connection.sendall(frame.prefix() + frame.body)


def ask(connection: socket.socket, op: str) -> Frame:
    return asking(connection)(Frame({"op": op, "id": 1}))


# --- the end ----------------------------------------------------------------------------------------------


def test_it_ends_when_it_is_closed(parent: Connect, enclave: Enclave) -> None:
    with parent() as connection:
        assert ask(connection, "close").header == {"id": 1, "ok": True, "phase": "closed"}
        assert connection.recv(1) == b""


@contextlib.contextmanager
def serving(server: Server) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield thread
    thread.join(WAIT_S)
    assert not thread.is_alive()


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    monkeypatch.setattr(server_module, "_POLL_S", 0.05)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0concordat-test-{os.getpid()}-{os.urandom(4).hex()}")
        listener.listen()
        yield listener


def test_it_ends_when_nobody_comes(enclave: Enclave, listener: socket.socket) -> None:
    begun_s = time.monotonic()
    with serving(Server(enclave.life, listener, parent_cids={3}, idle_limit_s=0.3)):
        pass
    assert 0.3 <= time.monotonic() - begun_s < WAIT_S


def test_a_connection_that_is_open_keeps_it_alive(enclave: Enclave, listener: socket.socket) -> None:
    with serving(Server(enclave.life, listener, parent_cids={3}, idle_limit_s=0.3)) as thread:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(listener.getsockname())
            assert ask(connection, "status").header["phase"] == "empty"
            time.sleep(0.6)  # quiet, but there
            assert thread.is_alive()
            assert ask(connection, "status").header["phase"] == "empty"
        begun_s = time.monotonic()
        thread.join(WAIT_S)
        assert time.monotonic() - begun_s >= 0.2, "the time counts from the end of the last connection"


def test_it_goes_on_when_there_is_no_room_for_a_thread(
    enclave: Enclave, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start
    refused: list[threading.Thread] = []

    def refuse_some(thread: threading.Thread) -> None:
        if threading.current_thread() is served and len(refused) < 2 * CONNECTIONS_MAX:
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    with serving(Server(enclave.life, listener, parent_cids={3}, idle_limit_s=1.0)) as served:
        monkeypatch.setattr(threading.Thread, "start", refuse_some)
        for _ in range(2 * CONNECTIONS_MAX):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(listener.getsockname())
                assert connection.recv(1) == b"", "a connection without a thread is closed"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(listener.getsockname())
            assert ask(connection, "status").header["phase"] == "empty"
    assert len(refused) == 2 * CONNECTIONS_MAX


# --- who is let in ----------------------------------------------------------------------------------------


class VsockConnection(socket.socket):
    """Says that it is a vsock connection; otherwise an end of a socket pair."""

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AddressFamily.AF_VSOCK


class VsockListener(socket.socket):
    """Accepts one connection from the context id `cid`, then nobody."""

    def __init__(self, cid: object) -> None:
        super().__init__(socket.AF_UNIX)
        inside, self.peer = socket.socketpair()
        self._waiting = [(VsockConnection(fileno=inside.detach()), cid)]

    def accept(self) -> tuple[socket.socket, object]:
        if not self._waiting:
            time.sleep(0.01)
            raise TimeoutError
        return self._waiting.pop()


@pytest.mark.parametrize(
    ("peer", "is_served"),
    [((3, 1024), True), ((2, 1024), False), ((16, 1024), False), ("", False)],
    ids=["parent", "host", "another enclave", "no address"],
)
def test_on_vsock_only_the_parent_is_let_in(enclave: Enclave, peer: object, is_served: bool) -> None:
    with (
        VsockListener(peer) as listener,
        listener.peer as outside,
        serving(Server(enclave.life, listener, parent_cids={3})),
    ):
        outside.settimeout(WAIT_S)
        if is_served:
            assert ask(outside, "status").header["phase"] == "empty"
        else:
            assert outside.recv(1) == b""
        enclave.call(Op.CLOSE)
        outside.close()


# --- what a connection may do -----------------------------------------------------------------------------


def test_requests_may_be_sent_ahead_and_are_answered_in_order(parent: Connect) -> None:
    with parent() as connection:
        connection.sendall(b"".join(Frame({"op": "status", "id": number}).prefix() for number in range(50)))
        stream = connection.makefile("rb")
        assert [read_frame_untrusted(stream.read).header["id"] for _ in range(50)] == list(range(50))


def test_a_large_answer_comes_whole(
    parent: Connect, enclave: Enclave, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = os.urandom(3 * server_module.WRITE_BYTES + 1)
    monkeypatch.setattr(server_module, "answer_untrusted", lambda *_: Frame({"id": 1, "ok": True}, body))
    with parent() as connection:
        assert ask(connection, "status").body == body


def test_a_large_request_comes_whole(parent: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    body = os.urandom(300 * KIB)
    monkeypatch.setattr(server_module, "answer_untrusted", lambda _, request: Frame({"id": 1}, request.body))
    with parent() as connection:
        assert asking(connection)(Frame({"op": "chunk", "id": 1}, body)).body == body


def test_who_goes_in_the_middle_of_a_frame_harms_nobody(parent: Connect) -> None:
    with parent() as honest:
        with parent() as gone:
            gone.sendall(Frame({"op": "bind", "id": 1}, b"body").prefix())  # and no body
        assert ask(honest, "status").header["phase"] == "empty"


def test_who_does_not_read_answers_is_dropped(parent: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    # Deaf to answers that no buffer can hold: after the deadline the connection is closed.
    monkeypatch.setattr(server_module, "answer_untrusted", lambda *_: Frame({"id": 1}, bytes(8 * 1024 * KIB)))
    with parent() as deaf, parent() as honest:
        send(deaf, Frame({"op": "status", "id": 1}))
        assert ask(honest, "status").header == {"id": 1}
        time.sleep(1.5)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while True:
                send(deaf, Frame({"op": "status", "id": 2}))
                time.sleep(0.05)
