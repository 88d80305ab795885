"""What an agreement lets happen, worked out before anybody signs it.

The queries are compiled by the very code that the enclave runs, and everything said here comes from those
plans and from the agreement's own values, never from its title or purpose. The text comes from another
organisation; a query that the enclave would refuse is reported with its reason. A roots argument says which
roots of trust the reader believes; any other is called unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from party_client.agreements.derived_tables import derived_sentences
from party_client.agreements.inference import agreement_warnings, query_inferences
from party_client.agreements.key_services import (
    key_service_sentences,
    key_service_warnings,
    state_sentence,
)
from party_client.agreements.keys_text import KeyCheck, key_checks
from party_client.agreements.noisy_queries import noise_sentences
from party_client.agreements.plain_language import (
    DOINGS,
    output_sentences,
    parameter_sentence,
    window_sentences,
)
from party_client.agreements.privacy_budgets import BudgetCheck, budget_checks, owners_with_budget
from party_client.agreements.releases import (
    AWS,
    EMULATOR,
    ReleaseCheck,
    check_release,
    quorum_sentence,
    release_warnings,
)
from party_client.agreements.rules_text import rule_sentences
from party_client.agreements.validity import Validity, validity
from party_client.attestation import Anchors
from protos.formats.agreement import Agreement
from protos.formats.query import Query
from protos.plan import Plan, QueryRefusedError, compile_query


@dataclass(frozen=True)
class ColumnUse:
    """One way in which a query uses one column, and the grant of its owner that lets it."""

    owner: str
    dataset: str
    column: str
    use: str
    doing: str
    """`use` in words."""
    places: tuple[str, ...]
    """Where in the query's text."""
    rule: str
    """The grant in words: "shop lets customers.region be used for group"."""


@dataclass(frozen=True)
class UnitsCounted:
    """Whose distinct privacy units are counted behind every row, and how many there must be."""

    owner: str
    dataset: str
    unit: str
    asked_units: int
    """By the owner."""
    required_units: int
    """In this query: the strictest of all owners."""


@dataclass(frozen=True)
class QueryCheck:
    """What one query does. With a `refusal`, the enclave would not run it and the rest is empty."""

    id: str
    sql: str
    run_by: tuple[str, ...]
    receivers: tuple[str, ...]
    max_runs: int
    windows: tuple[str, ...]
    """How many runs there may be in which time, beside `max_runs`."""
    parameters: tuple[str, ...]
    analysis: str = ""
    """`aggregation` or `list`."""
    uses: tuple[ColumnUse, ...] = ()
    derived: tuple[str, ...] = ()
    """What it computes on the way, in derived tables."""
    leaves: tuple[str, ...] = ()
    thresholds: tuple[UnitsCounted, ...] = ()
    noise: tuple[str, ...] = ()
    """What is noisy in it, and which groups are shown; empty: results are exact."""
    inferences: tuple[str, ...] = ()
    refusal: str | None = None
    hint: str | None = None


@dataclass(frozen=True)
class DatasetCheck:
    """What an owner brings: which columns every query together uses, and which travel unused."""

    owner: str
    id: str
    privacy_unit: str
    threshold: int
    used: tuple[str, ...]
    unused: tuple[str, ...]
    """Sealed and sent like the others, although no query needs them."""
    rules: tuple[str, ...]
    """What the owner rules, in words."""
    under_key: tuple[str, ...] = ()
    """What it means that it may be sealed under a key in the owner's KMS; empty: it may not."""


@dataclass(frozen=True)
class Check:
    """Everything a person should know before signing."""

    agreement: Agreement
    validity: Validity
    releases: tuple[ReleaseCheck, ...]
    queries: tuple[QueryCheck, ...]
    datasets: tuple[DatasetCheck, ...]
    keys: tuple[KeyCheck, ...]
    """Keys that the enclave makes and keeps, and what they let their users do."""
    budgets: tuple[BudgetCheck, ...]
    """Of owners who let no exact result of their data leave."""
    warnings: tuple[str, ...]
    """About the agreement as a whole."""
    releases_changed_by: str
    """Who may accept other releases or end some, in words."""
    plans: Mapping[str, Plan]
    """What every query that is not refused was compiled to, by its id."""
    state: str | None = None
    """How an enclave's state may outlive it, in words; None: it ends with the enclave."""

    @property
    def releases_not_aws(self) -> tuple[ReleaseCheck, ...]:
        """Releases that something else than AWS's root vouches for, or nothing that the reader believes."""
        return tuple(release for release in self.releases if release.kind != AWS)

    @property
    def is_unsigned_emulator(self) -> bool:
        """Whether it accepts, perhaps beside others, an emulator whose documents nobody signs."""
        return any(release.kind == EMULATOR for release in self.releases)

    @property
    def refused(self) -> tuple[QueryCheck, ...]:
        """Queries that the enclave would refuse."""
        return tuple(query for query in self.queries if query.refusal is not None)


