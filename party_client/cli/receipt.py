"""`concordat receipt`: check, without a network, what a receipt proves.

Reads a file from anybody. Exit status: 0 verified, 1 refused, 2 wrong usage.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import click
from rich.console import Console

from party_client.agreements import load_agreed
from party_client.attestation.emulator import UNSIGNED_EMULATOR
from party_client.cli.agreed import held_back
from party_client.cli.present import counted, emit, json_option, say, time, warn
from party_client.cli.privacy_left import charge_sentences
from party_client.cli.trust import Trust, root_warning, trust_options
from party_client.identity import fingerprint
from party_client.noisy_columns import as_facts, noisy_columns
from party_client.receipts import RootFrom, VerifiedReceipt, verify_receipt
from protos.formats.budget import WINDOWS_S
from protos.formats.limits import RECEIPT_MAX_BYTES


@click.group(name="receipt")
def group() -> None:
    """Check receipts of results."""


@group.command()
@click.argument("file", type=click.File("rb"))
@click.option(
    "--agreement",
    "agreement_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The agreement that it must be about (.agreement), with its release changes if any.",
)
@trust_options
@json_option
def verify(*, file: BinaryIO, agreement_file: Path | None, trust: Trust, as_json: bool) -> None:
    """Verify the receipt in FILE ("-" for standard input).

    Shows who agreed on what, and which code released which result.

    A root of trust that is neither AWS's nor given with --root counts only if all parties named it in the
    agreement, and the output says so.

    \b
    Example:
      concordat receipt verify delays.receipt --agreement flights.agreement
    """
    agreed = load_agreed(agreement_file) if agreement_file is not None else None
    verified = verify_receipt(
        file.read(RECEIPT_MAX_BYTES + 1),
        roots=trust.anchors(),
        agreement=agreed,
        believe_agreement=not trust.root_files,
    )
    emit(as_json, _facts(verified), lambda out: _render(verified, out, compared=agreed is not None))


def _warnings(verified: VerifiedReceipt) -> list[str]:
    found = []
    if (warning := root_warning(verified.attestation.root)) is not None:
        found.append(warning)
    if verified.root_from is RootFrom.AGREEMENT:
        found.append(
            "ROOT FROM THE AGREEMENT: neither AWS's nor one that you gave, but the one all parties named "
            f"(SHA-256 {verified.attestation.root.sha256.hex()})"
        )
    return found


def _facts(verified: VerifiedReceipt) -> dict[str, Any]:
    claims, agreement, attestation = verified.claims, verified.agreement, verified.attestation
    return {
        "verified": True,
        "agreement": {
            "digest": claims.agreement_digest,
            "id": agreement.id,
            "parties": {party.id: fingerprint(party) for party in agreement.parties},
        },
        "query": claims.query,
        "parameters": dict(claims.parameters),
        "run": claims.run_id,
        "requested_by": claims.requested_by,
        "receivers": list(claims.receivers),
        "datasets": [used.to_value() for used in claims.datasets],
        "suppressed": [item.to_value() for item in claims.suppressed],
        "result_digest": claims.result_digest,
        "sequence": claims.sequence,
        "runs_left": claims.runs_left,
        "budget": [charge.to_value() for charge in claims.budget],
        "privacy": [charge.to_value() for charge in claims.privacy],
        "noise": as_facts(noisy_columns(agreement, claims.query)),
        "enclave": claims.enclave_id,
        "release": verified.release_name,
        "module_id": attestation.document.module_id,
        "pcrs": {str(index): value for index, value in attestation.document.pcrs.items()},
        "attested_at": attestation.document.signed_at,
        "root": {
            "name": attestation.root.name,
            "sha256": attestation.root.sha256,
            "is_aws": attestation.root.is_aws,
            "from_agreement": verified.root_from is RootFrom.AGREEMENT,
        },
        "unsigned_emulator": attestation.is_unsigned_emulator,
        "warnings": _warnings(verified),
    }


def _render(verified: VerifiedReceipt, out: Console, *, compared: bool) -> None:
    claims, agreement, attestation = verified.claims, verified.agreement, verified.attestation
    document = attestation.document

    def step(number: int, what: str, *details: str) -> None:
        say(out, "\n".join([f"{number}  {what}", *(f"     {detail}" for detail in details)]))

    step(1, "the file is a receipt, in the one encoding there is")
    match = "the one that you gave" if compared else "compare its digest with yours, or give --agreement"
    step(2, f"agreement {agreement.id}: {agreement.title}", claims.agreement_digest.hex(), match)
    step(
        3,
        "signed by all its parties",
        *(f"{party.id:<16} {fingerprint(party)}" for party in agreement.parties),
    )
    chosen = ", ".join(f"{name} = {value!r}" for name, value in sorted(claims.parameters.items()))
    step(
        4,
        f"query {claims.query}{f' ({chosen})' if chosen else ''}, which this agreement allows",
        f"asked for by {claims.requested_by}, released to {', '.join(claims.receivers)}",
        *(
            f"on {used.dataset} of {used.party}, manifest {used.manifest_digest.hex()[:16]}…"
            for used in claims.datasets
        ),
        *(held_back(item) for item in claims.suppressed),
        f"result {claims.result_digest.hex()[:16]}…, "
        f"{'number' if agreement.state is None else 'ledger entry'} {claims.sequence} of this enclave; "
        f"{counted(claims.runs_left, 'run')} of this query left",
        *(
            f"{charge.window}: {charge.before:,} of {charge.limit:,} left before, {charge.after:,} after"
            for charge in claims.budget
            if charge.window in WINDOWS_S
        ),
        *charge_sentences(agreement, claims.privacy),
        *(f"NOISY: {column.sentence}" for column in noisy_columns(agreement, claims.query)),
    )
    step(
        5,
        f"attested by release {verified.release_name!r} on {time(document.signed_at)}",
        f"module {document.module_id}, enclave {claims.enclave_id.hex()}",
        *(f"PCR{index} {document.require_pcr(index).hex()}" for index in (0, 1, 2)),
        f"under {verified.root_from.value}"
        + (f": {attestation.root.name}" if verified.root_from is RootFrom.CALLER else ""),
    )
    if attestation.is_unsigned_emulator:
        say(out, f"{UNSIGNED_EMULATOR}: verified, but for step 5, which nobody signed", style="bold yellow")
    else:
        say(out, "verified", style="bold green")
    for warning in _warnings(verified):
        warn(out, warning)
