"""Options that several commands share: where the coordinator is, as whom, and which identity."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from party_client.attestation import TrustedRoots
from party_client.attestation.errors import RootFileError
from party_client.cli.connection import Connection, connect, connection_options
from party_client.cli.options import identity_option, load_identity, read_passphrase, state_option
from party_client.cli.trust import trusted_roots
from party_client.files import ExposedFileError, FileAccessError
from party_client.identity import Identity
from party_client.passphrase import PassphraseError
from party_client.transport import Coordinator, TransportError
from protos.formats.errors import FormatError
from scenarios.machine.pki import load_or_create_root, root_path


@click.command()
@connection_options
@state_option
def talking(*, connection: Connection, state: Path) -> None:
    """Shows what it was given."""
    click.echo(f"{connection.address} {connection.tls} {connection.name} {connection.plaintext} {state}")


@click.command()
@identity_option
def signing(*, identity: Identity) -> None:
    """Shows who it is."""
    click.echo(identity.id)


def invoked(arguments: list[str], **environment: str) -> tuple[int, str]:
    result = CliRunner().invoke(talking, arguments, env=environment)
    return result.exit_code, result.output


def test_options_or_environment(tmp_path: Path) -> None:
    given = ["--coordinator", "h:1", "--tls", str(tmp_path), "--as", "airline", "--state", "s"]
    assert invoked(given) == (0, f"h:1 {tmp_path} airline False s\n")
    from_environment = {
        "CONCORDAT_COORDINATOR": "h:1",
        "CONCORDAT_TLS": str(tmp_path),
        "CONCORDAT_HOME": str(tmp_path / "home"),
    }
    assert invoked([], **from_environment) == (0, f"h:1 {tmp_path} None False {tmp_path / 'home'}\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "--coordinator"),
        (["--coordinator", "h:1"], "either --tls DIR or --plaintext"),
        (["--coordinator", "h:1", "--plaintext", "--tls", "."], "either --tls DIR or --plaintext"),
    ],
)
def test_options_that_do_not_fit(arguments: list[str], complaint: str) -> None:
    status, output = invoked(arguments)
    assert status == 2
    assert complaint in output


def test_a_root_of_trust_is_refused_where_nothing_is_verified(tmp_path: Path) -> None:
    load_or_create_root(tmp_path)
    given = ["--coordinator", "h:1", "--plaintext", "--root", str(root_path(tmp_path))]
    status, output = invoked(given)
    assert (status, "No such option" in output and "--root" in output) == (2, True)


def test_plaintext_stays_on_this_machine() -> None:
    with pytest.raises(TransportError, match="plaintext"):
        connect(Connection("relay.example:7070", None, None, True))
    with connect(Connection("127.0.0.1:1", None, None, True)) as coordinator:
        assert isinstance(coordinator, Coordinator)


def test_tls_needs_a_name(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="--as"):
        connect(Connection("h:1", tmp_path, None, False))
    with pytest.raises(TransportError, match="tls dev") as caught:
        raise_hint(Connection("h:1", tmp_path, None, False), "airline")
    assert "ca.pem" in caught.value.message
    with pytest.raises(FormatError):
        connect(Connection("h:1", tmp_path, "../airline", False))


def raise_hint(connection: Connection, identity_id: str) -> None:
    """As `connect`, with the hint in the message."""
    try:
        connect(connection, identity_id=identity_id)
    except TransportError as error:
        raise TransportError(f"{error.message} {error.hint}") from error


def test_roots_are_added_to_awss(tmp_path: Path) -> None:
    load_or_create_root(tmp_path)
    roots = trusted_roots((root_path(tmp_path),))
    assert [root.is_aws for root in roots] == [True, False]
    assert [root.is_simulated for root in roots] == [False, True]
    assert trusted_roots(()) == TrustedRoots.aws()
    (tmp_path / "no.pem").write_text("nothing")
    with pytest.raises(RootFileError):
        trusted_roots((tmp_path / "no.pem",))
    with pytest.raises(FileAccessError):
        trusted_roots((tmp_path / "missing.pem",))


def test_locked_identity_takes_its_passphrase_from_a_file(tmp_path: Path) -> None:
    key, passphrase = tmp_path / "a.key", tmp_path / "passphrase"
    identity = Identity.generate("airline", "Wright")
    identity.save(key, "open sesame")
    passphrase.write_text("open sesame\n")
    with pytest.raises(ExposedFileError):
        load_identity(key, passphrase)
    passphrase.chmod(0o600)
    result = CliRunner().invoke(signing, ["--identity", str(key), "--passphrase-file", str(passphrase)])
    assert (result.exit_code, result.output) == (0, "airline\n")
    with pytest.raises(PassphraseError, match="locked"):
        load_identity(key, None)


def test_passphrase_file_that_is_empty_or_no_text(tmp_path: Path) -> None:
    for name, data in (("empty", b""), ("latin", b"\xe9\xe9")):
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o600)
    assert read_passphrase(tmp_path / "empty") == ""
    with pytest.raises(FileAccessError, match="UTF-8"):
        read_passphrase(tmp_path / "latin")
