"""The life of one SIMULATED enclave: staged, measured, confined, started, served, and ended with its machine.

The enclave's process is given two sockets and nothing else: one that listens where the coordinator will
connect, and one to the security module, which answers from a thread of this process. It dies with the thread
that called `boot`, so call it from the main thread. What the enclave prints goes to this process's standard
error; a real enclave has such a console in debug mode only.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

from scenarios.machine import interpreter
from scenarios.machine.documents import DocumentSigner, ModuleId
from scenarios.machine.errors import IsolationError, MachineError, SocketPathError
from scenarios.machine.measure import Measurements
from scenarios.machine.nsm import SimulatedNsm, serve
from scenarios.machine.pcrs import ZERO, PcrBank
from scenarios.machine.pki import Issuer, fingerprint, load_or_create_root, root_path
from scenarios.machine.staging import StagedImage, staged

STATUS_SUFFIX: Final = ".json"
_BACKLOG: Final = 16
_SOCKET_PATH_MAX_BYTES: Final = 107
_CONSOLE_BYTES: Final = 4096
_SIGNALLED: Final = 128
_MIB: Final = 1024 * 1024


@dataclass(frozen=True)
class MachineOptions:
    """What one machine is told when it starts."""

    state: Path
    """Folder of the simulator's root and of staged images."""
    socket: Path
    """Where the enclave will listen (a Unix socket, mode 0600); the status is written beside it."""
    source: Path
    """Folder that holds `enclave_compute` and `protos`."""
    module_id: ModuleId
    memory_mib: int | None = None
    """Most address space the enclave may have; None for no limit."""
    debug: bool = False
    """As `nitro-cli run-enclave --debug-mode`: registers 0, 1 and 2 hold zeros."""


