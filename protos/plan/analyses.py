"""Holds a compiled query against the rules of every dataset that it reads; the strictest wins.

The uses of columns have been checked before (`protos/plan/rules.py`); here are the rules about the query as a
whole: its kind, its joins, its receivers, and columns that nobody may mention. Each rule can only refuse.
Raises `QueryRefusedError` that names the rule, its owner and what would have to change. Follows
`protos/plan/README.md`, "Rules of a dataset".
"""

from __future__ import annotations

from protos.formats.agreement import Agreement
from protos.formats.query import Query
from protos.formats.schema import Dataset
from protos.plan.errors import QueryRefusedError
from protos.plan.plan import Plan
from protos.plan.sources import Source


def require_rules(agreement: Agreement, query: Query, plan: Plan) -> None:
    """Every dataset's owner lets this query touch it; `QueryRefusedError` for the first that does not."""
    lists = {
        dataset.rules.opt_out.dataset: dataset.id
        for dataset in agreement.datasets
        if dataset.rules.opt_out is not None
    }
    for source in plan.sources:
        dataset = source.dataset
        if dataset.id in lists:
            raise QueryRefusedError(
                f"{dataset.id} is the opt-out list of {lists[dataset.id]}, and can be used by no query",
                hint=f"read other datasets, or take `opt_out` out of {lists[dataset.id]}",
            )
        _require_analysis(dataset, query, plan)
        _require_joined(source, plan)
        _require_receivers(dataset, query)
    _require_not_forbidden(plan)


def _require_analysis(dataset: Dataset, query: Query, plan: Plan) -> None:
    rules, owner = dataset.rules, dataset.owner
    if "custom" in rules.analyses:
        if not {query.id, query.digest().hex()} & set(rules.only_queries):
            raise QueryRefusedError(
                f"{owner} lets {dataset.id} be used by the queries of its `only_queries` alone",
                hint=f"only {owner} can add {query.id} (digest {query.digest().hex()}) to `only_queries`",
            )
        return
    if plan.analysis not in rules.analyses:
        allowed = " and ".join(rules.analyses) or "none"
        raise QueryRefusedError(
            f"this is a query of the kind {plan.analysis}; {owner} allows for {dataset.id}: {allowed}",
            hint=f"only {owner} can add {plan.analysis!r} to `analyses` of {dataset.id}",
        )


def _require_joined(source: Source, plan: Plan) -> None:
    dataset, wanted = source.dataset, source.dataset.rules.joined_with
    if wanted is None or any(
        {source.alias, other.alias} in _inner_joined(plan)
        for other in plan.sources
        if other.dataset.id in wanted
    ):
        return
    names = " or ".join(wanted) or "nothing, so that no query can"
    raise QueryRefusedError(
        f"{dataset.owner} lets {dataset.id} be used only where it is inner-joined with {names}",
        hint=f"JOIN one of them on a column of {dataset.id}; only {dataset.owner} can change `joined_with`",
    )


def _inner_joined(plan: Plan) -> list[set[str]]:
    """Pairs of sources between which an inner join demands equal values."""
    return [
        {left.source, right.source}
        for source in plan.sources
        if source.join is not None and not source.join.is_left
        for left, right in source.join.equalities
    ]


def _require_receivers(dataset: Dataset, query: Query) -> None:
    allowed = dataset.rules.receivers
    if allowed is None:
        return
    if beyond := sorted(set(query.receivers) - set(allowed)):
        raise QueryRefusedError(
            f"{dataset.owner} lets results over {dataset.id} go to {', '.join(allowed) or 'nobody'}, "
            f"not to {', '.join(beyond)}",
            hint=f"take {', '.join(beyond)} out of the query's receivers; only {dataset.owner} can add to "
            f"`receivers` of {dataset.id}",
        )


def _require_not_forbidden(plan: Plan) -> None:
    forbidden = {
        (source.dataset.id, name) for source in plan.sources for name in source.dataset.rules.forbidden
    }
    for usage in plan.usages:
        if (usage.dataset, usage.column) in forbidden:
            raise QueryRefusedError(
                f"{usage.owner} has forbidden {usage.dataset}.{usage.column}: no query may mention it",
                place=usage.place,
                hint=f"leave it out of the query; only {usage.owner} can take it out of `forbidden`",
            )
