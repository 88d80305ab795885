"""Turns a query's text into a plan that the owners' rules allow, or says why not.

Reads text that somebody else wrote and everybody signed; raises `QueryRefusedError` and nothing else. The
steps: read, resolve sources, read expressions, apply the rules. Follows `protos/plan/README.md`.
Refused until the grammar grows: arithmetic on aggregates, FILTER, subqueries in expressions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from sqlglot import exp

from protos.formats.agreement import Agreement
from protos.formats.query import Query
from protos.formats.schema import Dataset
from protos.plan.aggregates import is_aggregate, read_aggregate, released_type
from protos.plan.analyses import require_rules
from protos.plan.errors import QueryRefusedError
from protos.plan.expressions import Expression
from protos.plan.lists import is_list, read_list
from protos.plan.noise import plan_of_noise
from protos.plan.outputs import named_outputs, read_groups
from protos.plan.plan import Output, Plan, Usage
from protos.plan.rules import Mention, allowed_mentions, require_granted, thresholds_of, usages_in
from protos.plan.scalars import ScalarReader
from protos.plan.selections import read_derived
from protos.plan.sources import read_sources
from protos.plan.statement import Statement
from protos.plan.syntax import place_of, read_select_untrusted, refuse


def compile_query(agreement: Agreement, query: Query) -> Plan:
    """The plan of `query` under `agreement`'s rules. Raises `QueryRefusedError`."""
    with _about(query):
        plan, mentions = _read(agreement.datasets, query)
        require_granted(mentions)
        require_rules(agreement, query, plan)
        return replace(plan, noise=plan_of_noise(agreement, query, plan))


def usages_of(datasets: Iterable[Dataset], query: Query) -> tuple[Usage, ...]:
    """What `query` does with whose columns, granted or not.

    Raises `QueryRefusedError` for what no grant would allow.
    """
    with _about(query):
        plan, _ = _read(datasets, query)
        return plan.usages


@contextmanager
def _about(query: Query) -> Iterator[None]:
    try:
        yield
    except QueryRefusedError as refusal:
        raise refusal.in_query(query.id) from refusal


def _read(datasets: Iterable[Dataset], query: Query) -> tuple[Plan, tuple[Mention, ...]]:
    """What `query` is, held against everything but the grants."""
    select, named_queries = read_select_untrusted(query.sql)
    statement = Statement(
        query.sql,
        datasets={dataset.id: dataset for dataset in datasets},
        parameters={parameter.name: parameter for parameter in query.parameters},
        named=named_queries,
        many_to_many=query.many_to_many,
        read_derived=read_derived,
    )
    scope = read_sources(select, statement)
    sources = tuple(scope.sources)
    reader = ScalarReader(scope, statement)
    where = reader.read_condition(select.args["where"].this) if select.args.get("where") else None
    named = named_outputs(select, reader)
    groups = read_groups(select, reader, named)
    if is_list(select):
        outputs = read_list(select, reader, named, sources)
    else:
        outputs = tuple(_read_output(name, node, reader, groups) for name, node in named.items())
    statement.require_all_used()
    mentions = allowed_mentions(sources, where, groups, outputs)
    plan = Plan(
        query=query.id,
        sources=sources,
        where=where,
        groups=groups,
        outputs=outputs,
        parameters=query.parameters,
        thresholds=thresholds_of(sources),
        usages=usages_in(mentions),
    )
    return plan, mentions


def _read_output(name: str, node: exp.Expr, reader: ScalarReader, groups: tuple[Expression, ...]) -> Output:
    if is_aggregate(node):
        aggregate = read_aggregate(reader, node)
        return Output(name, "aggregate", aggregate, released_type(aggregate.type))
    if any(isinstance(part, exp.Window) for part in node.walk()):
        raise QueryRefusedError(
            f"{name}: a window function is not allowed in the outermost SELECT",
            place=place_of(node, reader.sql),
            hint="windows stand in a derived table, over the rows of one unit; aggregate over it",
        )
    if isinstance(node, exp.Filter):
        raise refuse(node, reader.sql, hint="write COUNT(CASE WHEN condition THEN value END)")
    if any(is_aggregate(part) for part in node.walk()):
        raise QueryRefusedError(
            f"{name}: arithmetic on aggregates is not allowed",
            place=place_of(node, reader.sql),
            hint="output each aggregate and compute at the receiver",
        )
    expression = reader.read(node)
    if expression not in groups:
        raise QueryRefusedError(
            f"{name} is neither an aggregate nor in GROUP BY",
            place=place_of(node, reader.sql),
            hint="rows never leave as they are; aggregate it or group by it",
        )
    return Output(name, "group", expression, released_type(expression.type))
