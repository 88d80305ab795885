"""Credentials of roles from a file that its owner alone can read: for SIMULATED KMS, and without an STS.

    ["arn:aws:iam::111122223333:role/concordat-enclave"]
    access_key_id = "ASIA..."
    secret_access_key = "..."
    session_token = "..."                 # of a role's session
    expires_at = 2026-12-01T12:00:00Z     # where they end

The operator writes it, and may replace it at any time: it is read whenever credentials are asked for. What
is wrong with it is said without a word of it. Unlike `assumed_roles`, nothing binds these to one agreement
but the party's key.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from coordinator.errors import CredentialsError
from coordinator.kms.credentials import ROLE_ARN, Credentials

_FILE_MAX_BYTES: Final = 1024 * 1024
_OTHERS: Final = 0o077
_NEEDED: Final = {"access_key_id", "secret_access_key"}
_OPTIONAL: Final = {"session_token", "expires_at"}
_AT: Final = re.compile(r"at line [0-9]+, column [0-9]+|at end of document")
_HINT: Final = 'docs/operations.md, "Parties\' own keys", has the form of the file'


class CredentialFile:
    """A `CredentialSource`."""

    def __init__(self, path: Path, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Raises `CredentialsError` for a file that cannot be used."""
        self._path = path
        self._clock = clock
        self._read()

    def get(self, role: str, region: str, agreement_digest: bytes, party: str) -> Credentials:  # noqa: ARG002
        """See `CredentialSource`."""
        found = self._read().get(role)
        if found is None:
            raise CredentialsError(f"{self._path}: has nothing for {role[:120]!r}")
        if not found.is_valid_for(timedelta(0), now=self._clock()):
            raise CredentialsError(f"{self._path}: what it has for {role} ended at {found.expires_at}")
        return found

    def _read(self) -> dict[str, Credentials]:
        text = _private_text(self._path)
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            # Its own message may quote the file.
            where = _AT.search(str(error))
            raise CredentialsError(
                f"{self._path}: is no TOML ({where[0] if where else 'somewhere'})", hint=_HINT
            ) from None
        return {
            _require_role(role, number, self._path): _credentials(table, number, self._path)
            for number, (role, table) in enumerate(tables.items(), 1)
        }


def _require_role(role: str, number: int, path: Path) -> str:
    if not ROLE_ARN.fullmatch(role):
        raise CredentialsError(f"{path}: table {number}: its name is not the ARN of a role", hint=_HINT)
    return role


def _credentials(table: Any, number: int, path: Path) -> Credentials:
    where = f"{path}: table {number}"
    if not isinstance(table, dict) or not _NEEDED <= table.keys() <= _NEEDED | _OPTIONAL:
        raise CredentialsError(
            f"{where}: expected {', '.join(sorted(_NEEDED))} and no more than "
            f"{', '.join(sorted(_OPTIONAL))} beside them",
            hint=_HINT,
        )
    expires_at = table.get("expires_at")
    texts = [table[name] for name in ("access_key_id", "secret_access_key")]
    token = table.get("session_token")
    if not all(isinstance(text, str) for text in (*texts, token or "")):
        raise CredentialsError(f"{where}: expected texts", hint=_HINT)
    if expires_at is not None and not isinstance(expires_at, datetime):
        raise CredentialsError(f"{where}: expires_at: expected a date with time and zone", hint=_HINT)
    try:
        return Credentials(texts[0], texts[1], token, expires_at)
    except CredentialsError as error:
        raise CredentialsError(f"{where}: {error.message}", hint=_HINT) from None


def _private_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())  # of what was opened, not of what the name means by now
            if not stat.S_ISREG(status.st_mode):
                raise CredentialsError(f"{path}: is not a regular file")
            if status.st_mode & _OTHERS:
                raise CredentialsError(
                    f"{path}: other users of this machine have access to it "
                    f"(mode {stat.S_IMODE(status.st_mode):04o}, expected 0600)",
                    hint=f"chmod 600 {path}   (and replace what is in it if somebody may have read it)",
                )
            data = file.read(_FILE_MAX_BYTES + 1)
    except OSError as error:
        raise CredentialsError(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) > _FILE_MAX_BYTES:
        raise CredentialsError(f"{path}: is larger than {_FILE_MAX_BYTES} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise CredentialsError(f"{path}: is not UTF-8", hint=_HINT) from None
