"""The half of `concordat agreement` that talks to the coordinator, which is only a board to pin things to.

What it gives back is verified before it is believed: an agreement by its digest, approvals by the keys in the
agreement. What it keeps back, or shows to one party only, shows in the digests that parties compare.
"""

from __future__ import annotations

from pathlib import Path

import click

from party_client import files
from party_client.agreements import (
    AgreementError,
    approval_status,
    load_agreed,
    load_approval,
    require_digest_untrusted,
)
from party_client.agreements.agreement_file import save_agreement
from party_client.agreements.errors import SplitViewError
from party_client.cli.agreement_text import render_approvals
from party_client.cli.connection import Connection, connect, connection_options
from party_client.cli.present import emit, json_option
from protos.formats.agreement import Agreement
from protos.formats.approvals import genuine_approvals_untrusted, verify_approval_untrusted
from protos.formats.errors import ConcordatError
from protos.formats.identifiers import DIGEST_BYTES, from_hex

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class _Digest(click.ParamType[bytes]):
    name = "digest"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """48 bytes, or a usage error."""
        try:
            return from_hex(value, length=DIGEST_BYTES, what="digest")
        except ConcordatError as error:
            self.fail(error.message, param, ctx)


@click.command()
@click.argument("file", type=FILE)
@connection_options
@json_option
def submit(*, file: Path, connection: Connection, as_json: bool) -> None:
    """Give the agreement in FILE to the coordinator.

    The other parties can then fetch it.

    \b
    Example:
      concordat agreement submit flights.agreement --as operator
    """
    agreement = load_agreed(file).agreement
    digest = agreement.digest()
    with connect(connection) as coordinator:
        got = coordinator.put_agreement(agreement.encode())
    if got != digest:
        raise SplitViewError(
            f"gave agreement {digest.hex()[:16]}…, the coordinator keeps {got.hex()[:16]}…",
            hint="do not use this coordinator",
        )
    emit(as_json, {"digest": digest}, lambda out: out.print(f"digest {digest.hex()}", soft_wrap=True))


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--approval", "approval_file", type=FILE, required=True, help="From `concordat agreement sign`."
)
@connection_options
@json_option
def approve(*, file: Path, approval_file: Path, connection: Connection, as_json: bool) -> None:
    """Give your approval of FILE to the coordinator.

    There is one place for each certificate, so every party hands in its own. Another approval by the same
    certificate replaces the one before.

    \b
    Example:
      concordat agreement approve flights.agreement \\
          --approval flights.airline.approval
    """
    agreement, message = load_agreed(file).agreement, load_approval(approval_file)
    approval = verify_approval_untrusted(agreement, message)
    with connect(connection, identity_id=approval.party) as coordinator:
        before = coordinator.get_agreement(agreement.digest())
        coordinator.put_approval(agreement.digest(), message)
        after = coordinator.get_agreement(agreement.digest())
    _require_nobody_displaced(agreement, before.approvals, after.approvals)
    emit(
        as_json,
        {"digest": agreement.digest(), "party": approval.party},
        lambda out: out.print(f"approved by {approval.party}: {agreement.digest().hex()}", soft_wrap=True),
    )


@click.command()
@click.argument("digest", type=_Digest())
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Write the agreement to this file.",
)
@click.option(
    "--approvals",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Also write each approval into this folder, as PARTY.approval.",
)
@connection_options
@json_option
def fetch(*, digest: bytes, output: Path, folder: Path | None, connection: Connection, as_json: bool) -> None:
    """Fetch an agreement, and who has signed it.

    Get the DIGEST from another party and not from the coordinator: the digest is what makes sure that you
    all see the same agreement.

    \b
    Example:
      concordat agreement fetch DIGEST -o flights.agreement --as airline
    """
    with connect(connection) as coordinator:
        stored = coordinator.get_agreement(digest)
    agreement = require_digest_untrusted(stored.agreement, digest)
    genuine = genuine_approvals_untrusted(agreement, stored.approvals)
    status = approval_status(agreement, genuine)
    ignored = len(stored.approvals) - len(genuine)
    save_agreement(output, agreement)
    if folder is not None:
        files.make_folder(folder)
        for message in genuine:
            party = verify_approval_untrusted(agreement, message).party
            files.replace(folder / f"{party}.approval", message)
    value = {
        "digest": digest,
        "file": output,
        "in_force": status.in_force,
        "signed": [approval.party for approval in status.signed],
        "missing": list(status.missing),
        "ignored_approvals": ignored,
    }
    emit(as_json, value, lambda out: render_approvals(agreement, status, out, ignored=ignored))


@click.command("list")
@connection_options
@json_option
def list_agreements(*, connection: Connection, as_json: bool) -> None:
    """List the digests of all agreements at the coordinator.

    \b
    Example:
      concordat agreement list --as airline
    """
    with connect(connection) as coordinator:
        digests = coordinator.list_agreements()
    shown = "\n".join(digest.hex() for digest in digests) or "There are none."
    emit(as_json, {"digests": digests}, lambda out: out.print(shown, soft_wrap=True))


def _require_nobody_displaced(agreement: Agreement, before: list[bytes], after: list[bytes]) -> None:
    """Raises `AgreementError` when somebody whose approval was pinned has none pinned any more."""
    missing_before = approval_status(agreement, genuine_approvals_untrusted(agreement, before)).missing
    missing = approval_status(agreement, genuine_approvals_untrusted(agreement, after)).missing
    if gone := [party for party in missing if party not in missing_before]:
        raise AgreementError(
            f"your approval was given, and replaced that of {', '.join(gone)}: the same certificate had "
            "pinned it, and has one place",
            hint="let each party hand in its own approval with its own certificate",
        )
