"""An emulator folder for tests: two programs that show the coordinator what QEMU and its vsock would.

`vhost-device-vsock` makes its two sockets, and behind `CONNECT PORT` serves the fake enclave, or does one of
the wrong things. `qemu-system-x86_64` connects to the first, prints a console, sends the heartbeat and stays.
What they do is in the environment: TEST_VSOCK and TEST_QEMU.
"""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import stat
import sys
import threading
import time
from pathlib import Path

from tests.unit.coordinator.fake_enclave import Behaviour, FakeEnclave, listen

ANSWERS = {
    "refuse": b"",
    "garbage": b"\xff\x00NO",
    "endless": b"OK " + b"1" * 1000,
    "not a number": b"OK x\n",
    "another line": b"ERR 5\n",
}
FRAMES = {
    "garbage frames": b"\xa5" * 100_000,
    "a header that never ends": b"\xff\xff\x00\x00\x00\x00" + b"\xa1",
    "a body of 4 GiB": b"\x00\x01\xff\xff\xff\xff\xa0" + b"\x00" * 100_000,
    "half a frame": b"\x00\x10",
    "an end": b"",
}
"""What a hostile enclave sends once it is connected."""


def emulator_folder(folder: Path) -> Path:
    """Make the folder; its programs run this module."""
    (folder / "bin").mkdir(parents=True)
    (folder / "firmware").mkdir()
    root = Path(__file__).resolve().parents[3]
    for name, role in (("vhost-device-vsock", "vsock"), ("qemu-system-x86_64", "qemu")):
        program = folder / "bin" / name
        program.write_text(
            f"#!/bin/sh\nPYTHONPATH='{root}' exec '{sys.executable}' -m {__name__} {role} \"$@\"\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder


def image_file(path: Path, *, architecture: str = "") -> Path:
    """The least that can be an image, for this machine's processors unless told otherwise."""
    flags = int((architecture or platform.machine()) == "aarch64")
    path.write_bytes(b".eif" + b"\x00\x04" + flags.to_bytes(2, "big") + bytes(540))
    return path


def vsock(options: str) -> None:
    given = dict(option.split("=", 1) for option in options.split(","))
    assert given["tx-buffer-size"] == "30000"
    does = os.environ.get("TEST_VSOCK", "")
    if does == "fail":
        sys.exit("vsock: no")
    enclave = FakeEnclave(socket.socket(), Behaviour())
    ports = listen(Path(given["uds-path"]))
    vhost = listen(Path(given["socket"]))
    threading.Thread(target=vhost.accept, daemon=True).start()
    while True:
        peer, _ = ports.accept()
        threading.Thread(target=serve_port, args=(peer, enclave, does), daemon=True).start()


def serve_port(peer: socket.socket, enclave: FakeEnclave, does: str) -> None:
    line = b""
    while not line.endswith(b"\n"):
        line += peer.recv(1)
    assert line == b"CONNECT 5000\n", line
    if does == "silent":
        time.sleep(60)
    if does == "trickle":
        for byte in b"OK 1234567890":
            peer.send(bytes([byte]))
            time.sleep(0.2)
    peer.sendall(ANSWERS.get(does, b"OK 1073741824\n"))
    if does in FRAMES:
        peer.sendall(FRAMES[does])
        if does == "a header that never ends":
            while True:
                peer.sendall(b"\x00")
                time.sleep(0.1)
        time.sleep(60 if FRAMES[does] else 0)
    elif does not in ANSWERS:
        enclave.serve_connection(peer)
    if enclave.closed.is_set():
        os._exit(0)
    peer.close()


def qemu(arguments: list[str]) -> None:
    does = os.environ.get("TEST_QEMU", "")
    assert Path(arguments[arguments.index("-kernel") + 1]).read_bytes().startswith(b".eif")
    vhost = socket.socket(socket.AF_UNIX)
    vhost.connect(arguments[arguments.index("-chardev") + 1].rpartition("path=")[2])
    if does == "fail":
        sys.exit("qemu: no")
    sys.stdout.write("console: the first line\n")
    if does == "escapes":
        sys.stdout.write("error: \x1b[2Jall is \u202ewell\n")
        sys.exit(1)
    if does == "flood":
        for number in range(200_000):
            sys.stdout.write(f"console: line {number}\n")
    if does == "garbage heartbeat":
        heartbeat(b"\x00")
        heartbeat(b"")
    if does == "many heartbeats":
        held = [socket.socket(socket.AF_UNIX) for _ in range(200)]
        for peer in held:
            peer.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                peer.connect("enclave.sock_9000")
        for peer in held:
            peer.close()
    if does != "never boots":
        assert heartbeat(b"\xb7") == b"\xb7"
    sys.stdout.write("console: the last line\n")
    sys.stdout.flush()
    if does == "boots again":
        time.sleep(0.5)
        heartbeat(b"\xb7")
    time.sleep(0.5 if does == "ends" else 60)


def heartbeat(byte: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect("enclave.sock_9000")
        peer.sendall(byte)
        peer.shutdown(socket.SHUT_WR)
        return peer.recv(1)


if __name__ == "__main__":
    if sys.argv[1] == "vsock":
        vsock(sys.argv[3])
    else:
        qemu(sys.argv[2:])
