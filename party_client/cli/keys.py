"""`concordat keys`: which keys the enclave keeps, their public halves, and a party's consent to their uses.

What is shown of a key was verified here: its document, and that it is one of the agreement. A use that is
approved is shown before it is signed; its input is whatever its asker put into the file.
"""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from party_client import files
from party_client.agreements.keys_text import key_bounds, key_checks
from party_client.cli.agreed import agreement_option, job_option
from party_client.cli.connection import Connection, connect, connection_options
from party_client.cli.key_uses import decrypt, encrypt, hmac, sign, tokenise
from party_client.cli.options import identity_option
from party_client.cli.present import counted, emit, json_option, say, size, table, warn
from party_client.cli.trust import Trust, root_warning, trust_options
from party_client.identity import Identity
from party_client.keys.approving import approve_uses, save_approvals
from party_client.keys.errors import KeyUseError
from party_client.keys.prepared import PreparedUse, load_prepared
from party_client.keys.public import VerifiedPublicKeys, load_evidence, verify_evidence
from protos.release.history import AgreedReleases

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
_TEXT_SHOWN_BYTES = 2_000


@click.group(name="keys")
def group() -> None:
    """Use keys that the enclave made and never gives away."""


@group.command("list")
@agreement_option
@json_option
def list_keys(*, agreed: AgreedReleases, as_json: bool) -> None:
    """List the keys that were agreed on.

    What each is for, who may use it, how often, and with whose consent.

    \b
    Example:
      concordat keys list --agreement tokens.agreement
    """
    found = key_checks(agreed.agreement)
    rows = [
        (
            key.id,
            key.kind,
            ", ".join(sorted(key.uses)),
            ", ".join(key.used_by),
            ", ".join(key.approved_by) or "nobody",
            key_bounds(key),
        )
        for key in agreed.agreement.keys
    ]
    columns = ["key", "kind", "for", "used by", "approved by", "bounds"]
    emit(as_json, [vars(key) for key in found], lambda out: out.print(table(columns, rows)))


@group.command()
@click.argument("key_id", metavar="KEY")
@job_option
@agreement_option
@identity_option
@click.option("-o", "--output", type=NEW_FILE, required=True, help="Write it here, in PEM.")
@click.option(
    "--evidence", "evidence_file", type=NEW_FILE, help="And its evidence here; default: beside it, .evidence."
)
@connection_options
@trust_options
@json_option
def public(
    *,
    key_id: str,
    job_id: str,
    agreed: AgreedReleases,
    identity: Identity,
    output: Path,
    evidence_file: Path | None,
    connection: Connection,
    trust: Trust,
    as_json: bool,
) -> None:
    """Fetch the public half of KEY, and its evidence.

    The enclave is verified, and has to attest this very key for a fresh nonce.

    \b
    Example:
      concordat keys public notary --job 26fc3eef023ae66d \\
          --agreement notary.agreement --identity keys/shop.key -o notary.pem
    """
    from party_client.client import Client  # noqa: PLC0415 - gRPC and pyarrow

    evidence_file = evidence_file or output.with_suffix(".evidence")
    files.require_absent(output, evidence_file)
    with connect(connection, identity_id=identity.id) as coordinator:
        client = Client(coordinator, identity, roots=trust.anchors())
        verified = client.keys(job_id, agreed).public()
    files.create(output, verified.pem(key_id), mode=files.PUBLIC)
    files.create(evidence_file, verified.evidence, mode=files.PUBLIC)
    _show_verified(verified, as_json)


@group.command()
@click.argument("evidence_file", metavar="EVIDENCE", type=FILE)
@agreement_option
@click.option("--key", "key_id", metavar="KEY", help="With --pem: which key it should be.")
@click.option("--pem", "pem_file", type=FILE, metavar="FILE", help="Compare this public key.")
@trust_options
@json_option
def verify(
    *,
    evidence_file: Path,
    agreed: AgreedReleases,
    key_id: str | None,
    pem_file: Path | None,
    trust: Trust,
    as_json: bool,
) -> None:
    """Verify that public keys are an enclave's, without a network.

    Says that they were when the document in EVIDENCE was signed.

    \b
    Example:
      concordat keys verify notary.evidence --agreement notary.agreement \\
          --key notary --pem notary.pem
    """
    if (key_id is None) != (pem_file is None):
        raise click.UsageError("--key and --pem go together")
    verified = verify_evidence(load_evidence(evidence_file), agreed=agreed, roots=trust.anchors())
    if key_id is not None and pem_file is not None:
        given = files.read(pem_file, max_bytes=4096, private=False)
        if given.split() != verified.pem(key_id).split():
            raise KeyUseError(
                f"{pem_file}: is not the key {key_id} of this evidence", hint="take the key from the evidence"
            )
    _show_verified(verified, as_json)


