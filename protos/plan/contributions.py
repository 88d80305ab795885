"""Which rows of a dataset enter a query: none of units that opted out, and so many of one unit and no more.

Opted-out units are taken out of the dataset before anything else, so that a result is what it would be if
they had never been in it. The bound of `max_rows_per_unit` holds after joins and WHERE, for the rows of every
owner's units at once, because a join can make one row into many. Which rows are kept follows from their
content alone: the first ones in the ascending order of all columns of the query's datasets, NULL last.

Writes SQL around the FROM of a statement; a query over datasets without such rules is written as ever.
Follows `protos/plan/README.md`, "Contributions".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from protos.plan.expressions import Aggregate, Reference, references_of
from protos.plan.plan import Plan
from protos.plan.quoting import quoted
from protos.plan.relations import Source

_BOUNDED = "_bounded"
_OPTED_OUT = "_opted_out"
_ALL = "_all"


def table_sql(source: Source) -> str:
    """The rows of a source that may enter a query, to stand before AS."""
    table, rule = quoted(source.dataset.id), source.dataset.rules.opt_out
    if rule is None:
        return table
    unit = f"{quoted(_ALL)}.{quoted(source.dataset.privacy_unit)}"
    opted_out = f"{quoted(_OPTED_OUT)}.{quoted(rule.column)}"
    return (
        f"(SELECT {quoted(_ALL)}.* FROM {table} AS {quoted(_ALL)} WHERE NOT EXISTS "  # noqa: S608
        f"(SELECT 1 FROM {quoted(rule.dataset)} AS {quoted(_OPTED_OUT)} WHERE {opted_out} = {unit}))"
    )


def bounded_sql(plan: Plan, joined: str) -> str:
    """`joined` is FROM and WHERE of the plan; the same with no more rows of a unit than its owner allows.

    The columns that the query needs keep their names: each source comes out as one struct of them.
    """
    # Where a dataset has a bound there are no derived tables: `analyses` refuses them together.
    tables = [source for source in plan.sources if isinstance(source, Source)]
    bounds = [
        (number, source, source.dataset.rules.max_rows_per_unit)
        for number, source in enumerate(tables)
        if source.dataset.rules.max_rows_per_unit is not None
    ]
    if not bounds:
        return joined
    needed: dict[str, dict[str, None]] = {source.alias: {} for source in tables}
    for column in _needed_after_join(plan):
        needed[column.source][column.column] = None
    for _, source, _ in bounds:
        needed[source.alias][source.dataset.privacy_unit] = None
    structs = [
        f"struct_pack({', '.join(f'{quoted(name)} := {_column(alias, name)}' for name in names)}) "
        f"AS {quoted(alias)}"
        for alias, names in needed.items()
        if names
    ]
    order = ", ".join(f"{column} ASC NULLS LAST" for column in _all_columns(tables))
    ranks = [
        f"row_number() OVER (PARTITION BY {_unit(source)} ORDER BY {order}) AS {quoted(_rank(number))}"
        for number, source, _ in bounds
    ]
    # A row in which a LEFT JOIN found nothing of this source is nobody's of it, and is not counted.
    kept = " AND ".join(
        f"({_unit(source)} IS NULL OR {quoted(_rank(number))} <= {most})" for number, source, most in bounds
    )
    inner = f"SELECT {', '.join([*structs, *ranks])}\n{joined}"
    return f"FROM ({inner}) AS {quoted(_BOUNDED)}\nWHERE {kept}"


def _needed_after_join(plan: Plan) -> Iterator[Reference]:
    for output in plan.outputs:
        expression = output.expression
        if not isinstance(expression, Aggregate):
            yield from references_of(expression)
        elif expression.argument is not None:
            yield from references_of(expression.argument)
    for part in (*plan.groups, *plan.supports):
        yield from references_of(part)
    yield from plan.counted


def _all_columns(sources: Iterable[Source]) -> Iterator[str]:
    """Without those that are forbidden: no query may look at them, and rows alike in all others are alike."""
    for source in sources:
        for column in source.dataset.columns:
            if column.name not in source.dataset.rules.forbidden:
                yield _column(source.alias, column.name)


def _unit(source: Source) -> str:
    return _column(source.alias, source.dataset.privacy_unit)


def _column(alias: str, name: str) -> str:
    return f"{quoted(alias)}.{quoted(name)}"


def _rank(number: int) -> str:
    return f"_rank_{number}"