class Machine:
    """One enclave, from `boot` to `stop`. A context manager that stops at the end."""

    def __init__(self, options: MachineOptions) -> None:
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Machine:
        self.boot()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.wait()

    @property
    def status_path(self) -> Path:
        """Where the status is, from the moment the enclave is confined until it ends."""
        return self._options.socket.with_name(self._options.socket.name + STATUS_SUFFIX)

    def boot(self) -> dict[str, Any]:
        """Starts the enclave and gives the status that was written. Raises `MachineError`."""
        try:
            return self._boot()
        except BaseException:
            self.stop()
            self._clear()
            raise

    def wait(self) -> int:
        """The enclave's exit status, or 128 + the signal that ended it; then its traces are removed."""
        code = self._require_process().wait()
        self._clear()
        return code if code >= 0 else _SIGNALLED - code

    def stop(self) -> bool:
        """Ends the enclave at once, as a machine that is switched off; False if there is none yet."""
        if self._process is None:
            return False
        self._process.kill()
        return True

    def _boot(self) -> dict[str, Any]:
        options = self._options
        _require_linux()
        root = load_or_create_root(options.state)
        image = self._held.enter_context(staged(options.source, options.state / "images"))
        with _listening(options.socket) as listener:
            self._held.callback(options.socket.unlink, missing_ok=True)
            self.status_path.unlink(missing_ok=True)  # of a machine that was killed
            machine_end, enclave_end = socket.socketpair()
            _serve_in_background(machine_end, root, image.measurements, options)
            with enclave_end:
                isolation = self._start(image, listener, enclave_end)
        status = self._status(root, image.measurements, isolation)
        self._held.callback(self.status_path.unlink, missing_ok=True)
        _write_whole(self.status_path, json.dumps(status, indent=2) + "\n")
        return status

    def _clear(self) -> None:
        """Socket and status disappear, and the image may be removed."""
        self._held.close()

    def _start(self, image: StagedImage, listener: socket.socket, nsm: socket.socket) -> dict[str, Any]:
        report_read, report_write = os.pipe()
        orders = {
            "machine_pid": os.getpid(),
            "report_fd": report_write,
            "memory_bytes": None if self._options.memory_mib is None else self._options.memory_mib * _MIB,
            "argv": ["--listen", f"fd:{listener.fileno()}", "--nsm", f"fd:{nsm.fileno()}"],
        }
        self._process = subprocess.Popen(
            interpreter.command_line(image.folder, (json.dumps(orders),)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={},
            cwd="/",
            pass_fds=(listener.fileno(), nsm.fileno(), report_write),
            start_new_session=True,
        )
        os.close(report_write)
        threading.Thread(target=_relay_console, args=(self._process.stdout,), daemon=True).start()
        with os.fdopen(report_read) as report:
            return self._require_isolated(report.read())

    def _require_isolated(self, report: str) -> dict[str, Any]:
        ended = {"error": "the enclave's process ended before it was confined"}
        answer: dict[str, Any] = json.loads(report) if report else ended
        if "error" in answer:
            self._require_process().wait()
            raise IsolationError(answer["error"], hint=answer.get("hint"))
        return dict(answer["isolation"])

    def _status(self, root: Issuer, measurements: Measurements, isolation: dict[str, Any]) -> dict[str, Any]:
        return {
            "simulated": True,
            "notice": "SIMULATED: whoever owns this computer can read the enclave's memory",
            "pid": os.getpid(),
            "enclave_pid": self._require_process().pid,
            "module_id": str(self._options.module_id),
            "debug": self._options.debug,
            "measurements": {name: value.hex() for name, value in vars(measurements).items()},
            "root_sha256": fingerprint(root.certificate).hex(),
            "root_pem": str(root_path(self._options.state)),
            "isolation": isolation,
        }

    def _require_process(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise MachineError("the machine has not been started", hint="call boot() first")
        return self._process


def run_until_ended(options: MachineOptions) -> int:
    """Boots a machine in a session of its own and stays until the enclave ends; gives its exit status.

    SIGTERM and SIGINT end the enclave; the end of whoever started the machine does not.
    """
    with contextlib.suppress(PermissionError):  # it leads a session already
        os.setsid()
    machine = Machine(options)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: _end(machine, number))
    status = machine.boot()
    sys.stderr.write(f"SIMULATED Nitro machine: {status['module_id']} listens at {options.socket}\n")
    return machine.wait()


def _end(machine: Machine, number: int) -> None:
    if not machine.stop():
        raise SystemExit(_SIGNALLED + number)  # the kernel ends an enclave that is just being made


def _require_linux() -> None:
    if platform.system() != "Linux":
        raise IsolationError(
            f"an enclave cannot be confined on {platform.system()}",
            hint="run the machine on Linux 5.13 or later, which may be a virtual machine or a container",
        )


def _serve_in_background(
    stream: socket.socket, root: Issuer, measurements: Measurements, options: MachineOptions
) -> None:
    shown = Measurements(ZERO, ZERO, ZERO) if options.debug else measurements
    pcrs = PcrBank(**vars(shown), instance_id=options.module_id.instance_id)
    nsm = SimulatedNsm(pcrs, DocumentSigner(root, options.module_id))
    threading.Thread(target=serve, args=(stream, nsm), daemon=True).start()


@contextlib.contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    """A socket that listens at `path` for this user alone; a dead one left there is replaced."""
    if len(os.fsencode(path)) > _SOCKET_PATH_MAX_BYTES:
        raise SocketPathError(
            f"{path}: a socket's path has at most {_SOCKET_PATH_MAX_BYTES} bytes", hint="choose a shorter one"
        )
    _remove_dead(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        mask = os.umask(0o177)
        try:
            listener.bind(str(path))
        except OSError as error:
            raise SocketPathError(f"{path}: {error.strerror}", hint="choose another path") from error
        finally:
            os.umask(mask)
        listener.listen(_BACKLOG)
        yield listener


def _remove_dead(path: Path) -> None:
    if not path.exists():
        return
    if stat.S_ISSOCK(path.stat().st_mode):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
                return
    raise SocketPathError(
        f"{path}: in use", hint="choose another path, or end the machine that listens there"
    )


def _relay_console(console: IO[bytes]) -> None:
    """Reads to the end whether or not anybody reads ours, so that the enclave never waits for it."""
    with console:
        while part := os.read(console.fileno(), _CONSOLE_BYTES):
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.buffer.write(part)
                sys.stderr.buffer.flush()


def _write_whole(path: Path, text: str) -> None:
    """Whoever finds the file finds all of it."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    fresh.rename(path)
