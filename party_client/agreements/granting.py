"""Which uses the queries of an agreement need beyond what is granted, and which grants none of them needs.

For owners who write their rules from the queries that they want to allow: it works although the enclave would
refuse the agreement as it stands. Everything follows from `smallest_grants`. Where owners have
privacy budgets, a query that no noise could be made for is refused here as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from party_client.agreements.errors import AgreementError
from party_client.agreements.grants import Grants, smallest_grants, together
from protos.formats.agreement import Agreement
from protos.formats.query import Query
from protos.formats.schema import Column, Dataset
from protos.plan import QueryRefusedError, compile_query


@dataclass(frozen=True)
class ColumnGrant:
    """One column whose uses are not exactly those that the queries need."""

    column: str
    granted: tuple[str, ...]
    missing: tuple[str, ...]
    """Needed by a query and not granted."""
    spare: tuple[str, ...]
    """Granted and needed by no query."""
    line: str
    """The column as it would stand in the TOML file with `missing` added and `spare` kept."""
    tight_line: str
    """The same without `spare`."""


@dataclass(frozen=True)
class DatasetGrants:
    """What one owner would change in one dataset; no columns: nothing."""

    owner: str
    dataset: str
    columns: tuple[ColumnGrant, ...]


@dataclass(frozen=True)
class RefusedQuery:
    """A query that no grant could allow."""

    query: str
    refusal: str
    hint: str | None


@dataclass(frozen=True)
class Granting:
    """The whole account."""

    queries: tuple[str, ...]
    """Those it is about."""
    is_complete: bool
    """Whether it is about all queries of the agreement and none was refused; only then is a grant spare."""
    datasets: tuple[DatasetGrants, ...]
    refused: tuple[RefusedQuery, ...]


def granting(agreement: Agreement, query_id: str | None = None) -> Granting:
    """The account for one query, or for all. Raises `AgreementError` when there is no such query."""
    queries = [query for query in agreement.queries if query_id in (None, query.id)]
    if not agreement.queries:
        raise AgreementError("this agreement has no queries, so it needs no grants")
    if not queries:
        names = ", ".join(query.id for query in agreement.queries)
        raise AgreementError(f"there is no query {query_id}", hint=f"the queries are {names}")
    needed: list[Grants] = []
    refused: list[RefusedQuery] = []
    for query in queries:
        found = _needed(agreement, query)
        if isinstance(found, RefusedQuery):
            refused.append(found)
            continue
        needed.append(found)
        if agreement.privacy and (why := _still_refused(agreement, query, found)) is not None:
            refused.append(why)
    is_complete = query_id is None and not refused
    needed += [
        {rule.dataset: {rule.column: frozenset({"opt_out"})}}
        for dataset in agreement.datasets
        if (rule := dataset.rules.opt_out) is not None
    ]
    return Granting(
        queries=tuple(query.id for query in queries),
        is_complete=is_complete,
        datasets=tuple(_datasets(agreement.datasets, together(needed), is_complete=is_complete)),
        refused=tuple(refused),
    )


def column_line(column: Column, uses: Iterable[str]) -> str:
    """The column as a line under `[datasets.columns]`, with `uses` in the place of its own."""
    fields = {**column.to_value(), "uses": sorted(uses)}
    left_out: tuple[object, ...] = (None, False, "none", [])
    shown = {key: value for key, value in fields.items() if key != "name" and value not in left_out}
    return f"{column.name} = {_toml(shown)}"


def _toml(value: object) -> str:
    """A value inside an inline table."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.items())} }}"
    return json.dumps(value)


def _needed(agreement: Agreement, query: Query) -> Grants | RefusedQuery:
    try:
        return smallest_grants(agreement.datasets, query)
    except QueryRefusedError as error:
        return RefusedQuery(query.id, error.message, error.hint)


def _still_refused(agreement: Agreement, query: Query, needed: Grants) -> RefusedQuery | None:
    """Why the query would not run even with all grants: noise has its own demands, which no grant meets."""
    datasets = tuple(
        replace(
            dataset,
            columns=tuple(
                replace(
                    column,
                    uses=column.uses | needed.get(dataset.id, {}).get(column.name, frozenset()),
                )
                for column in dataset.columns
            ),
        )
        for dataset in agreement.datasets
    )
    try:
        compile_query(replace(agreement, datasets=datasets), query)
    except QueryRefusedError as error:
        return RefusedQuery(query.id, error.message, error.hint)
    return None


def _datasets(datasets: Sequence[Dataset], needed: Grants, *, is_complete: bool) -> Iterable[DatasetGrants]:
    for dataset in datasets:
        columns = [
            _column(column, needed.get(dataset.id, {}).get(column.name, frozenset()), is_complete=is_complete)
            for column in dataset.columns
        ]
        changed = tuple(column for column in columns if column.missing or column.spare)
        yield DatasetGrants(dataset.owner, dataset.id, changed)


def _column(column: Column, needed: frozenset[str], *, is_complete: bool) -> ColumnGrant:
    spare = column.uses - needed if is_complete else frozenset()
    return ColumnGrant(
        column=column.name,
        granted=tuple(sorted(column.uses)),
        missing=tuple(sorted(needed - column.uses)),
        spare=tuple(sorted(spare)),
        line=column_line(column, column.uses | needed),
        tight_line=column_line(column, (column.uses | needed) - spare),
    )
