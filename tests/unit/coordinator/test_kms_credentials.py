"""Credentials for parties' roles: from a private file, checked, and never shown."""

from __future__ import annotations

import os
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from coordinator.errors import CredentialsError
from coordinator.kms.assumed_roles import AssumedRoles, StsPlaces
from coordinator.kms.credential_file import CredentialFile
from coordinator.kms.credentials import Credentials
from coordinator.kms.options import CredentialChoice, chosen_credentials, credential_options

ROLE = "arn:aws:iam::111122223333:role/concordat-enclave"
SECRET, TOKEN = "s3cret" * 7, "t0ken" * 40
DIGEST = bytes(range(48))
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SOUND = f"""
["{ROLE}"]
access_key_id = "ASIA{"A" * 16}"
secret_access_key = "{SECRET}"
session_token = "{TOKEN}"
expires_at = 2026-06-01T13:00:00Z
"""


def written(folder: Path, text: str, *, mode: int = 0o600) -> Path:
    path = folder / "credentials.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def get(source: CredentialFile, role: str = ROLE) -> Credentials:
    return source.get(role, "us-east-1", DIGEST, "shop")


def test_a_role_has_what_the_file_says(tmp_path: Path) -> None:
    found = get(CredentialFile(written(tmp_path, SOUND), clock=lambda: NOW))
    assert (found.access_key_id, found.secret_access_key, found.session_token) == (
        "ASIA" + "A" * 16,
        SECRET,
        TOKEN,
    )
    assert found.expires_at == datetime(2026, 6, 1, 13, tzinfo=UTC)


def test_a_changed_file_counts_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, SOUND)
    source = CredentialFile(path, clock=lambda: NOW)
    before = path.stat()
    path.write_text(SOUND.replace(TOKEN, TOKEN[::-1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert get(source).session_token == TOKEN[::-1]
    path.chmod(0o640)
    with pytest.raises(CredentialsError, match="mode 0640, expected 0600"):
        get(source)


def test_another_role_has_nothing(tmp_path: Path) -> None:
    source = CredentialFile(written(tmp_path, SOUND), clock=lambda: NOW)
    with pytest.raises(CredentialsError, match="has nothing for 'arn:aws:iam::444455556666:role/other'"):
        get(source, "arn:aws:iam::444455556666:role/other")


def test_what_has_ended_is_not_given(tmp_path: Path) -> None:
    path = written(tmp_path, SOUND)
    assert get(CredentialFile(path, clock=lambda: NOW + timedelta(minutes=59))).session_token == TOKEN
    with pytest.raises(CredentialsError, match="ended at 2026-06-01 13:00"):
        get(CredentialFile(path, clock=lambda: NOW + timedelta(hours=1)))


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o622, 0o644])
def test_a_file_that_others_can_read_or_change(tmp_path: Path, mode: int) -> None:
    with pytest.raises(CredentialsError, match="other users of this machine") as error:
        CredentialFile(written(tmp_path, SOUND, mode=mode))
    assert error.value.hint is not None and error.value.hint.startswith("chmod 600")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SOUND.replace('"\nsecret', "\nsecret"), "is no TOML"),
        (SOUND.replace("session_token", SECRET), "table 1: expected access_key_id, secret_access_key"),
        (SOUND.replace(f'secret_access_key = "{SECRET}"\n', ""), "table 1: expected access_key_id"),
        (SOUND.replace(ROLE, SECRET), "table 1: its name is not the ARN of a role"),
        (f'secret = "{SECRET}"', "table 1: its name is not the ARN of a role"),
        (f'"{ROLE}" = "{SECRET}"', "table 1: expected access_key_id"),
        (SOUND.replace(f'"{SECRET}"', "7"), "table 1: expected texts"),
        (SOUND.replace(f'"{TOKEN}"', "7"), "table 1: expected texts"),
        (SOUND.replace(SECRET, f"{SECRET} "), "secret access key: got 43 characters"),
        (SOUND.replace(SECRET, "short"), "secret access key: got 5 characters"),
        (SOUND.replace(TOKEN, ""), "session token: got 0 characters"),
        (SOUND.replace(TOKEN, f"{TOKEN}\\n"), "session token: got 201 characters"),
        (SOUND.replace("A" * 16, SECRET), "access key id: got"),
        (SOUND.replace("13:00:00Z", "13:00:00"), "has no zone"),
        (SOUND.replace("T13:00:00Z", ""), "expected a date with time and zone"),
        (SOUND + SOUND, "is no TOML"),
    ],
)
def test_a_file_that_is_wrong_is_refused_without_a_word_of_it(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(CredentialsError) as error:
        CredentialFile(written(tmp_path, text))
    said = "".join(traceback.format_exception(error.value))
    assert message in said
    assert SECRET not in said
    assert TOKEN not in said


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="No such file"):
        CredentialFile(tmp_path / "missing")
    with pytest.raises(CredentialsError, match=r"cannot be read|not a regular file"):
        CredentialFile(tmp_path)
    path = written(tmp_path, "")
    path.write_bytes(b"\xff")
    with pytest.raises(CredentialsError, match="not UTF-8"):
        CredentialFile(path)
    path.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(CredentialsError, match="larger than"):
        CredentialFile(path)


