"""A rehearsal as one page, beside the leak report: what came out when every query ran on made-up data."""

from __future__ import annotations

from party_client.pages.document import bullets, code, facts, page, section, table
from party_client.pages.markup import Child, Markup, element
from protos.formats.agreement import Agreement
from scenarios.rehearsal.presentation import NOTICE, cells, facts_in_words
from scenarios.rehearsal.rehearse import Outcome, QueryOutcome


def rehearsal_page(agreement: Agreement, outcome: Outcome) -> str:
    """The page as text."""
    return page(
        f"Rehearsal: {agreement.title}",
        element(
            "header",
            None,
            element("p", {"class": "kicker"}, f"Rehearsal of agreement {agreement.id}"),
            element("h1", None, agreement.title),
            element("p", {"class": "lead"}, agreement.purpose),
            element("p", {"class": "banner"}, element("strong", None, "SYNTHETIC, SIMULATED."), " ", NOTICE),
            facts(
                [
                    (
                        "Digest of the agreement",
                        element("code", {"class": "digest"}, agreement.digest().hex()),
                    ),
                    (
                        "Made-up rows",
                        bullets([f"{name}: {rows:,}" for name, rows in outcome.rows.items()], "bare"),
                    ),
                    ("Seed", f"{outcome.seed}"),
                ]
            ),
        ),
        section(
            "differs",
            "In what it differs from the real agreement",
            element(
                "p", None, "Queries, datasets and rules are the very same. For the rehearsal, these stood in:"
            ),
            bullets(outcome.stand_in.changes),
        ),
        *map(_query, outcome.queries),
    )


def _query(query: QueryOutcome) -> Markup:
    rows: list[list[Child]] = [list(row) for row in cells(query)]
    columns = [name for name, _ in query.columns]
    shown: list[Child] = [facts([(name, value) for name, value in facts_in_words(query)])]
    if query.columns:
        types: list[Child] = [[code(name), " ", kind] for name, kind in query.columns]
        shown += [element("h3", None, "Columns"), bullets(types)]
    if rows:
        what = f"The first rows that query {query.query} released: SYNTHETIC"
        shown += [element("h3", None, "The first rows, SYNTHETIC"), table(what, columns, rows)]
    return section(f"query-{query.query}", f"Query {query.query}", *shown)
