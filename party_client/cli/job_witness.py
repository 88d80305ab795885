"""`concordat job witness`: let an enclave begin a state or go on with one, unless this party knows better."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from party_client.cli.agreed import agreement_option
from party_client.cli.connection import Connection, connect, connection_options
from party_client.cli.options import identity_option, state_option
from party_client.cli.present import emit, json_option, say, warn
from party_client.cli.trust import Trust, root_warning, trust_options
from party_client.identity import Identity
from protos.release.history import AgreedReleases


@click.command(name="witness")
@click.argument("job_id", metavar="JOB")
@agreement_option
@identity_option
@click.option("--again", is_flag=True, help="The life that you witnessed last is gone, and wrote nothing.")
@click.option("--anew", is_flag=True, help="Let a state begin and give up the one known: budgets start over.")
@state_option
@connection_options
@trust_options
@json_option
def witness(
    *,
    job_id: str,
    agreed: AgreedReleases,
    identity: Identity,
    again: bool,
    anew: bool,
    state: Path,
    connection: Connection,
    trust: Trust,
    as_json: bool,
) -> None:
    """Let the enclave of JOB take up its state.

    Where the agreement lets state outlive its enclave, every witness has to do this when a state begins, and
    each time that another enclave goes on with it. The enclave is verified first. What you have seen of the
    state (receipts, budgets) has to be in what it goes on with; otherwise nothing is signed, and the message
    says what is missing.

    \b
    Example:
      concordat job witness 26fc3eef023ae66d --agreement flights.agreement \\
          --identity keys/airline.key
    """
    from party_client.client import Client  # noqa: PLC0415 - gRPC and pyarrow
    from party_client.witnessing import Decided  # noqa: PLC0415

    with connect(connection, identity_id=identity.id) as coordinator:
        client = Client(coordinator, identity, roots=trust.anchors(), state=state)
        statement = client.witness(job_id, agreed, decided=Decided(again=again, anew=anew))
    offered, warning = statement.offered, root_warning(statement.enclave.attestation.root)
    facts: dict[str, Any] = {
        "enclave": statement.enclave_id,
        "begins": offered is None,
        "entries": 0 if offered is None else offered.sequence,
        "entries_seen": statement.seen,
        "warning": warning,
    }

    def render(out: Console) -> None:
        if offered is None:
            say(out, f"witnessed: a state of enclave {statement.enclave_id.hex()} may begin")
        else:
            say(
                out,
                f"witnessed: the state of enclave {statement.enclave_id.hex()} may go on after entry "
                f"{offered.sequence:,}, with everything up to entry {statement.seen:,}, the last that you "
                "have seen",
            )
        warn(out, warning)

    emit(as_json, facts, render)
