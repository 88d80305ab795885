"""The smallest grants that let a query run: for each column, the uses that the query puts it to, and no more.

Works from the text and the shape of the datasets alone, whatever is granted so far, so that owners can write
their rules from the queries that they want to allow. What no grant could allow is refused as it is in
`compile_query`. Pure; `protos/plan/README.md`, "Rules".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from protos.formats.query import Query
from protos.formats.schema import Dataset
from protos.plan.compiler import usages_of

Grants: TypeAlias = Mapping[str, Mapping[str, frozenset[str]]]
"""Uses by dataset and column."""


def smallest_grants(datasets: Iterable[Dataset], query: Query) -> Grants:
    """What `query` needs. Without any one of these uses it is refused. Raises `QueryRefusedError`."""
    needed: dict[str, dict[str, frozenset[str]]] = {}
    for usage in usages_of(datasets, query):
        columns = needed.setdefault(usage.dataset, {})
        columns[usage.column] = columns.get(usage.column, frozenset()) | {usage.use}
    return needed


def together(grants: Iterable[Grants]) -> Grants:
    """What several queries need together."""
    needed: dict[str, dict[str, frozenset[str]]] = {}
    for grant in grants:
        for dataset, columns in grant.items():
            known = needed.setdefault(dataset, {})
            for column, uses in columns.items():
                known[column] = known.get(column, frozenset()) | uses
    return needed
