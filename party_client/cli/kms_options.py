"""What commands about a party's key are told: whose it is, who may do what with it, how KMS is reached."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import click

from party_client.agreements import load_agreed
from party_client.cli.present import note
from party_client.kms import Place, key_terms
from party_client.kms.agreed import agreed_whereabouts
from party_client.kms.terms import require_party

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
SIMULATED: Final = "SIMULATED KMS: releases under any root; AWS KMS lets none but its own in"
_AGREED: Final = "[default: as agreed]"
_Command = TypeVar("_Command", bound=Callable[..., Any])


def terms_options(command: _Command) -> _Command:
    """Adds what says who may do what with the key; gives the command `terms: KeyTerms`."""

    @functools.wraps(command)
    def with_terms(
        *args: Any,
        agreement_file: Path,
        party: str,
        account: str | None,
        region: str | None,
        role: str | None,
        simulated: bool,
        **options: Any,
    ) -> Any:
        agreed = load_agreed(agreement_file)
        require_party(agreed.agreement, party)
        where = agreed_whereabouts(agreed.agreement, party, account=account, region=region, role=role)
        people = [options.pop(name) for name in ("parents", "administrators", "sealers")]
        if simulated:
            note(SIMULATED)
        place = Place(*where, *people)
        terms = key_terms(agreed, party=party, place=place, now=datetime.now(UTC), simulated=simulated)
        return command(*args, terms=terms, **options)

    arns: Any = functools.partial(click.option, multiple=True, metavar="ARN")
    decorators = (
        click.argument("agreement_file", type=FILE, metavar="AGREEMENT"),
        click.option("--party", required=True, help="Whose key it is: your id in the agreement."),
        click.option("--account", help=f"Your AWS account, which owns the key.  {_AGREED}"),
        click.option("--region", help=f"Where the key is.  {_AGREED}"),
        click.option("--role", help=f"Name of the enclave's role in your account.  {_AGREED}"),
        arns("--parent", "parents", required=True, help="Who may take that role on; once for each."),
        arns("--administrator", "administrators", required=True, help="Who may change the key."),
        arns("--sealer", "sealers", help="Who may make data keys outside, to seal your data."),
        click.option(
            "--simulated-kms",
            "simulated",
            is_flag=True,
            help="For a SIMULATED KMS: take releases that AWS does not vouch for.",
        ),
    )
    decorated: Any = with_terms
    for decorator in reversed(decorators):
        decorated = decorator(decorated)
    return cast(_Command, decorated)


def reader_options(command: _Command) -> _Command:
    """Adds where a live key is read; gives the command `profile`, `endpoint` and `authority`."""
    profile = click.option("--profile", metavar="NAME", help="Of your AWS configuration.")
    endpoint = click.option("--endpoint", metavar="URL", help="Of a SIMULATED KMS, instead of AWS's.")
    authority = click.option(
        "--ca", "authority", type=FILE, metavar="PEM", help="Who signed that endpoint's certificate."
    )
    return profile(endpoint(authority(command)))
