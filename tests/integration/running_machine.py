"""A simulated machine in a process of its own, for tests that ask what its enclave can do."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
BOOT_TIMEOUT_S = 60
DEATH_TIMEOUT_S = 10


class Running:
    """A machine as its launcher sees it: a process, a socket and a status file."""

    def __init__(self, folder: Path, state: Path, source: Path, *options: str) -> None:
        self.socket = folder / "enclave.sock"
        self.status_file = folder / "enclave.sock.json"
        command = [sys.executable, "-m", "scenarios.machine", "run", "--state", str(state)]
        self.process = subprocess.Popen(
            [*command, "--socket", str(self.socket), "--source", str(source), *options],
            cwd=REPOSITORY,
            stderr=subprocess.PIPE,
            env={**os.environ, "SECRET_OF_THE_HOST": "1"},
        )
        self.status: dict[str, Any] = {}

    def wait_until_booted(self) -> None:
        deadline = time.monotonic() + BOOT_TIMEOUT_S
        while self.status.get("pid") != self.process.pid:
            assert self.process.poll() is None, self.console()
            assert time.monotonic() < deadline
            time.sleep(0.05)
            with contextlib.suppress(FileNotFoundError):
                self.status = json.loads(self.status_file.read_text())

    def ask(self, *words: object) -> Any:
        """The value of an attempt inside, or the name of its error."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.socket))
            with connection.makefile("rw") as stream:
                stream.write(" ".join(map(str, words)) + "\n")
                stream.flush()
                line = stream.readline()
        answer = json.loads(line) if line else {"error": "closed"}
        return answer.get("value", answer.get("error"))

    def console(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(timeout=DEATH_TIMEOUT_S)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code