def check(agreement: Agreement, *, now: datetime, roots: Anchors) -> Check:
    """The account of `agreement` at `now`, for somebody who believes `roots`."""
    compiled = [_compile(agreement, query) for query in agreement.queries]
    plans = [plan for plan in compiled if isinstance(plan, Plan)]
    releases = tuple(check_release(release, roots) for release in agreement.releases)
    return Check(
        agreement=agreement,
        validity=validity(agreement, now=now),
        releases=releases,
        queries=tuple(
            _query(agreement, query, plan) for query, plan in zip(agreement.queries, compiled, strict=True)
        ),
        datasets=tuple(_datasets(agreement, plans)),
        keys=key_checks(agreement),
        budgets=budget_checks(agreement, plans),
        warnings=(
            *agreement_warnings(agreement, plans, {release.kind for release in releases}),
            *release_warnings(agreement),
            *key_service_warnings(agreement),
        ),
        state=state_sentence(agreement),
        releases_changed_by=quorum_sentence(agreement),
        plans={plan.query: plan for plan in plans},
    )


def _compile(agreement: Agreement, query: Query) -> Plan | QueryRefusedError:
    try:
        return compile_query(agreement, query)
    except QueryRefusedError as error:
        return error


def _query(agreement: Agreement, query: Query, plan: Plan | QueryRefusedError) -> QueryCheck:
    head = QueryCheck(
        id=query.id,
        sql=query.sql,
        run_by=query.run_by,
        receivers=query.receivers,
        max_runs=min(query.max_runs, agreement.limits.max_runs),
        windows=window_sentences(query),
        parameters=tuple(parameter_sentence(parameter) for parameter in query.parameters),
    )
    if isinstance(plan, QueryRefusedError):
        return replace(head, refusal=plan.message, hint=plan.hint)
    return replace(
        head,
        analysis=plan.analysis,
        uses=tuple(_uses(plan)),
        derived=tuple(derived_sentences(plan)),
        leaves=output_sentences(plan),
        thresholds=tuple(_thresholds(plan)),
        noise=tuple(noise_sentences(agreement, plan)),
        inferences=query_inferences(agreement, query, plan),
    )


def _uses(plan: Plan) -> Iterable[ColumnUse]:
    """One entry for each owner, column and use, however often the text mentions it."""
    places: dict[tuple[str, str, str, str], list[str]] = {}
    rules: dict[tuple[str, str, str, str], str] = {}
    for usage in plan.usages:
        key = (usage.owner, usage.dataset, usage.column, usage.use)
        places.setdefault(key, []).extend([str(usage.place)] if usage.place else [])
        rules[key] = usage.rule
    for owner, dataset, column, use in sorted(places):
        where = tuple(dict.fromkeys(places[owner, dataset, column, use]))
        rule = rules[owner, dataset, column, use]
        yield ColumnUse(owner, dataset, column, use, DOINGS[use], where, rule)


def _thresholds(plan: Plan) -> Iterable[UnitsCounted]:
    for threshold in plan.thresholds:
        yield UnitsCounted(
            owner=threshold.owner,
            dataset=threshold.dataset,
            unit=threshold.unit.column,
            asked_units=threshold.own_units,
            required_units=threshold.required_units,
        )


def _datasets(agreement: Agreement, plans: list[Plan]) -> Iterable[DatasetCheck]:
    mentioned = {(usage.dataset, usage.column) for plan in plans for usage in plan.usages}
    counted = {(threshold.dataset, threshold.unit.column) for plan in plans for threshold in plan.thresholds}
    opt_outs = {
        (rule.dataset, rule.column)
        for dataset in agreement.datasets
        if (rule := dataset.rules.opt_out) is not None
    }
    for dataset in agreement.datasets:
        needed = mentioned | counted | opt_outs | {(dataset.id, name) for name in dataset.unique}
        names = [column.name for column in dataset.columns]
        yield DatasetCheck(
            owner=dataset.owner,
            id=dataset.id,
            privacy_unit=dataset.privacy_unit,
            threshold=dataset.threshold,
            used=tuple(name for name in names if (dataset.id, name) in needed),
            unused=tuple(name for name in names if (dataset.id, name) not in needed),
            rules=rule_sentences(dataset, has_budget=dataset.owner in owners_with_budget(agreement)),
            under_key=key_service_sentences(dataset),
        )
