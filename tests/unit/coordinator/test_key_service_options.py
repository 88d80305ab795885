"""Where requests for keys may go, and with whose credentials: on the command line both or neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from coordinator.errors import AllowlistFileError
from coordinator.kms.services import KeyServices, chosen_key_services, key_service_options


def chosen(*words: str) -> KeyServices | None:
    """What a command with these options makes of `words`."""
    found: list[KeyServices | None] = []

    @click.command
    @key_service_options
    def command(**options: Any) -> None:
        found.append(chosen_key_services(options))
        assert options == {}

    command.main(list(words), standalone_mode=False)
    return found[0]


@pytest.fixture
def endpoints(tmp_path: Path) -> str:
    path = tmp_path / "endpoints.yaml"
    path.write_text("allowlist: [{address: kms.eu-central-1.amazonaws.com, port: 443}]")
    return str(path)


def test_by_default_nothing_goes_anywhere() -> None:
    assert chosen() is None


def test_a_list_and_a_source_of_credentials_go_together(endpoints: str) -> None:
    told = chosen("--kms-endpoints", endpoints, "--kms-assume-roles")
    assert told is not None
    assert told.allowlist.endpoints == {("kms.eu-central-1.amazonaws.com", 443)}
    for one_alone in (["--kms-endpoints", endpoints], ["--kms-assume-roles"]):
        with pytest.raises(click.UsageError, match="both or neither"):
            chosen(*one_alone)


def test_a_list_that_is_none_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(AllowlistFileError):
        chosen("--kms-endpoints", str(tmp_path / "missing"), "--kms-assume-roles")
