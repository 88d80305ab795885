"""Programs whose life ends with ours, and what they print.

The kernel ends them when this process ends, however it ends: nobody is left behind who holds an enclave.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def start_tied(command: list[str], *, folder: Path) -> subprocess.Popen[bytes]:
    """Start `command` in `folder`; its output comes through one pipe. Call it from the main thread.

    The child ends with the thread that starts it. Raises `OSError`.
    """
    parent = os.getpid()

    def tie() -> None:
        if _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0 or os.getppid() != parent:
            os._exit(1)  # it is not tied, or the parent ended before it was

    return subprocess.Popen(  # noqa: S603 - no shell; every argument is ours
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        preexec_fn=tie,  # noqa: PLW1509 - the program that calls this has one thread
    )


def end(child: subprocess.Popen[bytes]) -> None:
    """End it at once, as a machine that is switched off."""
    child.kill()
    child.wait()
    if child.stdout is not None:
        child.stdout.close()