@group.command()
@click.argument("uses_file", metavar="USES", type=FILE)
@agreement_option
@identity_option
@click.option("-o", "--output", type=NEW_FILE, required=True, help="Write the approvals to this file.")
@click.option("--save-input", type=NEW_FILE, metavar="FILE", help="Save the (first) input, to look at it.")
@click.option("--yes", is_flag=True, help="Do not ask; you have looked at what is to be done.")
@json_option
def approve(
    *,
    uses_file: Path,
    agreed: AgreedReleases,
    identity: Identity,
    output: Path,
    save_input: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Look at the uses of keys in USES, and approve them.

    USES was made with --prepare by whoever wants to use the key. What you sign holds for these very uses.

    \b
    Example:
      concordat keys approve contract.uses --agreement notary.agreement \\
          --identity keys/bank.key -o contract.bank.approvals
    """
    files.require_absent(output, *([] if save_input is None else [save_input]))
    uses = load_prepared(uses_file, agreed.agreement)
    approvals = approve_uses(agreed.agreement, uses, identity=identity, signed_at_s=int(time.time()))
    if save_input is not None:
        files.create(save_input, uses[0].content)
    if not yes:
        _require_consent(uses, identity)
    save_approvals(output, approvals)
    value = {"approved": [_use_facts(use) for use in uses], "party": identity.id}
    emit(as_json, value, lambda out: say(out, f"approved: {counted(len(uses), 'use')}, in {output}"))


def _require_consent(uses: list[PreparedUse], identity: Identity) -> None:
    if not sys.stdin.isatty():
        raise KeyUseError(
            "nobody is here to be asked, so nothing was approved",
            hint="look at the uses at a terminal, or with --save-input; then add --yes",
        )
    out = Console(file=sys.stderr, markup=False, highlight=False)
    for use in uses:
        facts = _use_facts(use)
        say(out, f"{facts['requested_by']} wants to {facts['use']} with key {facts['key']}:")
        say(out, f"  {size(facts['bytes'])}, SHA-256 {facts['sha256']}")
        if (text := _shown(use.content)) is not None:
            say(out, text)
    if not click.confirm(f"\nApprove as {identity.id}?", err=True):
        raise KeyUseError("not approved, as you wished")


def _use_facts(use: PreparedUse) -> dict[str, Any]:
    request = use.request
    return {
        "key": request.key,
        "use": request.use,
        "requested_by": request.requested_by,
        "enclave": request.enclave_id,
        "request": request.request_id,
        "bytes": len(use.content),
        "sha256": hashlib.sha256(use.content).hexdigest(),
    }


def _shown(content: bytes) -> str | None:
    """Short text is shown to whoever approves it; anything else has a length and a hash."""
    if len(content) > _TEXT_SHOWN_BYTES:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _show_verified(verified: VerifiedPublicKeys, as_json: bool) -> None:
    root = verified.attestation.root
    halves = [(half.key, half.kind, hashlib.sha256(half.spki).hexdigest()) for half in verified.keys.keys]

    def render(out: Console) -> None:
        say(out, f"verified: made and kept by enclave {verified.keys.enclave_id.hex()} of this agreement")
        out.print(table(["key", "kind", "SHA-256 of the public half"], halves, whole={"SHA-256"}))
        warn(out, root_warning(root))

    value = {
        "enclave": verified.keys.enclave_id,
        "agreement": verified.keys.agreement_digest,
        "signed_at": verified.attestation.document.signed_at,
        "keys": [{"key": key, "kind": kind, "sha256": digest} for key, kind, digest in halves],
        "warning": root_warning(root),
    }
    emit(as_json, value, render)


for _command in (sign, encrypt, decrypt, hmac, tokenise):
    group.add_command(_command)
