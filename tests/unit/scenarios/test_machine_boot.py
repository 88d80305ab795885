"""An enclave that cannot be confined does not run, and the report says why."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scenarios.machine.boot import init, landlock, process, seccomp
from scenarios.machine.boot.kernel import ConfinementError
from scenarios.machine.documents import ModuleId
from scenarios.machine.errors import IsolationError
from scenarios.machine.machine import Machine, MachineOptions


class StartedError(Exception):
    """The enclave's code was reached."""


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The reading end; `main` finds its orders on the command line and the enclave only raises."""
    reading, writing = os.pipe()
    orders = {
        "machine_pid": os.getppid(),
        "report_fd": writing,
        "memory_bytes": None,
        "argv": ["--listen", "fd:3"],
    }
    monkeypatch.setattr(sys, "argv", ["-c", str(tmp_path), json.dumps(orders)])
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.setattr(os, "environ", dict(os.environ))

    def run_module(name: str, **_: Any) -> None:
        raise StartedError(name, sys.argv, sys.path[-1])

    monkeypatch.setattr("runpy.run_module", run_module)
    yield reading
    os.close(reading)


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ConfinementError("no Landlock", "boot another kernel"), "no Landlock"),
        (PermissionError(1, "not so"), "not so"),
    ],
)
def test_what_cannot_be_confined_does_not_run(
    error: Exception, shown: str, report: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def confine(*_: object) -> None:
        raise error

    monkeypatch.setattr(init, "confine", confine)
    init.main()
    answer = json.loads(os.read(report, 1000))
    assert shown in answer["error"]
    assert answer["hint"]


def test_what_is_confined_runs_with_the_application_last_on_its_path(
    report: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(init, "confine", lambda *_: {"seccomp": True})
    with pytest.raises(StartedError) as started:
        init.main()
    assert json.loads(os.read(report, 1000)) == {"isolation": {"seccomp": True}}
    expected = ("enclave_compute", ["enclave_compute", "--listen", "fd:3"], str(tmp_path / "app"))
    assert started.value.args == expected
    assert str(tmp_path) not in sys.path
    assert not os.environ


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_a_kernel_without_landlock_is_refused_with_a_way_out(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def syscall(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(landlock, "syscall", syscall)
    with pytest.raises(ConfinementError, match="Landlock") as refused:
        landlock.restrict_to_reading([])
    assert "5.13" in refused.value.hint


def test_a_kernel_without_seccomp_is_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def syscall(*_: object) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(seccomp, "syscall", syscall)
    with pytest.raises(ConfinementError, match="seccomp") as refused:
        seccomp.install()
    assert "CONFIG_SECCOMP_FILTER" in refused.value.hint


def test_another_architecture_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    seccomp.require_architecture()
    monkeypatch.setattr(seccomp, "MACHINE", "riscv64")
    with pytest.raises(ConfinementError, match="riscv64"):
        seccomp.require_architecture()


@pytest.mark.parametrize("version", range(1, 8))
def test_landlock_takes_away_all_that_each_kernel_knows(
    version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int, int, int]] = []

    def syscall(number: int, *arguments: Any) -> int:
        if number != 444:
            return 0
        if arguments[0] is None:
            return version
        made.append((arguments[0].fs, arguments[0].net, arguments[0].scoped))
        return os.open("/dev/null", os.O_RDONLY)

    monkeypatch.setattr(landlock, "syscall", syscall)
    assert landlock.restrict_to_reading([]) == version
    rights = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16, 6: 16, 7: 16}[version]
    assert made == [((1 << rights) - 1, 3 if version >= 4 else 0, 3 if version >= 6 else 0)]


def test_namespaces_that_are_not_permitted_are_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def syscall(*_: object) -> int:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(process, "syscall", syscall)
    assert process.enter_namespaces() is False


def test_a_machine_that_is_gone_has_no_enclave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "prctl", lambda *_: None)
    process.die_with(os.getppid())
    with pytest.raises(ConfinementError, match="ended before"):
        process.die_with(os.getppid() + 1)


def test_a_computer_without_linux_is_told_what_to_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    options = MachineOptions(tmp_path / "state", tmp_path / "socket", tmp_path, ModuleId.random())
    with pytest.raises(IsolationError, match="Darwin") as refused:
        Machine(options).boot()
    assert refused.value.hint is not None
    assert "Linux 5.13" in refused.value.hint
    assert not (tmp_path / "socket").exists()
