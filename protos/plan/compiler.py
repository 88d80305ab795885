"""Turns a query's text into a plan that the owners' rules allow, or says why not.

Reads text that somebody else wrote and everybody signed; raises `QueryRefusedError` and nothing else. The
steps: read, resolve sources, read expressions, apply the rules. Follows `protos/plan/README.md`.
Refused until the grammar grows: arithmetic on aggregates, FILTER, HAVING, subqueries, UNION.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from sqlglot import exp

from protos.formats.agreement import Agreement
from protos.formats.query import Query
from protos.plan.aggregates import is_aggregate, read_aggregate, released_type
from protos.plan.analyses import require_rules
from protos.plan.errors import QueryRefusedError
from protos.plan.expressions import Expression, columns_of
from protos.plan.lists import is_list, read_list
from protos.plan.plan import Output, Plan
from protos.plan.rules import allow_usages, thresholds_of
from protos.plan.scalars import ScalarReader
from protos.plan.sources import name_in, read_sources
from protos.plan.syntax import place_of, read_select_untrusted, refuse, require_only

OUTPUTS_MAX: Final = 200
_OUTPUT_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def compile_query(agreement: Agreement, query: Query) -> Plan:
    """The plan of `query` under `agreement`'s rules. Raises `QueryRefusedError`."""
    try:
        return _compile(agreement, query)
    except QueryRefusedError as refusal:
        raise refusal.in_query(query.id) from refusal


def _compile(agreement: Agreement, query: Query) -> Plan:
    select = read_select_untrusted(query.sql)
    datasets = {dataset.id: dataset for dataset in agreement.datasets}
    scope = read_sources(select, datasets, query.sql, many_to_many=query.many_to_many)
    sources = tuple(scope.sources)
    reader = ScalarReader(scope, {parameter.name: parameter for parameter in query.parameters})

    where = reader.read_condition(select.args["where"].this) if select.args.get("where") else None
    named = _named_outputs(select, reader)
    groups = _read_groups(select, reader, named)
    if is_list(select):
        outputs = read_list(select, reader, named, sources)
    else:
        outputs = tuple(_read_output(name, node, reader, groups) for name, node in named.items())
    if unused := sorted(reader.unused_parameters):
        raise QueryRefusedError(
            f"the query never uses ${unused[0]}", hint="take the parameter out of the agreement, or use it"
        )
    plan = Plan(
        query=query.id,
        sources=sources,
        where=where,
        groups=groups,
        outputs=outputs,
        parameters=query.parameters,
        thresholds=thresholds_of(sources),
        usages=allow_usages(sources, where, groups, outputs),
    )
    require_rules(agreement, query, plan)
    return plan


def _named_outputs(select: exp.Select, reader: ScalarReader) -> dict[str, exp.Expr]:
    """The SELECT list by name, in order. A plain column is named after itself."""
    if len(select.expressions) > OUTPUTS_MAX:
        raise QueryRefusedError(f"got {len(select.expressions)} outputs, expected at most {OUTPUTS_MAX}")
    named: dict[str, exp.Expr] = {}
    for node in select.expressions:
        if isinstance(node, exp.Alias):
            name, inner = name_in(node.args["alias"]), node.this
        elif isinstance(node, exp.Column) and isinstance(node.this, exp.Identifier):
            name, inner = name_in(node.this), node
        elif isinstance(node, exp.Star | exp.Column):
            raise refuse(node, reader.sql, hint="name what leaves, column by column")
        else:
            raise reader.mismatch(node, "an output without a name", hint="write … AS name")
        if not _OUTPUT_NAME.fullmatch(name):
            raise reader.mismatch(
                node,
                f"{name[:64]!r} is not a name for an output",
                hint="lower-case letters, digits and underscores, a letter first, at most 63",
            )
        if name in named:
            raise reader.mismatch(node, f"two outputs are called {name}")
        named[name] = inner
    return named


def _read_groups(
    select: exp.Select, reader: ScalarReader, named: Mapping[str, exp.Expr]
) -> tuple[Expression, ...]:
    clause = select.args.get("group")
    if clause is None:
        return ()
    require_only(clause, "expressions", sql=reader.sql)
    found: dict[Expression, None] = {}
    for node in clause.expressions:
        group = reader.read(_meant_output(node, reader, named))
        if not columns_of(group):
            raise reader.mismatch(node, "GROUP BY needs an expression of columns")
        found[group] = None
    return tuple(found)


def _meant_output(node: exp.Expr, reader: ScalarReader, named: Mapping[str, exp.Expr]) -> exp.Expr:
    """What a GROUP BY item stands for: a number or a name may mean an output, as in the engine's SQL."""
    if isinstance(node, exp.Literal) and not node.is_string:
        position = int(node.this) if str(node.this).isdigit() else 0
        if not 1 <= position <= len(named):
            raise reader.mismatch(node, f"GROUP BY {str(node.this)[:20]}: there are {len(named)} outputs")
        meant = list(named.values())[position - 1]
    elif isinstance(node, exp.Column) and not node.args.get("table") and name_in(node.this) in named:
        meant = named[name_in(node.this)]
        if _is_column_elsewhere(node, meant, reader):
            raise reader.mismatch(
                node,
                f"GROUP BY {name_in(node.this)} could mean a column or the output of that name",
                hint="give the output another name",
            )
    else:
        return node
    if is_aggregate(meant):
        raise reader.mismatch(node, "GROUP BY cannot name an aggregate")
    return meant


def _is_column_elsewhere(node: exp.Column, meant: exp.Expr, reader: ScalarReader) -> bool:
    name = name_in(node.this)
    sources = [
        source for source in reader.scope.sources if any(c.name == name for c in source.dataset.columns)
    ]
    if not sources:
        return False
    return not (isinstance(meant, exp.Column) and name_in(meant.this) == name)


def _read_output(name: str, node: exp.Expr, reader: ScalarReader, groups: tuple[Expression, ...]) -> Output:
    if is_aggregate(node):
        aggregate = read_aggregate(reader, node)
        return Output(name, "aggregate", aggregate, released_type(aggregate.type))
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
