"""The parent against a booted enclave over its vsock: whatever is sent, it goes on for everybody else."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import time

import pytest

from coordinator.enclaves import status_of
from enclave_compute.server import CONNECTIONS_MAX, FRAME_DEADLINE_S
from protos.formats.frames import Frame
from tests.emulator import probe
from tests.emulator.machines import CALL_WITHIN_S, Booted

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(600)]

CONNECTIONS = 1000


def require_alive(machine: Booted) -> None:
    """It answers a question, over a new connection."""
    until_s = time.monotonic() + CALL_WITHIN_S
    while True:
        try:
            link = machine.link()
            assert status_of(link, deadline_s=CALL_WITHIN_S).phase == "empty"
            link.close()
        except Exception:
            assert time.monotonic() < until_s, machine.console.read_text(errors="replace")[-2000:]
            time.sleep(0.5)
        else:
            return


def require_hung_up(stream: socket.socket) -> None:
    """The enclave closes the connection, and has nothing to say first."""
    stream.settimeout(CALL_WITHIN_S)
    with contextlib.suppress(ConnectionError):
        assert stream.recv(1) == b""


@pytest.mark.parametrize("seed", range(5))
def test_garbage(probed: Booted, seed: int) -> None:
    with probed.connect() as stream:
        with contextlib.suppress(OSError):  # it may have hung up already
            stream.sendall(random.Random(seed).randbytes(20_000))
        require_hung_up(stream)
    require_alive(probed)


@pytest.mark.parametrize(
    "prefix",
    [
        struct.pack(">HI", 10, 0xFFFFFFFF),
        struct.pack(">HI", 0xFFFF, 0),
        struct.pack(">HI", 0xFFFF, 0xFFFFFFFF),
    ],
    ids=["body of 4 GiB", "header of 64 KiB", "both"],
)
def test_lengths_of_4_gib(probed: Booted, prefix: bytes) -> None:
    before_kib = probed.report()["own_peak_kib"]
    with probed.connect() as stream:
        stream.sendall(prefix)
        require_hung_up(stream)
    assert probed.report()["own_peak_kib"] < before_kib + 10 * 1024
    require_alive(probed)


def test_half_a_frame_is_given_up_and_holds_nobody_else(probed: Booted) -> None:
    whole = Frame({"op": "status", "id": 1}, bytes(100))
    with probed.connect() as stream:
        stream.sendall(whole.prefix() + whole.body[:50])
        require_alive(probed)
        stream.settimeout(2 * FRAME_DEADLINE_S)
        began_s = time.monotonic()
        with contextlib.suppress(ConnectionError):
            assert stream.recv(1) == b""
        assert time.monotonic() - began_s < 1.5 * FRAME_DEADLINE_S
    require_alive(probed)


def test_a_thousand_connections(probed: Booted) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(CONNECTIONS):
            with contextlib.suppress(OSError):  # turned away
                held.enter_context(probed.connect())
        threads = max(process["threads"] for process in probed.report()["processes"])
        assert threads <= CONNECTIONS_MAX + 8
    require_alive(probed)


def test_answers_that_nobody_reads(probed: Booted) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(2):
            stream = held.enter_context(probed.connect())
            with contextlib.suppress(OSError):  # its answers fill all buffers, then it stops reading
                stream.settimeout(1)
                stream.sendall(Frame({"op": "status", "id": 1}).prefix() * 12_000)
        require_alive(probed)
    require_alive(probed)


def test_a_large_body_comes_in_whole(probed: Booted) -> None:
    """Larger than a vsock buffers: it is the enclave that says no, and not its kernel."""
    link = probed.link()
    frame = Frame({"op": "bind", "id": 0}, os.urandom(1024 * 1024))
    with probed.connect() as stream:
        stream.sendall(frame.prefix() + frame.body)
        stream.settimeout(CALL_WITHIN_S)
        assert stream.recv(1) != b""
    link.close()
    require_alive(probed)


def test_a_flooded_console_fills_no_disk_and_stops_nobody(probed: Booted) -> None:
    flood_bytes = 2 * 1024 * 1024
    with probed.connect(probe.FLOOD_PORT) as stream:
        stream.sendall(b"%d\n" % flood_bytes)
        stream.settimeout(CALL_WITHIN_S * 4)
        require_alive(probed)
        assert stream.makefile("rb").readline() == b"done\n"
    require_alive(probed)
    assert probed.console.stat().st_size < flood_bytes / 4
