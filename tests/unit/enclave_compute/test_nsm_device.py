"""The two carriers: the ioctl's numbers and memory layout, and the bounds of the stream."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from enclave_compute.nsm import (
    NsmInputTooLargeError,
    NsmIoctlDevice,
    NsmResponseError,
    NsmStreamDevice,
    NsmUnavailableError,
    open_device,
)
from enclave_compute.nsm.device import NSM_IOCTL_RAW, Iovec, NsmRaw


def test_the_ioctl_number_is_iowr_of_the_struct() -> None:
    read_and_write, magic, number = 3, 0x0A, 0x0
    assert (read_and_write << 30) | (ctypes.sizeof(NsmRaw) << 16) | (magic << 8) | number == NSM_IOCTL_RAW


def test_the_struct_is_laid_out_as_the_kernel_header_says() -> None:
    assert ctypes.sizeof(NsmRaw) == 32
    assert (NsmRaw.request.offset, NsmRaw.response.offset) == (0, 16)
    assert ctypes.sizeof(Iovec) == 16
    assert (Iovec.address.offset, Iovec.length.offset) == (0, 8)


class Driver:
    """What the kernel does with the struct: reads the request, fills the response, shortens its length."""

    def __init__(self, response: bytes, *, claimed: int | None = None, error: int | None = None) -> None:
        self.response, self.claimed, self.error = response, claimed, error
        self.request = b""
        self.capacity = 0

    def ioctl(self, descriptor: int, number: int, raw: NsmRaw) -> int:
        os.fstat(descriptor)
        assert number == 0xC0200A00
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        self.request = ctypes.string_at(raw.request.address, raw.request.length)
        self.capacity = raw.response.length
        ctypes.memmove(raw.response.address, self.response, len(self.response))
        raw.response.length = len(self.response) if self.claimed is None else self.claimed
        return 0


def device_with(driver: Driver, tmp_path: Path) -> NsmIoctlDevice:
    path = tmp_path / "nsm"
    path.touch()
    return NsmIoctlDevice(str(path), ioctl=driver.ioctl)


def test_the_driver_sees_the_request_and_the_caller_the_response(tmp_path: Path) -> None:
    driver = Driver(b"answer\x00\x01")
    assert device_with(driver, tmp_path).exchange(b"question\x00") == b"answer\x00\x01"
    assert driver.request == b"question\x00"
    assert driver.capacity == 0x3000


@pytest.mark.parametrize("claimed", [0, 0x3001, 2**63])
def test_a_response_length_outside_the_buffer_is_refused(claimed: int, tmp_path: Path) -> None:
    with pytest.raises(NsmResponseError, match=str(claimed)):
        device_with(Driver(b"x", claimed=claimed), tmp_path).exchange(b"q")


@pytest.mark.parametrize("length", [0, 0x1001])
def test_a_request_outside_the_limits_never_reaches_the_driver(length: int, tmp_path: Path) -> None:
    driver = Driver(b"x")
    with pytest.raises(NsmInputTooLargeError, match=str(length)):
        device_with(driver, tmp_path).exchange(bytes(length))
    assert driver.capacity == 0


def test_a_request_of_exactly_the_limit_passes(tmp_path: Path) -> None:
    driver = Driver(b"x" * 0x3000)
    assert len(device_with(driver, tmp_path).exchange(bytes(0x1000))) == 0x3000


def test_driver_errors_are_named(tmp_path: Path) -> None:
    with pytest.raises(NsmInputTooLargeError):
        device_with(Driver(b"", error=errno.EMSGSIZE), tmp_path).exchange(b"q")
    with pytest.raises(NsmUnavailableError, match="timed out"):
        device_with(Driver(b"", error=errno.ETIMEDOUT), tmp_path).exchange(b"q")


def test_the_real_ioctl_on_something_else_fails_by_name(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(NsmUnavailableError, match="Inappropriate ioctl"):
        NsmIoctlDevice(str(path)).exchange(b"q")


def test_a_missing_device_says_what_the_kernel_needs(tmp_path: Path) -> None:
    with pytest.raises(NsmUnavailableError) as raised:
        open_device(str(tmp_path / "nsm"))
    assert raised.value.hint is not None
    assert "CONFIG_NSM" in raised.value.hint


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    mine, other = socket.socketpair()
    with mine, other:
        yield mine, other


def test_the_stream_carries_length_and_message(ends: tuple[socket.socket, socket.socket]) -> None:
    mine, other = ends
    other.sendall(b"\x00\x00\x00\x03abc")
    assert NsmStreamDevice(mine).exchange(b"hello") == b"abc"
    assert other.recv(100) == b"\x00\x00\x00\x05hello"


@pytest.mark.parametrize("length", [0, 0x3001, 0xFFFFFFFF])
def test_the_stream_refuses_a_length_before_it_reads_on(
    length: int, ends: tuple[socket.socket, socket.socket]
) -> None:
    mine, other = ends
    other.sendall(length.to_bytes(4, "big"))
    with pytest.raises(NsmResponseError, match=str(length)):
        NsmStreamDevice(mine).exchange(b"q")


@pytest.mark.parametrize("sent", [b"", b"\x00\x00", b"\x00\x00\x00\x05abc"])
def test_a_stream_that_ends_in_between_is_unavailable(
    sent: bytes, ends: tuple[socket.socket, socket.socket]
) -> None:
    mine, other = ends
    other.sendall(sent)
    other.shutdown(socket.SHUT_WR)
    with pytest.raises(NsmUnavailableError, match="closed"):
        NsmStreamDevice(mine).exchange(b"q")


def test_threads_take_turns_on_the_stream(ends: tuple[socket.socket, socket.socket]) -> None:
    mine, other = ends
    device = NsmStreamDevice(mine)

    def echo() -> None:
        with other.makefile("rb") as received:
            while header := received.read(4):
                other.sendall(header + received.read(int.from_bytes(header, "big")))

    threading.Thread(target=echo, daemon=True).start()
    answers: dict[bytes, bool] = {}

    def ask(word: bytes) -> None:
        answers[word] = all(device.exchange(word * 100) == word * 100 for _ in range(50))

    workers = [threading.Thread(target=ask, args=(word,)) for word in (b"a", b"b", b"c")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert answers == {b"a": True, b"b": True, b"c": True}


@pytest.mark.parametrize("spec", ["fd:", "fd:x", "fd:-1", "fd:9999"])
def test_a_descriptor_that_is_no_socket_is_unavailable(spec: str) -> None:
    with pytest.raises(NsmUnavailableError, match=spec):
        open_device(spec)


def test_an_inherited_socket_is_named_by_its_number(ends: tuple[socket.socket, socket.socket]) -> None:
    mine, other = ends
    device = open_device(f"fd:{os.dup(mine.fileno())}")
    other.sendall(b"\x00\x00\x00\x01z")
    assert device.exchange(b"q") == b"z"
    device.close()
