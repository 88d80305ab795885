"""The state folder of one SIMULATED KMS: one account in one region, its keys, aliases, roles and credentials.

Everything is read anew for every request, so that a credential issued by another process counts at once.
Files are written whole or not at all, readable by their owner alone.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from party_client import files
from party_client.tls import AUTHORITY, SERVER, make_development_certificates
from scenarios.kms.credentials import ACCESS_KEY_ID, Credential
from scenarios.kms.errors import KeyNotFoundError, StateFolderError
from scenarios.kms.keys import Key, decode_key, encode_key
from scenarios.kms.principals import ACCOUNT, Caller
from scenarios.kms.roles import SESSION_USUAL_S, Role, new_role_id

DEFAULT_ACCOUNT: Final = "111122223333"
DEFAULT_REGION: Final = "us-east-1"
_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]", re.ASCII)
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_FILE_MAX_BYTES: Final = 4 * 1024 * 1024
_Found = TypeVar("_Found")


class KmsStore:
    """What one server knows. Raises `StateFolderError` for a folder that it cannot have written."""

    def __init__(self, folder: Path, *, account: str | None = None, region: str | None = None) -> None:
        self.folder = folder
        files.make_folder(folder / "keys")
        files.make_folder(folder / "credentials")
        place = folder / "account.json"
        if not place.exists():
            first = {"account": account or DEFAULT_ACCOUNT, "region": region or DEFAULT_REGION}
            if not ACCOUNT.fullmatch(first["account"]) or not _REGION.fullmatch(first["region"]):
                raise StateFolderError("expected an account of twelve digits and a region such as us-east-1")
            self._write(place, first)
        settled = self._read(place, lambda found: (str(found["account"]), str(found["region"])))
        self.account, self.region = settled
        for got, asked in zip(settled, (account, region), strict=True):
            if asked is not None and asked != got:
                raise StateFolderError(f"{folder}: got {asked}, expected {got}, as when it was made")

    @property
    def arn_prefix(self) -> str:
        """What the ARN of every key here starts with."""
        return f"arn:aws:kms:{self.region}:{self.account}:key/"

    @property
    def authority_path(self) -> Path:
        """The certificate to which the server's TLS leads, in PEM."""
        return self.folder / "tls" / f"{AUTHORITY}.pem"

    def tls_files(self, now: datetime) -> tuple[Path, Path]:
        """The server's certificate and key, made on first use."""
        tls = self.folder / "tls"
        if not self.authority_path.exists():
            make_development_certificates(tls, (), now=now)
        return tls / f"{SERVER}.pem", tls / f"{SERVER}.key.pem"

    def put_key(self, key: Key) -> None:
        """Keeps `key`, in place of its earlier state."""
        self._replace(self.folder / "keys" / f"{key.key_id}.json", encode_key(key))

    def key(self, name: str) -> Key:
        """The key called `name`: id, ARN, alias, or ARN of an alias. Raises `KeyNotFoundError`."""
        local = name.removeprefix(self.arn_prefix.removesuffix("key/"))
        key_id = self.aliases().get(local, "") if local.startswith("alias/") else local.removeprefix("key/")
        path = self.folder / "keys" / f"{key_id}.json"
        if not _KEY_ID.fullmatch(key_id) or not path.exists():
            raise KeyNotFoundError(f"Key or alias {name[:200]!r} does not exist here ({self.arn_prefix}...)")
        return self._decoded(path, decode_key)

    def every_key(self) -> list[Key]:
        """All keys, by id."""
        return [self.key(path.stem) for path in sorted((self.folder / "keys").glob("*-*.json"))]

    def aliases(self) -> dict[str, str]:
        """Key ids by `alias/NAME`."""
        path = self.folder / "aliases.json"
        return self._read(path, dict) if path.exists() else {}

    def put_alias(self, alias: str, key_id: str) -> None:
        """Lets `alias` stand for the key."""
        self._write(self.folder / "aliases.json", {**self.aliases(), alias: key_id})

    def roles(self) -> dict[str, Role]:
        """The account's roles by ARN."""
        path = self.folder / "roles.json"
        return self._read(path, _roles) if path.exists() else {}

    def role(self, arn: str) -> Role | None:
        """The role of that ARN, if there is one."""
        return self.roles().get(arn)

    def make_role(
        self, name: str, trust: str, policy: str | None, max_session_s: int = SESSION_USUAL_S
    ) -> Role:
        """A role of the account, or its next state: two of one name and different ids there never are."""
        arn = f"arn:aws:iam::{self.account}:role/{name}"
        earlier = self.role(arn)
        role = Role(arn, earlier.role_id if earlier else new_role_id(), trust, policy, max_session_s)
        self.put_role(role)
        return role

    def put_role(self, role: Role) -> None:
        """Keeps `role`, in place of its earlier state. Raises `StateFolderError` for another account's."""
        if role.arn.split(":")[4] != self.account:
            raise StateFolderError(f"{role.arn}: expected a role of the account {self.account}")
        roles = {**self.roles(), role.arn: role}
        self._write(self.folder / "roles.json", {arn: vars(each) for arn, each in roles.items()})

    def put_credential(self, credential: Credential) -> None:
        """Keeps `credential`."""
        caller, expires_at = credential.caller, credential.expires_at
        fields = {
            **vars(credential),
            "caller": {"arn": caller.arn, "session": caller.session},
            "expires_at": expires_at.isoformat() if expires_at else None,
        }
        self._write(self.folder / "credentials" / f"{credential.access_key_id}.json", fields)

    def credential(self, access_key_id: str) -> Credential | None:
        """The credential of that id, if there is one."""
        path = self.folder / "credentials" / f"{access_key_id}.json"
        if not ACCESS_KEY_ID.fullmatch(access_key_id) or not path.exists():
            return None
        return self._read(path, _credential)

    def _write(self, path: Path, fields: dict[str, Any]) -> None:
        self._replace(path, json.dumps(fields, indent=1).encode())

    def _replace(self, path: Path, data: bytes) -> None:
        beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        files.create(beside, data)
        beside.replace(path)

    def _read(self, path: Path, build: Callable[[Any], _Found]) -> _Found:
        return self._decoded(path, lambda file: build(json.loads(file)))

    def _decoded(self, path: Path, decode: Callable[[bytes], _Found]) -> _Found:
        file = files.read(path, max_bytes=_FILE_MAX_BYTES, private=True)
        try:
            return decode(file)
        except (ValueError, KeyError, TypeError) as error:
            raise StateFolderError(
                f"{path}: cannot be read ({type(error).__name__})", hint="name another state folder"
            ) from error


def _credential(fields: dict[str, Any]) -> Credential:
    expires_at = fields["expires_at"]
    return Credential(
        **{
            **fields,
            "caller": Caller(**fields["caller"]),
            "expires_at": datetime.fromisoformat(expires_at) if expires_at else None,
        }
    )


def _roles(fields: dict[str, Any]) -> dict[str, Role]:
    return {arn: Role(**each) for arn, each in fields.items()}
