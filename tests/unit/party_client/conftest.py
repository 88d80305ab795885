"""What tests of the client run against: a bound enclave of the world, commands typed at a served stack."""

from __future__ import annotations

import pytest

from party_client.cli.main import main
from tests.enclave_fixtures import agreed, bound, enclave
from tests.unit.party_client.whole_stack import Command, Stack

__all__ = ["agreed", "bound", "concordat", "enclave"]


@pytest.fixture
def concordat(stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in the folder with all the files: (exit status, standard output, standard error)."""
    monkeypatch.chdir(stack.folder)
    monkeypatch.setenv("CONCORDAT_HOME", str(stack.folder / "home"))

    def run(*arguments: object) -> tuple[int, str, str]:
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run
