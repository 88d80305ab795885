"""Noise in the leak report's page: what privacy budgets promise, and how far off a query's figures are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from party_client.agreements.privacy_budgets import BudgetCheck
from party_client.cli.noise_text import choice_columns, choice_rows, error_rows, left_rows
from party_client.leak_report.noise_preview import NoisePreview
from party_client.pages import svg
from party_client.pages.document import bullets, facts, figure, listed, section, table
from party_client.pages.markup import Child, Markup, element
from party_client.pages.noise_picture import noise_picture, picture_caption


def budgets_section(budgets: Sequence[BudgetCheck], owners: Mapping[str, int]) -> list[Markup]:
    """Every owner's budget; no section where nobody has one."""
    if not budgets:
        return []
    shown = (_budget(budget, owners) for budget in budgets)
    return [section("privacy", "Privacy budgets, for all runs of one enclave", *shown)]


def _budget(budget: BudgetCheck, owners: Mapping[str, int]) -> Markup:
    # An owner of no dataset may have a budget as well, and has no colour.
    kind = svg.colour(owners[budget.owner]) if budget.owner in owners else ""
    swatch = element("span", {"class": f"owner {kind}".rstrip(), "aria-hidden": "true"})
    rows: list[list[Child]] = [list(row) for row in left_rows(budget)]
    return element(
        "div",
        None,
        element("h3", {"id": f"privacy-{budget.owner}"}, swatch, budget.owner),
        facts(
            [
                ("Epsilon", budget.epsilon),
                ("Delta", budget.delta),
                ("Noise", budget.noise),
                ("Protects units of", listed(budget.datasets) if budget.datasets else "no dataset"),
                ("Shared evenly over", f"{budget.runs_shared:,} runs with noise"),
            ]
        ),
        bullets(budget.sentences, "findings"),
        *(
            [
                table(
                    f"Privacy budget of {budget.owner}",
                    ["After", "Counts as epsilon", "Left"],
                    rows,
                    "numbers",
                )
            ]
            if rows
            else []
        ),
    )


def noise_part(sentences: Sequence[str], found: NoisePreview) -> list[Child]:
    """What is noisy in one query, by how much, and what other budgets would give."""
    errors: list[list[Child]] = [list(row) for row in error_rows(found.agreed)]
    others: list[list[Child]] = [list(row) for row in choice_rows(found)]
    owners = [cost.owner for cost in found.agreed.costs]
    head = ["Column", "What it is", "Standard deviation", "95 of 100 within", f"In a group of {found.rows:,}"]
    return [
        bullets(sentences, "findings"),
        table(f"How far off one run of {found.query} will be", head, errors, "numbers"),
        figure(
            noise_picture(found),
            picture_caption(found, owners),
            f"Picture of the noise of query {found.query}",
        ),
        table(f"The noise of {found.query} with other budgets", choice_columns(found), others, "numbers"),
    ]
