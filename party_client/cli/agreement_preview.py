"""`concordat agreement preview`: how far off the figures of queries with noise will be, before anybody signs.

The file may come from another organisation. Nothing is run, no data is read and no budget is spent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from party_client.agreements import AgreementError, compile_toml, load_agreed
from party_client.agreements.privacy_budgets import BudgetCheck, budget_checks
from party_client.cli.noise_text import preview_sentences, render_budget, render_preview
from party_client.cli.present import emit, json_option, say
from party_client.leak_report.noise_preview import EXPECTED_ROWS, NoisePreview, noise_preview
from protos.formats.agreement import Agreement
from protos.plan import compile_query


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--query", "query_id", metavar="ID", help="Only this query. Default: all queries with noise.")
@click.option(
    "--expect",
    "rows",
    type=click.IntRange(min=1),
    default=EXPECTED_ROWS,
    show_default=True,
    metavar="ROWS",
    help="How many rows, or people, you expect in a group.",
)
@json_option
def preview(*, file: Path, query_id: str | None, rows: int, as_json: bool) -> None:
    """Say how noisy the results of FILE will be.

    FILE is what people write (TOML) or the compiled agreement. For each noisy column: how far off one run
    will be, how much that is of a group of --expect rows, what a run costs each owner's privacy budget, which
    groups are too small to be shown, and what other epsilons would give. Nothing is spent.

    \b
    Example:
      concordat agreement preview flights.toml --query delay_by_wind --expect 500
    """
    agreement = compile_toml(file) if file.suffix == ".toml" else load_agreed(file).agreement
    found, budgets = _previews(agreement, query_id, rows)
    value = {
        "digest": agreement.digest(),
        "expected_rows": rows,
        "budgets": [asdict(budget) for budget in budgets],
        "queries": [asdict(query) for query in found],
    }
    emit(as_json, value, lambda out: _render(found, budgets, out))


def _previews(
    agreement: Agreement, query_id: str | None, rows: int
) -> tuple[list[NoisePreview], tuple[BudgetCheck, ...]]:
    """Raises `AgreementError` where there is nothing to say, `QueryRefusedError` for a query that is none."""
    names = [query.id for query in agreement.queries]
    if query_id is not None and query_id not in names:
        raise AgreementError(f"there is no query {query_id}", hint=f"the queries are {', '.join(names)}")
    plans = {query.id: compile_query(agreement, query) for query in agreement.queries}
    previews = (
        noise_preview(agreement, query, plans[query.id], rows=rows)
        for query in agreement.queries
        if query_id in (None, query.id)
    )
    found = [item for item in previews if item is not None]
    if not found:
        raise AgreementError(
            "no query of this agreement has noise: all results are exact"
            if query_id is None
            else f"the results of {query_id} are exact: it has no noise",
            hint="an owner asks for noise with [[privacy]], and a query says how with `noise`",
        )
    return found, budget_checks(agreement, plans.values())


def _render(found: Iterable[NoisePreview], budgets: Iterable[BudgetCheck], out: Console) -> None:
    for query in found:
        say(out, f"Query {query.query}: {query.keys} groups, {query.noise} noise", style="bold")
        for sentence in preview_sentences(query):
            say(out, f"    - {sentence}")
        render_preview(query, out)
        out.print()
    say(out, "Privacy budgets, for all runs of one enclave", style="bold")
    for budget in budgets:
        render_budget(budget, out)
