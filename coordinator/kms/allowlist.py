"""Which key services may be reached from here: the operator's file, in the format of AWS's vsock-proxy.

    allowlist:
    - {address: kms.eu-west-1.amazonaws.com, port: 443}

A file for that program is taken as it is. An endpoint is allowed if its name and port stand there, letter for
letter but for case; an empty list allows none. Addresses are not resolved here: what a name leads to is
checked by the enclave, which demands the certificate of the name that the agreement has.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from coordinator.errors import AllowlistFileError, EndpointNotAllowedError
from protos.formats.limits import KIB

FILE_MAX_BYTES: Final = 64 * KIB
ENTRIES_MAX: Final = 1024
_ADDRESS_MAX_CHARACTERS: Final = 253
_KEYS: Final = {"address", "port"}
_HINT: Final = "as vsock-proxy has it: allowlist:, then a line - {address: HOST, port: 443} for each endpoint"


@dataclass(frozen=True)
class Allowlist:
    """The endpoints that may be reached; names in lower case."""

    endpoints: frozenset[tuple[str, int]]

    def require(self, host: str, port: int) -> None:
        """Raise `EndpointNotAllowedError` unless the endpoint is listed."""
        if (host.lower(), port) not in self.endpoints:
            raise EndpointNotAllowedError(
                f"{host}:{port} is not one of the {len(self.endpoints)} endpoints that are allowed here"
            )


def read_allowlist(path: Path) -> Allowlist:
    """The list in the file at `path`. Raises `AllowlistFileError` for anything that is not exactly one."""
    try:
        with path.open("rb") as file:
            text = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise AllowlistFileError(
            f"{path}: {error.strerror}", hint="give the file with --kms-endpoints"
        ) from error
    if len(text) > FILE_MAX_BYTES:
        raise AllowlistFileError(f"{path}: got more than {FILE_MAX_BYTES} bytes", hint=_HINT)
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise AllowlistFileError(f"{path}: not YAML ({type(error).__name__})", hint=_HINT) from error
    if not isinstance(value, dict) or set(value) != {"allowlist"}:
        raise AllowlistFileError(f"{path}: expected a map with allowlist and nothing else", hint=_HINT)
    entries = value["allowlist"]
    if not isinstance(entries, list) or len(entries) > ENTRIES_MAX:
        raise AllowlistFileError(f"{path}: allowlist: expected a list of at most {ENTRIES_MAX}", hint=_HINT)
    return Allowlist(frozenset(_endpoint(path, number, entry) for number, entry in enumerate(entries, 1)))


def _endpoint(path: Path, number: int, entry: Any) -> tuple[str, int]:
    if not isinstance(entry, dict) or set(entry) != _KEYS:
        raise AllowlistFileError(f"{path}: entry {number}: expected address and port", hint=_HINT)
    address, port = entry["address"], entry["port"]
    if not isinstance(address, str) or not 0 < len(address) <= _ADDRESS_MAX_CHARACTERS or ":" in address:
        raise AllowlistFileError(f"{path}: entry {number}: address: expected a host's name", hint=_HINT)
    if type(port) is not int or not 0 < port < 2**16:
        raise AllowlistFileError(f"{path}: entry {number}: port: expected 1 to {2**16 - 1}", hint=_HINT)
    return address.lower(), port
