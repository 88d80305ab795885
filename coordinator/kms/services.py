"""Which key services enclaves may reach through this coordinator, and as whom: options and what they mean.

Both parts or neither: a list of endpoints without credentials, or the other way round, has no effect, and
somebody would believe that it has one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from coordinator.kms.allowlist import Allowlist, read_allowlist
from coordinator.kms.credentials import CredentialSource
from coordinator.kms.options import chosen_credentials, credential_options

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_OPTION: Final = "kms_endpoints"
_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class KeyServices:
    """Where requests for keys may go from here, and with whose credentials."""

    allowlist: Allowlist
    credentials: CredentialSource


def key_service_options(command: _Command) -> _Command:
    """Options that `chosen_key_services` takes out again."""
    command = credential_options(command)
    return click.option(
        "--kms-endpoints",
        type=_FILE,
        metavar="FILE",
        help="Key services that enclaves may reach, as vsock-proxy's YAML has them; default: none.",
    )(command)


def chosen_key_services(options: dict[str, Any]) -> KeyServices | None:
    """What was chosen, taken out of a command's `options`; None for nothing.

    Raises `click.UsageError`, `AllowlistFileError` or `CredentialsError`.
    """
    path: Path | None = options.pop(_OPTION)
    credentials = chosen_credentials(options).make()
    if (path is None) != (credentials is None):
        raise click.UsageError(
            "--kms-endpoints goes together with --kms-assume-roles or --kms-credentials; give both or neither"
        )
    if path is None or credentials is None:
        return None
    return KeyServices(read_allowlist(path), credentials)