def test_printing_shows_no_secret() -> None:
    found = Credentials("ASIA" + "A" * 16, SECRET, TOKEN, NOW)
    for shown in (repr(found), str(found), f"{found}", repr([found]), repr({"a": found})):
        assert "ASIA" in shown
        assert SECRET not in shown
        assert TOKEN not in shown


def test_credentials_that_end_hold_until_then() -> None:
    found = Credentials("ASIA" + "A" * 16, SECRET, TOKEN, NOW)
    assert found.is_valid_for(timedelta(minutes=5), now=NOW - timedelta(minutes=6))
    assert not found.is_valid_for(timedelta(minutes=5), now=NOW - timedelta(minutes=5))
    assert Credentials("AKIA" + "A" * 16, SECRET, None).is_valid_for(timedelta(days=9), now=NOW)


@click.command()
@credential_options
def _serve(**options: object) -> None:
    choice = chosen_credentials(options)
    assert not options
    source = choice.make()
    click.echo(type(source).__name__)
    if isinstance(source, AssumedRoles):
        click.echo(source.places)


def chosen(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(_serve, arguments)
    return result.exit_code, result.output


def test_the_options_name_a_source_or_none(tmp_path: Path) -> None:
    path, authority = written(tmp_path, SOUND), tmp_path / "ca.pem"
    authority.write_text("")
    assert chosen() == (0, "NoneType\n")
    assert chosen("--kms-credentials", str(path)) == (0, "CredentialFile\n")
    assert chosen("--kms-assume-roles") == (0, f"AssumedRoles\n{StsPlaces()}\n")
    code, said = chosen(
        "--kms-assume-roles",
        "--sts-endpoint=111122223333=https://localhost:1",
        "--sts-endpoint=https://sts.example.com",
        f"--sts-ca={authority}",
    )
    expected = StsPlaces({"111122223333": "https://localhost:1"}, "https://sts.example.com", authority)
    assert (code, said) == (0, f"AssumedRoles\n{expected}\n")
    assert expected.endpoint("111122223333") == "https://localhost:1"
    assert expected.endpoint("444455556666") == "https://sts.example.com"
    assert StsPlaces().endpoint("444455556666") is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kms-credentials=FILE", "--kms-assume-roles"], "not both"),
        (["--sts-endpoint=https://a"], "are for --kms-assume-roles"),
        (["--sts-ca=FILE"], "are for --kms-assume-roles"),
        (["--kms-credentials=FILE", "--sts-endpoint=https://a"], "are for --kms-assume-roles"),
        (["--kms-assume-roles", "--sts-ca=FILE"], "--sts-ca is for --sts-endpoint"),
        (["--kms-assume-roles", "--sts-endpoint=http://a"], "expected https://HOST"),
        (["--kms-assume-roles", "--sts-endpoint=https://user:word@a"], "expected https://HOST"),
        (["--kms-assume-roles", "--sts-endpoint=1=https://a"], "expected https://HOST"),
        (["--kms-assume-roles", *["--sts-endpoint=https://a"] * 2], "two for all accounts"),
        (["--kms-assume-roles", *["--sts-endpoint=111122223333=https://a"] * 2], "two for 111122223333"),
    ],
)
def test_options_without_effect_are_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    path = written(tmp_path, SOUND)
    code, said = chosen(*(each.replace("FILE", str(path)) for each in arguments))
    assert code == 2
    assert message in said


def test_a_choice_of_nothing_is_none() -> None:
    assert CredentialChoice(None, False, (), None).make() is None
