"""Plays an agreement from signing to the opened result, on made-up data: the real path and nothing beside it.

A coordinator runs in a process of its own and starts the SIMULATED machine; every participant uses the client
that parties and analysts use, over TLS. Owners verify the enclave before they seal, receivers verify the
receipt before they open. A run that the enclave refuses is part of the outcome; whatever else goes wrong is
raised.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from party_client.agreements.agreement_file import save_agreement
from party_client.attestation import TrustedRoots
from party_client.client import Client
from party_client.noisy_columns import NoisyColumn
from party_client.results import Result
from party_client.runs import RunRefusedError
from protos.formats import hpke, limits
from protos.formats.agreement import Agreement
from protos.formats.exact_text import exact_value, places_of
from protos.formats.participants import Release
from protos.formats.query import Parameter, ParameterValue, Query
from protos.formats.result import SealedResult
from protos.plan import compile_query
from scenarios.comparison import Row
from scenarios.errors import ScenarioError
from scenarios.files import write_table
from scenarios.rehearsal.stand_in import StandIn, stand_in
from scenarios.rehearsal.synthetic import tables
from scenarios.stage import COORDINATOR, OPERATOR, Stage

EXAMPLES_ROWS: Final = 5
_FETCH_MAX_BYTES: Final = limits.RESULT_MAX_BYTES + limits.MIB


@dataclass(frozen=True)
class HeldBack:
    """What one rule held back, as the receipt has it."""

    rule: str
    groups_at_most: int | None
    """A power of ten, or 0; None where it is not told."""


@dataclass(frozen=True)
class QueryOutcome:
    """One run of one query. With a `refusal` nothing was released and the rest is empty."""

    query: str
    asked_by: str
    receivers: tuple[str, ...]
    """Every one of them verified the receipt and opened its own copy."""
    parameters: Mapping[str, ParameterValue]
    refusal: str = ""
    rows: int = 0
    bucket_bytes: int = 0
    """Size of the sealed result, as the coordinator sees it, without what sealing adds."""
    held_back: tuple[HeldBack, ...] = ()
    noise: tuple[NoisyColumn, ...] = ()
    """Which columns are off by noise, and by how much."""
    columns: tuple[tuple[str, str], ...] = ()
    """(Name, type) of the result's columns."""
    examples: tuple[Row, ...] = ()
    """The first released rows: SYNTHETIC."""
    duration_s: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What came of a rehearsal."""

    stand_in: StandIn
    seed: int
    rows: Mapping[str, int]
    """Made-up rows of every dataset, by its id."""
    queries: tuple[QueryOutcome, ...]


Telling = Callable[[str], None]


def rehearse(
    agreement: Agreement, stage: Stage, *, rows: int, seed: int, queries: Sequence[str], tell: Telling
) -> Outcome:
    """Plays `queries` of `agreement` on `stage`; `tell` is told what happens. Raises `ConcordatError`."""
    tell("measuring the enclave's code, making throw-away identities")
    stage.hand_out_certificates()
    release, roots = _machine(stage)
    played = stand_in(agreement, release, now=datetime.now(UTC))
    path = stage.table / f"{agreement.id}.agreement"
    save_agreement(path, played.agreement)
    tell("making SYNTHETIC data from the agreement alone")
    files, counts = _write_data(played.agreement, stage, rows=rows, seed=seed)
    tell("starting a coordinator and a SIMULATED enclave")
    address = stage.start_coordinator()
    with ExitStack() as held:
        clients = {
            who: held.enter_context(
                Client.connect(
                    address,
                    identity=identity,
                    tls=stage[who].home / "tls",
                    roots=roots,
                    state=stage[who].home / ".concordat",
                )
            )
            for who, identity in played.identities.items()
        }
        clients[agreement.parties[0].id].put_agreement(played.agreement)
        for party in agreement.parties:
            clients[party.id].approve(played.agreement)
        job_id = str(stage[OPERATOR].ask("job", "start", path, "--as", OPERATOR)["job_id"])
        for dataset in agreement.datasets:
            tell(
                f"{dataset.owner} verifies the enclave and sends {counts[dataset.id]:,} rows of {dataset.id}"
            )
            clients[dataset.owner].upload(job_id, played.agreement, dataset.id, files[dataset.id])
        outcomes = list(_runs(played.agreement, clients, job_id, queries, tell))
    return Outcome(played, seed, counts, tuple(outcomes))


def _machine(stage: Stage) -> tuple[Release, TrustedRoots]:
    """What this computer's SIMULATED machine measures, and the root above it."""
    facts = stage[COORDINATOR].ask("simulator", "measure")
    pcr0, pcr1, pcr2, root_sha256 = (
        bytes.fromhex(facts[key]) for key in ("pcr0", "pcr1", "pcr2", "root_sha256")
    )
    roots = TrustedRoots.from_pem(Path(facts["root_pem"]).read_bytes(), name="simulated")
    return Release(facts["name"], pcr0, pcr1, pcr2, root_sha256), roots


