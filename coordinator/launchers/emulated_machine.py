"""`python -m coordinator.launchers.emulated_machine`: one enclave image in QEMU's nitro-enclave machine.

Starts the emulated vsock and QEMU, answers the heartbeat with which the enclave says that it has booted,
and ends all of it when one of the two ends or when it is told to (SIGTERM, SIGINT). If it is killed itself,
the kernel ends both. Reads what the enclave prints on its console, which may be anything, and keeps a
bounded part of it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator.launchers.bounded_console import BoundedConsole
from coordinator.launchers.children import end, start_tied
from coordinator.launchers.heartbeat import HeartbeatListener
from protos.formats.frames import HEARTBEAT_PORT

BOOTED_NAME: Final = "booted"
"""A file beside the socket, from the heartbeat on."""
_GUEST_CID: Final = 4
_VHOST_NAME: Final = "vhost.sock"
_VHOST_WAIT_S: Final = 10.0
_TX_BUFFER_BYTES: Final = 30_000
"""Without it a single send of more than about 32 KB from the guest hangs."""
_READ_BYTES: Final = 64 * 1024
_DRAIN_READS: Final = 64
_TURN_S: Final = 0.5
_FLUSH_S: Final = 1.0
_FAILED: Final = 1


@dataclass(frozen=True)
class MachineOptions:
    """What one machine is told when it starts."""

    socket: Path
    """Where the coordinator reaches the enclave's ports; other files stand in the same folder."""
    emulator: Path
    """Folder with `bin/` and `firmware/`."""
    image: Path
    memory_mib: int
    vcpus: int
    console: Path


def vsock_command(options: MachineOptions) -> list[str]:
    """The program behind the guest's vsock. Paths are relative to the socket's folder: commas would split."""
    device = f"guest-cid={_GUEST_CID},socket={_VHOST_NAME},uds-path={options.socket.name}"
    program = options.emulator / "bin" / "vhost-device-vsock"
    return [str(program), "--vm", f"{device},tx-buffer-size={_TX_BUFFER_BYTES}"]


def qemu_command(options: MachineOptions, *, module_id: str) -> list[str]:
    """QEMU with the image in it, its serial port on standard output.

    Nothing is appended to the kernel's command line: the image's own is measured.
    """
    return [
        str(options.emulator / "bin" / "qemu-system-x86_64"),
        *("-L", str(options.emulator / "firmware")),
        *("-M", f"nitro-enclave,vsock=c,id={module_id}"),
        *("-accel", "tcg", "-cpu", "max", "-smp", str(options.vcpus), "-m", f"{options.memory_mib}M"),
        *("-kernel", str(options.image), "-no-reboot"),
        *("-display", "none", "-monitor", "none", "-serial", "stdio"),
        *("-chardev", f"socket,id=c,path={_VHOST_NAME}"),
    ]


def new_module_id() -> str:
    """As AWS's: the parent instance, then the enclave. Both are made up."""
    return f"i-{secrets.token_hex(9)[:17]}-enc0{secrets.token_hex(8)[:15]}"


