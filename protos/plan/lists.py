"""List queries: rows of one dataset for the units that are in another one as well, each row once.

    SELECT DISTINCT a.town AS town FROM a JOIN b ON a.id = b.id [WHERE …]

What leaves are single values, so every column needs the use `output`, and no dataset takes part whose owner
does not allow the analysis `list`. The thresholds hold for the whole list: it leaves with enough distinct
units of every dataset in the overlap, or not at all. Follows `protos/plan/README.md`, "Lists".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlglot import exp

from protos.plan.aggregates import is_aggregate, released_type
from protos.plan.errors import QueryRefusedError
from protos.plan.expressions import ColumnRef
from protos.plan.plan import Output
from protos.plan.relations import AnySource, Source
from protos.plan.scalars import ScalarReader
from protos.plan.syntax import place_of, require_only

_HINT: Final = "a list is SELECT DISTINCT of one dataset's columns, inner-joined with another dataset"


def is_list(select: exp.Select) -> bool:
    """Whether `select` asks for a list: it says DISTINCT, which nothing else may say."""
    return bool(select.args.get("distinct"))


def read_list(
    select: exp.Select, reader: ScalarReader, named: Mapping[str, exp.Expr], sources: tuple[AnySource, ...]
) -> tuple[Output, ...]:
    """The columns of the list. Raises `QueryRefusedError` for what is not one."""
    distinct, place = select.args["distinct"], place_of(select, reader.sql)
    require_only(distinct, sql=reader.sql)
    if not all(isinstance(source, Source) for source in sources):
        raise QueryRefusedError("a list of derived tables is not allowed", place=place, hint=_HINT)
    joins = [source.join for source in sources if source.join is not None]
    if not joins:
        raise QueryRefusedError("DISTINCT is not allowed without a join", place=place, hint=_HINT)
    if any(join.is_left for join in joins):
        raise QueryRefusedError("a list with LEFT JOIN is not allowed", place=place, hint=_HINT)
    if select.args.get("group"):
        raise QueryRefusedError("DISTINCT with GROUP BY is not allowed", place=place, hint=_HINT)
    columns = {name: _read_column(name, node, reader) for name, node in named.items()}
    tables = {column.dataset for column in columns.values()}
    if len(tables) > 1:
        raise QueryRefusedError(
            f"a list of columns of {' and '.join(sorted(tables))} is not allowed", place=place, hint=_HINT
        )
    return tuple(
        Output(name, "listed", column, released_type(column.type)) for name, column in columns.items()
    )


def _read_column(name: str, node: exp.Expr, reader: ScalarReader) -> ColumnRef:
    place = place_of(node, reader.sql)
    if any(is_aggregate(part) for part in node.walk()):
        raise QueryRefusedError(f"{name}: a list has no aggregates", place=place, hint=_HINT)
    expression = reader.read(node)
    if not isinstance(expression, ColumnRef):
        raise QueryRefusedError(f"{name}: a list shows columns as they are", place=place, hint=_HINT)
    return expression
