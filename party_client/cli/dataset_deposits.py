"""`concordat dataset deposit`, `deposits`, `withdraw`: sealed files that wait with the coordinator.

Reads sealed files of anybody and what the coordinator lists. That is marked as its word where no enclave's
signature proves it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from party_client.attestation import VerifiedEnclave
from party_client.cli.agreed import agreement_option
from party_client.cli.connection import Connection, connect, connection_options
from party_client.cli.options import state_option
from party_client.cli.present import counted, emit, json_option, note, progress, say
from party_client.cli.trust import Trust, trust_options
from party_client.refusals import first_line
from party_client.release_memory import require_not_older
from protos.formats.identifiers import UPLOAD_ID_BYTES, from_hex
from protos.release.history import AgreedReleases

if TYPE_CHECKING:
    from party_client.deposits import DepositState

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=FILE)
@agreement_option
@connection_options
@json_option
def deposit(*, file: Path, agreed: AgreedReleases, connection: Connection, as_json: bool) -> None:
    """Leave FILE, which `seal` made, with the coordinator.

    Anybody may: what counts is the owner's signature in it, which is verified first. It goes to every enclave
    under the agreement, until another one of the same dataset takes its place. An interrupted deposit is
    continued by the same command.

    \b
    Example:
      concordat dataset deposit flights.sealed \\
          --agreement flights.agreement --as airline
    """
    from party_client.deposits import Depositing  # noqa: PLC0415 - gRPC and pyarrow

    with (
        connect(connection) as coordinator,
        progress(f"depositing {file.name}", total_bytes=file.stat().st_size, as_json=as_json) as advance,
    ):
        done = Depositing(
            coordinator=coordinator, agreement=agreed.agreement, path=file, progress=advance
        ).send()
    context, manifest = done.sealed.header.context, done.sealed.manifest
    value = {
        "dataset": context.dataset,
        "owner": context.party,
        "rows": manifest.rows,
        "chunks": manifest.chunks,
        "upload": context.upload_id,
        "manifest": manifest.digest(),
        "kms_key": context.kms_key,
        "resumed_at_chunk": done.resumed_at,
    }

    def render(out: Console) -> None:
        say(out, f"deposited  {context.dataset} of {context.party}: {counted(manifest.rows, 'row')}")
        say(out, f"upload     {context.upload_id.hex()}")
        say(out, f"manifest   {manifest.digest().hex()}")
        say(
            out, "stored, says the coordinator; `concordat dataset deposits` tells what an enclave said of it"
        )

    emit(as_json, value, render)


@click.command()
@agreement_option
@state_option
@connection_options
@trust_options
@json_option
def deposits(
    *,
    agreed: AgreedReleases,
    state: Path,
    connection: Connection,
    trust: Trust,
    as_json: bool,
) -> None:
    """List what waits with the coordinator under an agreement.

    Where an enclave accepted what you deposited, and its job is still there, that is verified. All else is
    the coordinator's word.

    \b
    Example:
      concordat dataset deposits --agreement flights.agreement \\
          --as airline
    """
    from party_client.deposits import deposit_states  # noqa: PLC0415 - gRPC and pyarrow
    from party_client.job_enclave import verify_job_enclave  # noqa: PLC0415

    require_not_older(agreed, state / "releases")
    roots = trust.anchors()
    with connect(connection) as coordinator:

        def verify(job_id: str) -> VerifiedEnclave:
            return verify_job_enclave(coordinator, job_id, agreed, roots=roots, now=datetime.now(UTC))

        found = list(deposit_states(coordinator.list_deposits(agreed.agreement.digest()), verify))

    def render(out: Console) -> None:
        for one in found:
            listed = one.listed
            named = f"{first_line(listed.dataset)}, by {first_line(listed.deposited_by)}"
            say(out, f"{listed.upload_id.hex()}  {named}")
            say(out, f"    {_state_text(one)}")
        if not found:
            say(out, "none, says the coordinator")

    emit(as_json, [_state_facts(one) for one in found], render)


@click.command()
@click.argument("upload")
@agreement_option
@click.option("--deposited-by", default="", metavar="NAME", help="Another's, if you are an operator there.")
@connection_options
def withdraw(*, upload: str, agreed: AgreedReleases, deposited_by: str, connection: Connection) -> None:
    """Have a deposit deleted.

    The coordinator may keep a copy: what makes that useless is your key, once it is disabled.

    \b
    Example:
      concordat dataset withdraw 0123456789abcdef0123456789abcdef \\
          --agreement flights.agreement --as airline
    """
    upload_id = from_hex(upload, length=UPLOAD_ID_BYTES, what="upload")
    with connect(connection) as coordinator:
        coordinator.remove_deposit(agreed.agreement.digest(), upload_id, deposited_by=deposited_by)
    note("deleted, says the coordinator")


def _state_text(state: DepositState) -> str:
    if state.enclave is not None and state.manifest_digest is not None:
        return (
            f"ACCEPTED, signed by enclave {state.enclave.keys.enclave_id.hex()} of job "
            f"{first_line(state.listed.job_id)}: manifest {state.manifest_digest.hex()[:16]}…"
        )
    said = first_line(state.listed.said) or (
        "waiting for a job" if state.listed.complete else "not all of it arrived"
    )
    job = f" (job {first_line(state.listed.job_id)})" if state.listed.job_id else ""
    doubt = f"; not proved: {state.doubt}" if state.doubt else ""
    return f"{said}{job}, says the coordinator{doubt}"


def _state_facts(state: DepositState) -> dict[str, Any]:
    listed = state.listed
    return {
        "upload": listed.upload_id,
        "dataset": first_line(listed.dataset),
        "deposited_by": first_line(listed.deposited_by),
        "complete": listed.complete,
        "stored_bytes_at_most": listed.stored_bytes_at_most,
        "job": first_line(listed.job_id) or None,
        "said": first_line(listed.said) or None,
        "accepted": state.enclave is not None,
        "manifest": state.manifest_digest,
        "enclave": None if state.enclave is None else state.enclave.keys.enclave_id,
        "doubt": state.doubt,
    }
