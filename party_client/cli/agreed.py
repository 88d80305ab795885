"""What commands about a job share: the agreement it runs under, and how trust is shown to a person."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from party_client.agreements import load_agreed
from party_client.attestation import VerifiedEnclave
from party_client.attestation.emulator import UNSIGNED_EMULATOR
from party_client.cli.present import time
from party_client.cli.trust import root_warning
from protos.formats.receipt import Suppression

_Command = TypeVar("_Command", bound=Callable[..., Any])


def agreement_option(command: _Command) -> _Command:
    """Adds `--agreement FILE`; gives the command `agreed: AgreedReleases`, with the changes in the file."""

    @functools.wraps(command)
    def with_agreement(*args: Any, agreement_file: Path, **options: Any) -> Any:
        return command(*args, agreed=load_agreed(agreement_file), **options)

    option = click.option(
        "--agreement",
        "agreement_file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        required=True,
        metavar="FILE",
        help="The agreement that you signed or were given (.agreement), with its release changes if any.",
    )
    return cast(_Command, option(with_agreement))


def job_option(command: _Command) -> _Command:
    """Adds `--job`, given to the command as `job_id`."""
    return click.option("--job", "job_id", required=True, metavar="JOB", help="Which job.")(command)


def held_back(suppression: Suppression) -> str:
    """What one rule kept from being released; the number is rounded up to a power of ten,
    and may be none."""
    most = suppression.groups_at_most
    if most is None:
        return f"held back: not told how many ({suppression.rule})"
    return f"held back: {f'at most {most} rows' if most else 'nothing'} ({suppression.rule})"


def enclave_lines(enclave: VerifiedEnclave) -> list[str]:
    """What was verified about an enclave, a line each."""
    document, root = enclave.attestation.document, enclave.attestation.root
    heading = "verified: genuine, "
    if enclave.attestation.is_unsigned_emulator:
        heading = f"{UNSIGNED_EMULATOR}, by its own unsigned word: "
    return [
        f"{heading}fresh, of an agreed release, bound to this agreement, and its keys are its own",
        f"  enclave    {enclave.keys.enclave_id.hex()}",
        f"  module     {document.module_id}",
        f"  release    {enclave.release_name}  (PCR0 {document.require_pcr(0).hex()[:16]}…)",
        f"  agreement  {enclave.agreement_digest.hex()[:16]}…",
        f"  root       {root.name}  (SHA-256 {root.sha256.hex()[:16]}…)",
        f"  signed at  {time(document.signed_at)}",
    ]


def enclave_facts(enclave: VerifiedEnclave) -> dict[str, Any]:
    """The same, for JSON."""
    document, root = enclave.attestation.document, enclave.attestation.root
    return {
        "verified": True,
        "enclave": enclave.keys.enclave_id,
        "module_id": document.module_id,
        "release": enclave.release_name,
        "agreement": enclave.agreement_digest,
        "root": {"name": root.name, "sha256": root.sha256, "is_aws": root.is_aws},
        "signed_at": document.signed_at,
        "pcrs": {str(index): value for index, value in document.pcrs.items()},
        "unsigned_emulator": enclave.attestation.is_unsigned_emulator,
        "warning": root_warning(root),
    }
