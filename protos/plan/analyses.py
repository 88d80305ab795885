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
from protos.plan.expressions import columns_of
from protos.plan.plan import Plan
from protos.plan.relations import DerivedSource, datasets_in, selections_in, sources_in


def require_rules(agreement: Agreement, query: Query, plan: Plan) -> None:
    """Every dataset's owner lets this query touch it; `QueryRefusedError` for the first that does not."""
    lists = {
        dataset.rules.opt_out.dataset: dataset.id
        for dataset in agreement.datasets
        if dataset.rules.opt_out is not None
    }
    for source in datasets_in(plan.sources):
        dataset = source.dataset
        if dataset.id in lists:
            raise QueryRefusedError(
                f"{dataset.id} is the opt-out list of {lists[dataset.id]}, and can be used by no query",
                hint=f"read other datasets, or take `opt_out` out of {lists[dataset.id]}",
            )
        _require_analysis(dataset, query, plan)
        _require_joined(dataset, plan)
        _require_receivers(dataset, query)
        _require_flat_if_bounded(dataset, plan)
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


def _require_joined(dataset: Dataset, plan: Plan) -> None:
    wanted = dataset.rules.joined_with
    if wanted is None or any(
        dataset.id in mine and others <= set(wanted)
        for left, right in _inner_joined(plan)
        for mine, others in ((left, right), (right, left))
    ):
        return
    names = " or ".join(wanted) or "nothing, so that no query can"
    raise QueryRefusedError(
        f"{dataset.owner} lets {dataset.id} be used only where it is inner-joined with {names}",
        hint=f"JOIN one of them on a column of {dataset.id}; only {dataset.owner} can change `joined_with`",
    )


def _inner_joined(plan: Plan) -> list[tuple[set[str], set[str]]]:
    """The datasets between whose columns an inner join demands equal values, also in derived tables.

    A column of a UNION ALL is of all the datasets that are pooled in it.
    """
    return [
        ({column.dataset for column in columns_of(left)}, {column.dataset for column in columns_of(right)})
        for source in sources_in(plan.sources)
        if source.join is not None and not source.join.is_left
        for left, right in source.join.equalities
    ]


def _require_flat_if_bounded(dataset: Dataset, plan: Plan) -> None:
    """Rows of a unit are bounded after all joins, which a derived table would come before."""
    if dataset.rules.max_rows_per_unit is None:
        return
    derived = [source.alias for source in plan.sources if isinstance(source, DerivedSource)]
    if derived:
        raise QueryRefusedError(
            f"{dataset.owner} bounds the rows of a unit in {dataset.id}, which is not done in a query with "
            f"derived tables such as {derived[0]}",
            hint=f"write the query without derived tables, or take `max_rows_per_unit` out of {dataset.id}",
        )


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
    """Nor in a derived table, where nothing may be done with it outside."""
    forbidden = {
        (source.dataset.id, name)
        for source in datasets_in(plan.sources)
        for name in source.dataset.rules.forbidden
    }
    made_of = [item.column.made_of for _, inner in selections_in(plan.sources) for item in inner.items]
    mentions = [
        *((usage.owner, usage.dataset, usage.column, usage.place) for usage in plan.usages),
        *(
            (column.owner, column.dataset, column.column, column.place)
            for part in made_of
            for column in part.values + part.conditions
        ),
    ]
    for owner, dataset, name, place in mentions:
        if (dataset, name) in forbidden:
            raise QueryRefusedError(
                f"{owner} has forbidden {dataset}.{name}: no query may mention it",
                place=place,
                hint=f"leave it out of the query; only {owner} can take it out of `forbidden`",
            )