def _write_data(
    agreement: Agreement, stage: Stage, *, rows: int, seed: int
) -> tuple[dict[str, Path], dict[str, int]]:
    plans = [compile_query(agreement, query) for query in agreement.queries]
    files, counts = {}, {}
    for dataset, table in tables(agreement, plans, rows=rows, seed=seed).items():
        files[dataset] = stage[agreement.dataset(dataset).owner].home / f"{dataset}.synthetic.parquet"
        counts[dataset] = table.num_rows
        write_table(table, files[dataset])
    return files, counts


def _runs(
    agreement: Agreement,
    clients: Mapping[str, Client],
    job_id: str,
    queries: Sequence[str],
    tell: Telling,
) -> Iterator[QueryOutcome]:
    for query in (agreement.query(name) for name in queries):
        tell(f"{query.run_by[0]} asks for {query.id}")
        yield _run(agreement, clients, job_id, query)


def _run(agreement: Agreement, clients: Mapping[str, Client], job_id: str, query: Query) -> QueryOutcome:
    asker, parameters = query.run_by[0], {item.name: _middle(item) for item in query.parameters}
    began_s = time.monotonic()
    try:
        run_id = clients[asker].run(job_id, agreement, query.id, parameters)
    except RunRefusedError as error:
        return QueryOutcome(query.id, asker, query.receivers, parameters, refusal=error.message)
    duration_s = time.monotonic() - began_s
    opened: list[Result] = []
    for receiver in query.receivers:
        client = clients[receiver]
        result = client.result(job_id, agreement, run_id, query_id=query.id, parameters=parameters)
        opened.append(result)
    if any(result.table != opened[0].table for result in opened):
        raise ScenarioError(f"query {query.id}: receivers opened different results")
    first = opened[0]
    _, sealed = clients[query.receivers[0]].coordinator.fetch_result(
        job_id, run_id, query.receivers[0], max_bytes=_FETCH_MAX_BYTES
    )
    return QueryOutcome(
        query=query.id,
        asked_by=asker,
        receivers=query.receivers,
        parameters=parameters,
        rows=first.table.num_rows,
        bucket_bytes=len(SealedResult.decode_untrusted(sealed).sealed) - hpke.OVERHEAD_BYTES,
        held_back=tuple(HeldBack(item.rule, item.groups_at_most) for item in first.suppressed),
        noise=first.noise,
        columns=tuple((field.name, str(field.type)) for field in first.table.schema),
        examples=tuple(_examples(first)),
        duration_s=duration_s,
    )


def _middle(parameter: Parameter) -> ParameterValue:
    """What the rehearsal chooses: the middle of a range, the first of some choices."""
    low, steps = parameter.low, (parameter.size - 1) // 2
    if low is None:
        return parameter.choices[0]
    if isinstance(low, int):
        return low + steps
    exact = exact_value(low, what=f"parameter {parameter.name}")
    if isinstance(exact, Decimal):
        return str(exact + Decimal(steps).scaleb(-places_of(exact)))
    return (exact + timedelta(days=steps)).isoformat()


def _examples(result: Result) -> Iterator[Row]:
    shown: list[dict[str, Any]] = result.table.slice(0, EXAMPLES_ROWS).to_pylist()
    yield from (tuple(row.values()) for row in shown)
