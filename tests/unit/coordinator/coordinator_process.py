"""A real coordinator in a process of its own, with fake enclaves, for tests that kill and restart it.

Run as a program it serves like `concordat coordinator serve`, but launches `fake_enclave` as its machines.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from coordinator import log
from coordinator.cli import serve_until_signalled
from coordinator.daemon import Daemon, DaemonOptions
from coordinator.launchers.local import LocalLauncher
from coordinator.quotas import Quotas
from coordinator.server import Transport
from protos.v1.concordat_pb2_grpc import CoordinatorStub

FAKE_ENCLAVE = (sys.executable, "-m", "tests.unit.coordinator.fake_enclave")
CHANNEL_OPTIONS = (("grpc.max_receive_message_length", 8 * 1024 * 1024),)


class CoordinatorProcess:
    """Start, kill, start again: always with the same state folder."""

    def __init__(self, state: Path, *options: str, program: tuple[str, ...] = ()) -> None:
        self.state = state
        self.options = options
        self.program = program or (sys.executable, "-m", "tests.unit.coordinator.coordinator_process")
        self.process: subprocess.Popen[str] | None = None
        self.address = ""

    def start(self) -> None:
        self.process = subprocess.Popen(
            [*self.program, "--state", str(self.state), *self.options], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("coordinator: serving at "), line
        self.address = line.split()[3]

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(number)
        status = self.process.wait(30)
        self.process.stdout.close()
        self.process = None
        return status

    def peak_memory_bytes(self) -> int:
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    @contextmanager
    def stub(self) -> Iterator[Any]:
        with grpc.insecure_channel(self.address, options=CHANNEL_OPTIONS) as channel:
            yield CoordinatorStub(channel)  # type: ignore[no-untyped-call]


@contextmanager
def coordinator_process(
    state: Path, *options: str, program: tuple[str, ...] = ()
) -> Iterator[CoordinatorProcess]:
    """A started one; ended with its enclaves, however the block ends."""
    process = CoordinatorProcess(state, *options, program=program)
    process.start()
    try:
        yield process
    finally:
        if process.process is None:
            process.start()
        process.end()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--enclave", action="append", default=[], help="an argument for the fake enclave")
    parser.add_argument("--file-max-bytes", type=int, default=0)
    parser.add_argument("--keep-enclaves", action="store_true")
    options = parser.parse_args()
    if options.file_max_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.file_max_bytes, options.file_max_bytes))
    if not os.environ.get("COORDINATOR_TEST_QUIET"):
        log.configure("json")
    daemon = Daemon(
        DaemonOptions(options.state, Transport.plaintext(("127.0.0.1:0",)), Quotas()),
        LocalLauncher((*FAKE_ENCLAVE, *options.enclave)),
    )
    serve_until_signalled(daemon, keep_enclaves=options.keep_enclaves, how="fake enclaves")


if __name__ == "__main__":
    main()
