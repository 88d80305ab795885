"""`concordat rehearse`: runs every query of an agreement on made-up data, before anybody signs."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path
from types import FrameType
from typing import Never

import click

from party_client import files
from party_client.agreements import AgreementError, load_agreed
from party_client.cli.present import emit, json_option, note
from protos.formats.agreement import Agreement
from protos.plan import compile_query
from scenarios.rehearsal.presentation import outcome_facts, render_outcome
from scenarios.rehearsal.rehearsal_page import rehearsal_page
from scenarios.rehearsal.rehearse import Outcome, rehearse
from scenarios.stage import Stage

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
_ROWS_LEAST, _ROWS_MOST, _ROWS_PER_UNIT = 2_000, 200_000, 60


@click.command(name="rehearse")
@click.argument("file", type=FILE)
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    help="Made-up rows of each dataset; default: enough for some groups to pass the thresholds.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Other made-up data; default: 0.")
@click.option("--query", "names", multiple=True, metavar="ID", help="Only this query; may be repeated.")
@click.option("--html", "page", type=NEW_FILE, metavar="FILE", help="Also write it as one page.")
@json_option
def command(
    *, file: Path, rows: int | None, seed: int, names: tuple[str, ...], page: Path | None, as_json: bool
) -> None:
    """Run every query of the agreement in FILE on SYNTHETIC data, before anybody signs it.

    The data is made from the agreement alone. Everything else is the real path: throw-away identities with
    everybody's ids sign the same queries and rules, owners verify a SIMULATED enclave and seal to it, and
    receivers verify the receipt and open the result. Nobody's keys or data are used. The exit status is 1 if
    the enclave refused a query.

    \b
    Example:
      concordat rehearse flights.agreement --rows 5000 --html rehearsal.html
    """
    signal.signal(signal.SIGTERM, _leave)
    agreement = load_agreed(file).agreement
    queries = _queries(agreement, names)
    people = {person.id: person.name for person in (*agreement.parties, *agreement.analysts)}
    with (
        tempfile.TemporaryDirectory(prefix="concordat-rehearsal-") as folder,
        Stage(Path(folder), people) as stage,
    ):
        outcome = rehearse(
            agreement,
            stage,
            rows=rows or _default_rows(agreement),
            seed=seed,
            queries=queries,
            tell=(lambda _: None) if as_json else note,
        )
    if page is not None:
        files.replace(page, rehearsal_page(agreement, outcome).encode())
    emit(as_json, outcome_facts(agreement, outcome), lambda out: render_outcome(agreement, outcome, out))
    _require_no_refusal(outcome)


def _queries(agreement: Agreement, names: tuple[str, ...]) -> tuple[str, ...]:
    """The queries to run, all of which the enclave would run. Raises for a name that is none."""
    known = [query.id for query in agreement.queries]
    if not known:
        raise AgreementError(
            "this agreement has no query to rehearse",
            hint="see what its keys let people do: `concordat agreement check`",
        )
    if unknown := [name for name in names if name not in known]:
        raise click.UsageError(f"there is no query {unknown[0]!r}; there are {', '.join(known)}")
    for query in agreement.queries:
        compile_query(agreement, query)
    return tuple(dict.fromkeys(names)) or tuple(known)


def _default_rows(agreement: Agreement) -> int:
    """Enough that groups of ordinary size pass the strictest threshold, and small ones do not."""
    thresholds = [dataset.threshold for dataset in agreement.datasets]
    for query in agreement.queries:
        noise = compile_query(agreement, query).noise
        thresholds += [] if noise is None else [floor.least for floor in noise.plan.thresholds]
    strictest = max(thresholds)
    return min(max(_ROWS_LEAST, _ROWS_PER_UNIT * strictest), _ROWS_MOST)


def _require_no_refusal(outcome: Outcome) -> None:
    for query in outcome.queries:
        if query.refusal:
            raise AgreementError(
                f"query {query.query} was not released: {query.refusal}",
                hint="try fewer --rows, or change the query or the limits of the agreement",
            )


def _leave(_number: int, _frame: FrameType | None) -> Never:
    """SIGTERM is Ctrl-C: the stage is left in order."""
    raise KeyboardInterrupt
