"""`concordat job budget`: what is left of runs, uses of keys and privacy, by the enclave's signed word."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from party_client.cli.agreed import agreement_option, enclave_facts, job_option
from party_client.cli.connection import Connection, connect, connection_options
from party_client.cli.options import identity_option, state_option
from party_client.cli.present import emit, json_option, say, table, time, warn
from party_client.cli.privacy_left import left_facts, left_rows
from party_client.cli.trust import Trust, root_warning, trust_options
from party_client.identity import Identity
from protos.formats.budget import Budget
from protos.release.history import AgreedReleases

_SPANS: Final = {
    "query": "in all",
    "agreement": "in all, of all queries",
    "day": "any 24 hours",
    "week": "any 7 days",
    "month": "any 30 days",
    "uses": "in all",
    "values": "identifiers in all",
}


@click.command(name="budget")
@job_option
@agreement_option
@identity_option
@state_option
@connection_options
@trust_options
@json_option
def budget(
    *,
    job_id: str,
    agreed: AgreedReleases,
    identity: Identity,
    state: Path,
    connection: Connection,
    trust: Trust,
    as_json: bool,
) -> None:
    """Ask the enclave what is left: runs, uses of keys, privacy.

    Every party and analyst of the agreement may ask, as often as they like. The enclave is verified first and
    signs its answer.

    \b
    Example:
      concordat job budget --job 26fc3eef023ae66d \\
          --agreement flights.agreement --identity keys/analyst.key
    """
    from party_client.client import Client  # noqa: PLC0415 - gRPC and pyarrow

    with connect(connection, identity_id=identity.id) as coordinator:
        client = Client(coordinator, identity, roots=trust.anchors(), state=state)
        enclave = client.verify(job_id, agreed)
        left = client.budget(job_id, agreed, enclave=enclave)

    def render(out: Console) -> None:
        say(out, f"at {time(datetime.fromtimestamp(left.at_s, UTC))}, by the enclave's clock")
        if left.queries:
            out.print(table(["query", "runs", "left", "of"], _rows(left)))
        if left.keys:
            out.print(table(["key", "uses", "left", "of"], _key_rows(left)))
        if left.privacy:
            columns = ["privacy budget of", "epsilon spent", "of", "left"]
            out.print(table(columns, left_rows(agreed.agreement, left.privacy)))
        if agreed.agreement.state is not None:
            say(out, f"state: {left.sequence:,} entries, remembered here: none may be missing after a loss")
        warn(out, root_warning(enclave.attestation.root))

    facts = {**_facts(left), "privacy": left_facts(agreed.agreement, left.privacy)}
    emit(as_json, {**facts, **enclave_facts(enclave)}, render)


def _rows(left: Budget) -> list[tuple[str, ...]]:
    return [
        (query.query, _SPANS[window.window], f"{window.left:,}", f"{window.limit:,}")
        for query in left.queries
        for window in query.windows
    ]


def _key_rows(left: Budget) -> list[tuple[str, ...]]:
    return [
        (key.key, _SPANS[window.window], f"{window.left:,}", f"{window.limit:,}")
        for key in left.keys
        for window in key.windows
    ]


def _facts(left: Budget) -> dict[str, Any]:
    return {
        "entries": left.sequence,
        "at": datetime.fromtimestamp(left.at_s, UTC),
        "queries": {
            query.query: {
                window.window: {"limit": window.limit, "left": window.left} for window in query.windows
            }
            for query in left.queries
        },
        "keys": {
            key.key: {window.window: {"limit": window.limit, "left": window.left} for window in key.windows}
            for key in left.keys
        },
    }
