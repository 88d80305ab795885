"""Programs that keep one enclave each, and how they are found again.

Such a program runs in a session of its own and outlives this process, so a restarted coordinator finds it
again, by the process id that stands in a file, or among all processes if this one was killed before it
could write that down. A process id that belongs to something else by now is recognised by its command line
(procfs), and left alone: a program is known by an argument that is its own and nobody else's.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from coordinator.errors import LaunchError

SOCKET_PATH_MAX_BYTES: Final = 107
_PID_NAME: Final = "machine.pid"
_FOLDER_PREFIX: Final = "concordat-"
_POLL_S: Final = 0.02
_CREDENTIALS: Final = "AWS_"


def _for_a_machine(ours: Mapping[str, str]) -> dict[str, str]:
    """`ours` without what AWS's tools read: the coordinator's credentials are no business of a machine."""
    return {name: value for name, value in ours.items() if not name.startswith(_CREDENTIALS)}


class Machines:
    """The programs that one launcher started, now or before a restart. Safe to use from many threads."""

    def __init__(self, *, end_wait_s: float) -> None:
        """`end_wait_s`: what a program is given after SIGTERM, before SIGKILL."""
        self._end_wait_s = end_wait_s
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def start(self, command: list[str], *, mark: str, folder: Path, console: Path) -> None:
        """Run `command`, which has `mark` among its arguments; what it prints is appended to `console`.

        `folder` is made for it, readable by this user alone. Raises `LaunchError`.
        """
        try:
            folder.mkdir(mode=0o700)
            with console.open("ab") as log:
                child = subprocess.Popen(  # noqa: S603 - no shell; every argument is ours
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env=_for_a_machine(os.environ),
                )
            (folder / _PID_NAME).write_text(str(child.pid))
        except OSError as error:
            raise LaunchError(
                f"the machine does not start: {error.strerror}", hint=f"see {console}"
            ) from error
        with self._lock:
            self._children[mark] = child

    def is_running(self, mark: str, folder: Path) -> bool:
        """Whether the program runs."""
        return self._pid(mark, folder) is not None

    def end(self, mark: str, folder: Path) -> None:
        """SIGTERM, some seconds, SIGKILL."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            pid = self._pid(mark, folder)
            if pid is None:
                break
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                break
            self._wait_for_end(mark, folder)
        with self._lock:
            self._children.pop(mark, None)

    def _wait_for_end(self, mark: str, folder: Path) -> None:
        until = time.monotonic() + self._end_wait_s
        while self._pid(mark, folder) is not None and time.monotonic() < until:
            time.sleep(_POLL_S)

    def _pid(self, mark: str, folder: Path) -> int | None:
        """The program's process id while it runs, by handle if it is our child and by procfs if not."""
        with self._lock:
            child = self._children.get(mark)
            if child is not None:
                return child.pid if child.poll() is None else None
        return next((pid for pid in _candidates(folder) if _has_argument(pid, mark)), None)


def fresh_folder(name: str) -> Path:
    """A folder that is not there yet. Raises `LaunchError` where its sockets would have too long a path."""
    folder = Path(tempfile.gettempdir()) / f"{_FOLDER_PREFIX}{name}"
    longest = folder / "enclave.sock_9000"  # the longest name that is made there
    if len(os.fsencode(longest)) > SOCKET_PATH_MAX_BYTES:
        raise LaunchError(
            f"{longest}: a socket's path has at most {SOCKET_PATH_MAX_BYTES} bytes",
            hint="set TMPDIR to a folder with a shorter name",
        )
    return folder


def remove_folder(folder: Path) -> None:
    """Remove a machine's folder, and never one that `fresh_folder` did not name."""
    if folder.is_absolute() and folder.name.startswith(_FOLDER_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


def processes_with_argument(argument: str) -> list[int]:
    """The ids of all processes that have this very argument on their command line."""
    return [pid for pid in _all() if _has_argument(pid, argument)]


def _candidates(folder: Path) -> list[int]:
    """The process id that was noted, or all there are."""
    try:
        return [int((folder / _PID_NAME).read_text())]
    except (OSError, ValueError):
        return _all()


def _all() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _has_argument(pid: int, argument: str) -> bool:
    """Whether the process was started with it; False for one that has ended but was not waited for."""
    try:
        return os.fsencode(argument) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
