"""The command line of the enclave: two sockets and nothing that changes what it computes."""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from enclave_compute import __main__ as program
from protos.formats.frames import Frame
from tests import world

# The process ends right after `main`, and its sockets with it: nobody closes them.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def start(*words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["enclave_compute", *words])
    program.main()


def test_it_serves_one_life_on_the_sockets_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "enclave.sock")
    machine_end, enclave_end = socket.socketpair()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def ask_and_close() -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            for op in ("status", "close"):
                phases.append(world.asking(connection)(Frame({"op": op, "id": 1})).header["phase"])

    phases: list[str] = []
    parent = threading.Thread(target=ask_and_close)
    parent.start()
    listen, nsm = f"fd:{listener.detach()}", f"fd:{enclave_end.detach()}"
    with machine_end:
        start("--listen", listen, "--nsm", nsm, monkeypatch=monkeypatch)
    parent.join()
    assert phases == ["empty", "closed"]


@pytest.mark.parametrize("spec", ["", "5000", "tcp:5000", "unix:/run/enclave", "VSOCK:5000"])
def test_another_kind_of_socket_is_refused(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="expected vsock:PORT or fd:N"):
        start("--listen", spec, monkeypatch=monkeypatch)


@pytest.mark.parametrize("spec", ["fd:", "fd:x", "fd:987654", "vsock:", "vsock:x"])
def test_a_number_is_needed_that_is_a_socket(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((ValueError, OSError)):
        start("--listen", spec, monkeypatch=monkeypatch)


def test_on_aws_it_listens_for_every_context_on_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[Any, ...]] = []

    class Vsock:
        def __init__(self, *kind: int) -> None:
            made.append(kind)

        def bind(self, address: tuple[int, int]) -> None:
            made.append(address)

        def listen(self, backlog: int) -> None:
            made.append((backlog,))

    class Served:
        def __init__(self, _life: object, listener: object, *, parent_cids: frozenset[int]) -> None:
            made.append((type(listener).__name__, *sorted(parent_cids)))

        def serve(self) -> None:
            made.append(("served",))

    def open_device(spec: str) -> None:
        made.append((spec,))

    monkeypatch.setattr("enclave_compute.__main__.socket.socket", Vsock)
    monkeypatch.setattr(program, "Server", Served)
    monkeypatch.setattr(program, "open_device", open_device)
    start("--listen", "vsock:5000", monkeypatch=monkeypatch)
    assert made == [
        (socket.AF_VSOCK, socket.SOCK_STREAM),
        (socket.VMADDR_CID_ANY, 5000),
        (16,),
        ("/dev/nsm",),
        ("Vsock", 2, 3),
        ("served",),
    ]


def test_there_are_no_other_options(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit):
        start("--help", monkeypatch=monkeypatch)
    words = {word.strip("[],") for word in capsys.readouterr().out.split()}
    assert {word for word in words if word.startswith("--")} == {
        "--help",
        "--listen",
        "--nsm",
    }


def test_a_machine_without_a_security_module_has_no_enclave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, other = socket.socketpair()
    with other, pytest.raises(Exception, match="nsm"):
        start("--listen", f"fd:{listener.detach()}", "--nsm", str(tmp_path / "nsm"), monkeypatch=monkeypatch)
