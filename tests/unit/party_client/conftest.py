"""What tests of the client run against: a bound enclave of the world, commands typed at a served stack."""

from __future__ import annotations

from pathlib import Path

import pytest

from party_client.cli.main import main
from tests.enclave_fixtures import agreed, bound, enclave
from tests.unit.party_client.whole_stack import Command, Stack

__all__ = ["agreed", "bound", "concordat", "enclave"]


@pytest.fixture
def command_folder(stack: Stack) -> Path:
    """Where commands are typed: the folder with all the files, unless a module says otherwise."""
    return stack.folder


@pytest.fixture
def concordat(
    command_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs a command in `command_folder`: (exit status, standard output, standard error)."""
    monkeypatch.chdir(command_folder)
    monkeypatch.setenv("CONCORDAT_HOME", str(command_folder / "home"))

    def run(*arguments: object) -> tuple[int, str, str]:
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run
