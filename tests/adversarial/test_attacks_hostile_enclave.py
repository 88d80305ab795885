"""Attacks by an enclave on the coordinator that started it: it is somebody else's image, and may be anything.

The whole coordinator runs, with launcher qemu and a stand-in for the emulator behind which the enclave
misbehaves. What it can gain is its own end.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from coordinator.daemon import Daemon, DaemonOptions
from coordinator.deadlines import Deadlines
from coordinator.launchers.processes import processes_with_argument
from coordinator.launchers.qemu import QemuLauncher, QemuOptions
from coordinator.server import Transport
from protos.v1 import concordat_pb2 as messages
from protos.v1.concordat_pb2_grpc import CoordinatorStub
from tests.unit.coordinator import calls
from tests.unit.coordinator.emulator_stand_in import FRAMES, emulator_folder, image_file

SHORT = replace(Deadlines(), call_s=1.0)


@dataclass
class Coordinator:
    stub: Any
    state: Path
    image: Path

    def console(self, job_id: str) -> bytes:
        return (self.state / "consoles" / f"{job_id}.log").read_bytes()

    def require_nothing_left(self) -> None:
        """No process that was started with the image, which no other test has."""
        calls.eventually(lambda: processes_with_argument(str(self.image)) == [])


@contextmanager
def coordinator(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Coordinator]:
    monkeypatch.setattr(QemuLauncher, "deadlines", SHORT)
    image = image_file(folder / "enclave.eif", architecture="x86_64")
    launcher = QemuLauncher(QemuOptions(emulator_folder(folder / "emulator"), image, memory_mib=512, vcpus=1))
    state = folder / "state"
    daemon = Daemon(DaemonOptions(state, Transport.plaintext(("127.0.0.1:0",))), launcher)
    (address,) = daemon.start()
    with grpc.insecure_channel(address) as channel:
        yield Coordinator(CoordinatorStub(channel), state, image)  # type: ignore[no-untyped-call]
    daemon.stop(keep_enclaves=False)


@pytest.mark.parametrize("does", FRAMES)
def test_whatever_a_hostile_enclave_answers_its_job_fails_and_it_is_ended(
    does: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_VSOCK", does)
    with coordinator(tmp_path, monkeypatch) as running:
        begun = time.monotonic()
        job = calls.start_job(running.stub)
        assert job.state == messages.JOB_STATE_FAILED
        assert "the enclave" in job.detail
        assert time.monotonic() - begun < 20, "nobody is held up"
        running.require_nothing_left()
        monkeypatch.delenv("TEST_VSOCK")
        honest = calls.start_job(running.stub, "another")
        assert honest.state == messages.JOB_STATE_RUNNING, "another job is none the worse"
    running.require_nothing_left()


def test_a_console_that_is_flooded_fills_no_disk_and_holds_up_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_QEMU", "flood")
    with coordinator(tmp_path, monkeypatch) as running:
        job = calls.start_job(running.stub)
        assert job.state == messages.JOB_STATE_RUNNING
        calls.eventually(lambda: b"bytes of the console dropped]" in running.console(job.job_id))
        assert len(running.console(job.job_id)) < 330 * 1024
    assert len(running.console(job.job_id)) < 330 * 1024


def test_what_an_enclave_prints_cannot_command_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The detail of a job is shown to everybody who lists it."""
    monkeypatch.setenv("TEST_QEMU", "escapes")
    with coordinator(tmp_path, monkeypatch) as running:
        job = calls.start_job(running.stub)
        assert job.state == messages.JOB_STATE_FAILED
        assert job.detail.isprintable(), job.detail
        assert b"\x1b[2J" in running.console(job.job_id), "it was tried"


def test_many_heartbeats_do_not_keep_the_true_one_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_QEMU", "many heartbeats")
    with coordinator(tmp_path, monkeypatch) as running:
        assert calls.start_job(running.stub).state == messages.JOB_STATE_RUNNING
