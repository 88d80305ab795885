"""How a rehearsal looks on a screen, and what it is for programs. SYNTHETIC and SIMULATED stand in both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from rich.console import Console
from rich.padding import Padding

from party_client.cli.present import counted, say, size, table
from party_client.noisy_columns import as_facts
from protos.formats.agreement import Agreement
from scenarios.rehearsal.rehearse import Outcome, QueryOutcome

NOTICE: Final = (
    "SYNTHETIC data in a SIMULATED enclave: no row is about anybody, and nothing here says how many people "
    "the real data has. It shows which columns leave, how thresholds work, and that the agreement can be "
    "carried out."
)
_INDENT: Final = (0, 0, 0, 4)


def outcome_facts(agreement: Agreement, outcome: Outcome) -> dict[str, Any]:
    """The outcome for JSON."""
    return {
        "synthetic": True,
        "simulated": True,
        "notice": NOTICE,
        "digest": agreement.digest(),
        "rehearsed": outcome.stand_in.agreement.digest(),
        "changes": outcome.stand_in.changes,
        "seed": outcome.seed,
        "rows": dict(outcome.rows),
        "queries": [_query_facts(query) for query in outcome.queries],
    }


def _query_facts(query: QueryOutcome) -> dict[str, Any]:
    names = [name for name, _ in query.columns]
    return {
        "query": query.query,
        "asked_by": query.asked_by,
        "receivers": query.receivers,
        "parameters": dict(query.parameters),
        "refusal": query.refusal or None,
        "rows": query.rows,
        "held_back": [vars(item) for item in query.held_back],
        "noise": as_facts(query.noise),
        "result_bucket_bytes": query.bucket_bytes,
        "duration_s": round(query.duration_s, 3),
        "columns": [{"name": name, "type": kind} for name, kind in query.columns],
        "examples": [dict(zip(names, map(_plain, row), strict=True)) for row in query.examples],
        "receipt_verified": not query.refusal,
    }


def render_outcome(agreement: Agreement, outcome: Outcome, out: Console) -> None:
    """What came of every query."""
    say(out, f"Rehearsal of {agreement.id}: {agreement.title}", style="bold")
    say(out, NOTICE, style="bold yellow")
    say(
        out,
        f"\nThe agreement itself has digest {agreement.digest().hex()[:16]}…; it was rehearsed with other",
    )
    for change in outcome.stand_in.changes:
        say(out, f"    - {change}")
    for query in outcome.queries:
        _render_query(query, out)


def _render_query(query: QueryOutcome, out: Console) -> None:
    say(out, f"\nQuery {query.query}", style="bold")
    for name, value in facts_in_words(query):
        say(out, value, lead=f"  {name:<12}", lead_style="dim")
    if query.examples:
        say(out, f"  The first {counted(len(query.examples), 'row')}, SYNTHETIC:", style="italic")
        shown = table([name for name, _ in query.columns], cells(query))
        out.print(Padding(shown, _INDENT, expand=False))


def facts_in_words(query: QueryOutcome) -> Iterator[tuple[str, str]]:
    """Names and values of everything but the rows."""
    yield "asked by", query.asked_by
    if query.parameters:
        yield "choosing", ", ".join(f"{name} = {value}" for name, value in query.parameters.items())
    if query.refusal:
        yield "REFUSED", query.refusal
        return
    yield "released", f"{counted(query.rows, 'row')} of {', '.join(name for name, _ in query.columns)}"
    yield "opened by", f"{', '.join(query.receivers)}, each after verifying the receipt"
    for column in query.noise:
        yield "noisy", column.sentence
    for item in query.held_back:
        yield "held back", f"{_groups(item.groups_at_most)}: {item.rule}"
    yield (
        "size",
        f"{query.bucket_bytes:,} bytes, padded: all that the coordinator sees ({size(query.bucket_bytes)})",
    )
    yield "took", f"{query.duration_s:.2f} s until its outcome was seen"


def cells(query: QueryOutcome) -> list[list[str]]:
    """The example rows as text."""
    return [["-" if cell is None else str(cell) for cell in row] for row in query.examples]


def _groups(at_most: int | None) -> str:
    if at_most is None:
        return "not told how many"
    return f"up to {at_most:,} groups" if at_most else "nothing"


def _plain(cell: Any) -> str | int | float | bool | None:
    """Decimals and times as text, which loses no digit."""
    return cell if cell is None or isinstance(cell, str | int | float) else str(cell)