class EmulatedMachine:
    """One machine from start to end. For the main thread of a program of its own."""

    def __init__(self, options: MachineOptions, console: BoundedConsole) -> None:
        self._options = options
        self._console = console
        self._folder = options.socket.parent
        self._selector = selectors.DefaultSelector()
        self._children: list[subprocess.Popen[bytes]] = []
        self._heartbeat: HeartbeatListener | None = None
        self._told_to_end = False
        self.has_booted = False

    def run(self) -> int:
        """Until QEMU ends or we are told to end; QEMU's status. Raises `OSError`."""
        self._listen_to_signals()
        try:
            self._heartbeat = HeartbeatListener(
                self._heartbeat_path(),
                self._selector,
                on_booted=self._be_booted,
                on_again=self._be_booted_again,
            )
            vsock = self._start(vsock_command(self._options))
            self._wait_for_vhost(vsock)
            qemu = self._start(qemu_command(self._options, module_id=new_module_id()))
            self._turn_until_end()
            return 0 if self._told_to_end else qemu.poll() or 0
        finally:
            self._end()

    def _turn_until_end(self) -> None:
        flush_at = 0.0
        while not self._told_to_end and all(child.poll() is None for child in self._children):
            for key, _ in self._selector.select(_TURN_S):
                key.data()
            now = time.monotonic()
            if self._heartbeat is not None:
                self._heartbeat.expire()
            if now > flush_at:
                self._console.flush()
                flush_at = now + _FLUSH_S

    # --- Children ---------------------------------------------------------------------------------------

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        child = start_tied(command, folder=self._folder)
        self._children.append(child)
        assert child.stdout is not None  # noqa: S101 - for mypy: a pipe was asked for
        output = child.stdout.fileno()
        os.set_blocking(output, False)
        self._selector.register(output, selectors.EVENT_READ, lambda: self._read_output(output))
        ended = os.pidfd_open(child.pid)
        self._selector.register(ended, selectors.EVENT_READ, lambda: None)
        return child

    def _read_output(self, output: int) -> bool:
        """Take what has been printed; False when there is nothing now."""
        try:
            data = os.read(output, _READ_BYTES)
        except BlockingIOError:
            return False
        if data:
            self._console.write(data)
        else:
            self._selector.unregister(output)
        return bool(data)

    def _wait_for_vhost(self, vsock: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + _VHOST_WAIT_S
        while not (self._folder / _VHOST_NAME).exists():
            if vsock.poll() is not None or time.monotonic() > until:
                raise ChildProcessError(None, "vhost-device-vsock does not make its socket")
            time.sleep(0.01)

    def _be_booted(self) -> None:
        self.has_booted = True
        (self._folder / BOOTED_NAME).touch()
        self._console.write(b"[emulated machine: the enclave has booted]\n")

    def _be_booted_again(self) -> None:
        self._console.write(b"[emulated machine: it starts again, so the enclave has ended]\n")
        self._told_to_end = True

    # --- Ends -------------------------------------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        wake, woken = socket.socketpair()
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.detach(), warn_on_full_buffer=False)
        self._selector.register(woken, selectors.EVENT_READ, lambda: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: self._be_told_to_end())

    def _be_told_to_end(self) -> None:
        self._told_to_end = True

    def _end(self) -> None:
        """End both, keep what they printed last, remove what stood in the folder."""
        for child in reversed(self._children):
            child.kill()
            child.wait()
            if child.stdout is not None:
                self._drain(child.stdout.fileno())
            end(child)
        if self._heartbeat is not None:
            self._heartbeat.close()
        for left in (self._options.socket, self._folder / _VHOST_NAME, self._folder / BOOTED_NAME):
            left.unlink(missing_ok=True)

    def _heartbeat_path(self) -> Path:
        return self._options.socket.with_name(f"{self._options.socket.name}_{HEARTBEAT_PORT}")

    def _drain(self, output: int) -> None:
        with contextlib.suppress(KeyError, ValueError):  # it was read to its end
            for _ in range(_DRAIN_READS):
                if not self._read_output(output):
                    break


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; 0 when it was told to end, otherwise 1."""
    options = _parse(arguments)
    with BoundedConsole(options.console) as console:
        machine = EmulatedMachine(options, console)
        try:
            status = machine.run()
        except OSError as error:
            said = f"the emulated machine does not start: {error.strerror or error}"
            return _fail(console, said, hint="look at the folder that --emulator names, and at the console")
    if status == 0 and machine.has_booted:
        return 0
    when = "after" if machine.has_booted else "before"
    how = f"QEMU's status {status}" if status >= 0 else f"QEMU was killed by signal {-status}"
    said = f"the emulated enclave ended {when} it had booted ({how})"
    return _fail(console, said, hint="its console is above")


def _fail(console: BoundedConsole, message: str, *, hint: str) -> int:
    """Say so behind the console, where whoever keeps the job looks for it."""
    console.close()
    sys.stderr.write(f"\nerror: {message}\nhint: {hint}\n")
    return _FAILED


def _parse(arguments: list[str] | None) -> MachineOptions:
    parser = argparse.ArgumentParser(prog="python -m coordinator.launchers.emulated_machine")
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--emulator", type=Path, required=True)
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--memory-mib", type=int, required=True)
    parser.add_argument("--vcpus", type=int, required=True)
    parser.add_argument("--console", type=Path, required=True)
    return MachineOptions(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
