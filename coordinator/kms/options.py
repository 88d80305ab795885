"""Options of `concordat coordinator serve` for parties' roles, and the source of credentials that they make.

None of them takes a secret: command lines are seen by everybody on the machine. An option without effect is
refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from coordinator.kms.assumed_roles import AssumedRoles, StsPlaces
from coordinator.kms.credential_file import CredentialFile
from coordinator.kms.credentials import CredentialSource

_PLACE: Final = re.compile(
    r"((?P<account>[0-9]{12})=)?(?P<url>https://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?)", re.ASCII
)
_FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)
_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class CredentialChoice:
    """What was given on the command line."""

    kms_credentials: Path | None
    kms_assume_roles: bool
    sts_endpoint: tuple[str, ...]
    sts_ca: Path | None

    def make(self) -> CredentialSource | None:
        """The source; None where none was chosen. Raises `click.UsageError` or `CredentialsError`."""
        if self.kms_credentials and self.kms_assume_roles:
            raise click.UsageError("give --kms-credentials FILE or --kms-assume-roles, not both")
        if not self.kms_assume_roles and (self.sts_endpoint or self.sts_ca):
            raise click.UsageError("--sts-endpoint and --sts-ca are for --kms-assume-roles")
        if self.sts_ca and not self.sts_endpoint:
            raise click.UsageError("--sts-ca is for --sts-endpoint: AWS's own is verified without it")
        if self.kms_assume_roles:
            return AssumedRoles(self._places())
        return CredentialFile(self.kms_credentials.absolute()) if self.kms_credentials else None

    def _places(self) -> StsPlaces:
        by_account: dict[str | None, str] = {}
        for written in self.sts_endpoint:
            match = _PLACE.fullmatch(written)
            if match is None:
                raise click.UsageError(
                    f"--sts-endpoint: got {written[:120]!r}, expected https://HOST[:PORT] or ACCOUNT=https://..."
                )
            if match["account"] in by_account:
                raise click.UsageError(f"--sts-endpoint: two for {match['account'] or 'all accounts'}")
            by_account[match["account"]] = match["url"]
        of_all = by_account.pop(None, None)
        return StsPlaces(
            by_account={account: url for account, url in by_account.items() if account},
            of_all=of_all,
            authority=self.sts_ca.absolute() if self.sts_ca else None,
        )


def credential_options(command: _Command) -> _Command:
    """Options that `chosen_credentials` takes out again."""
    for option in (
        click.option(
            "--sts-ca", type=_FILE, metavar="PEM", help="Authorities of these STS; default: the usual ones."
        ),
        click.option(
            "--sts-endpoint",
            multiple=True,
            metavar="[ACCOUNT=]URL",
            help="STS that is not AWS's usual one, for all accounts or the roles of one.",
        ),
        click.option(
            "--kms-assume-roles",
            is_flag=True,
            help="Bring enclaves' requests to parties' KMS: take the parties' roles on with AWS STS.",
        ),
        click.option(
            "--kms-credentials",
            type=_FILE,
            metavar="FILE",
            help="The same with credentials by role from a private file (TOML), for SIMULATED KMS.",
        ),
    ):
        command = option(command)
    return command


def chosen_credentials(options: dict[str, Any]) -> CredentialChoice:
    """The choice, taken out of a command's `options`."""
    return CredentialChoice(**{each.name: options.pop(each.name) for each in fields(CredentialChoice)})
