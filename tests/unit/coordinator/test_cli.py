from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from coordinator.cli import group
from coordinator.daemon import Daemon, DaemonOptions
from coordinator.errors import CannotServeError
from coordinator.server import Transport
from tests.unit.coordinator.thread_launcher import ThreadLauncher


def daemon_at(state: Path, address: str = "127.0.0.1:0") -> Daemon:
    return Daemon(DaemonOptions(state, Transport.plaintext((address,))), ThreadLauncher())


@pytest.mark.parametrize("arguments", [[], ["--plaintext", "--tls", "certificates"]])
def test_one_of_tls_and_plaintext_is_chosen(arguments: list[str]) -> None:
    result = CliRunner().invoke(group, ["serve", *arguments])
    assert (result.exit_code, "--tls DIR, or --plaintext" in result.output) == (2, True)


def test_help_shows_examples_and_quotas() -> None:
    shown = CliRunner().invoke(group, ["serve", "--help"]).output
    assert "concordat coordinator serve --plaintext" in shown
    assert "--max-spool-gib" in shown
    assert "SIMULATED" in shown


def test_plaintext_for_everybody_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        group, ["serve", "--plaintext", "--listen", "0.0.0.0:0", "--state", str(tmp_path / "state")]
    )
    assert isinstance(result.exception, CannotServeError)
    assert not (tmp_path / "state").exists()


def test_a_taken_port_is_refused_with_a_way_out(tmp_path: Path) -> None:
    first = daemon_at(tmp_path / "1")
    (address,) = first.start()
    second = daemon_at(tmp_path / "2", address)
    with pytest.raises(CannotServeError, match=f"cannot listen on {address}") as caught:
        second.start()
    assert "--listen" in str(caught.value.hint)
    second.stop(keep_enclaves=True)
    first.stop(keep_enclaves=False)


def test_two_coordinators_do_not_share_a_state_folder(tmp_path: Path) -> None:
    first = daemon_at(tmp_path)
    with pytest.raises(CannotServeError, match="another coordinator uses this state"):
        daemon_at(tmp_path)
    first.stop(keep_enclaves=False)
    daemon_at(tmp_path).stop(keep_enclaves=False)


def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotServeError, match="Not a directory"):
        daemon_at(tmp_path / "file" / "state")
