"""Window functions: a closed list, in derived tables only, and only over the rows of one unit.

PARTITION BY holds the privacy unit of every dataset in the SELECT, so that nobody's row says anything about
another person's. What depends on the order of rows needs an order that is settled: by a unique key, or by
every column that the SELECT reads. Raises `QueryRefusedError`; follows `protos/plan/README.md`, "Windows".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlglot import exp

from protos.plan.aggregates import aggregate_type, is_plain, supports_of
from protos.plan.arithmetic import constant_int
from protos.plan.clamps import clamped
from protos.plan.errors import QueryRefusedError
from protos.plan.expressions import (
    Aggregate,
    ColumnRef,
    DerivedRef,
    Expression,
    Reference,
    Standing,
    references_of,
)
from protos.plan.relations import TIE_BREAKERS, Item, Ordering, Window
from protos.plan.scalars import ScalarReader
from protos.plan.sources import Scope
from protos.plan.syntax import place_of, refuse, require_only
from protos.plan.units import UnitInScope, name_of
from protos.plan.values import BOOL, INT64, SUM_MAX_DIGITS, ValueType, decimal

_OFFSET_MAX_ROWS: Final = 1_000
_NUMBERS: Final[dict[type[exp.Expr], str]] = {
    exp.DenseRank: "dense_rank",
    exp.Rank: "rank",
    exp.RowNumber: "row_number",
}
_VALUES: Final[dict[type[exp.Expr], str]] = {
    exp.FirstValue: "first_value",
    exp.Lag: "lag",
    exp.Lead: "lead",
}
_AGGREGATES: Final[dict[type[exp.Expr], str]] = {
    exp.Avg: "avg",
    exp.Count: "count",
    exp.Max: "max",
    exp.Min: "min",
    exp.Sum: "sum",
}
_NEED_ORDER: Final = frozenset({"dense_rank", "first_value", "lag", "lead", "rank", "row_number"})


def read_window(
    reader: ScalarReader, node: exp.Window, units: tuple[UnitInScope, ...]
) -> tuple[Window, tuple[Expression, ...], Standing]:
    """The window function that `node` is, its supports, and how it may stand in an aggregate."""
    if node.args.get("spec") is not None:
        raise reader.mismatch(
            node, "a window with ROWS or RANGE is not allowed", hint="leave it out: up to the current row"
        )
    require_only(node, "this", "partition_by", "order", "over", sql=reader.sql)
    function = _function_of(reader, node)
    argument, offset = _arguments(reader, node, function)
    partition = tuple(_column(reader, part) for part in node.args.get("partition_by") or [])
    for unit in units:
        dataset = unit.dataset
        if unit.may_miss:
            raise reader.mismatch(
                node,
                f"a window over rows of which some may be of no {dataset.id}.{dataset.privacy_unit}",
                hint="a row would carry another row's value without its unit; put the window into a derived "
                "table of its own, before the LEFT JOIN or the UNION ALL",
            )
        if not unit.is_fixed_by(partition):
            raise reader.mismatch(
                node,
                f"a window is over the rows of one unit, and PARTITION BY lacks "
                f"{dataset.id}.{dataset.privacy_unit}, the privacy unit of {dataset.owner}",
                hint=f"write PARTITION BY {dataset.privacy_unit}",
            )
    order = _order(reader, node)
    if function in _NEED_ORDER and not order:
        raise reader.mismatch(node, f"{function} needs ORDER BY in its window")
    if argument is not None:
        argument = clamped(function, argument)
    supports = () if argument is None else supports_of(argument)
    # A row of a unit without a value counts zero: as an ELSE 0, that is not somebody's value.
    standing: Standing = "alone" if function == "count" and supports else "freely"
    kind = _type(reader, node, function, argument)
    return Window(function, argument, offset, partition, order, kind), supports, standing


def require_settled(
    select: exp.Select, scope: Scope, items: Iterable[Item], units: tuple[UnitInScope, ...], sql: str
) -> tuple[Reference, ...]:
    """What tells rows apart at last in windows that have to; empty when a unique key does already.

    Without a key every column that the SELECT reads has to be in the windows' order, all alike: rows that are
    still equal then are equal in everything that is seen of them, and only hidden columns remain.
    """
    windows = [item.expression for item in items if isinstance(item.expression, Window)]
    unsettled = [
        window for window in windows if window.function in TIE_BREAKERS and not _has_key(window, scope)
    ]
    if not unsettled:
        return ()
    place = place_of(select, sql)
    if len({(window.partition, window.order) for window in unsettled}) > 1:
        raise QueryRefusedError(
            "windows with different orders, none of them settled by a unique key",
            place=place,
            hint="order by the columns of a dataset's `unique` key as well",
        )
    listed = set(map(name_of, _keys_of(unsettled[0])))
    read = [reference for item in items for reference in _references(item)]
    for reference in read:
        if name_of(reference) not in listed:
            raise QueryRefusedError(
                f"{unsettled[0].function} depends on the order of rows that ORDER BY leaves equal: "
                f"{reference.source}.{reference.column} is not in it",
                place=place,
                hint="order by a dataset's whole `unique` key, or by every column that this SELECT reads",
            )
    hidden = [
        DerivedRef(reference.source, name, BOOL, nullable=True)
        for reference in read
        if isinstance(reference, DerivedRef)
        for name in reference.supports
    ]
    return tuple(dict.fromkeys([*hidden, *(unit.reference for unit in units)]))


def _function_of(reader: ScalarReader, node: exp.Window) -> str:
    for table in (_NUMBERS, _VALUES, _AGGREGATES):
        if type(node.this) in table:
            return table[type(node.this)]
    raise refuse(
        node.this,
        reader.sql,
        hint="of window functions there are row_number, rank, dense_rank, lag, lead, first_value, sum, "
        "count, avg, min and max",
    )


def _arguments(reader: ScalarReader, node: exp.Window, function: str) -> tuple[Expression | None, int]:
    call = node.this
    require_only(call, "this", "offset", "big_int", sql=reader.sql)
    if function in _NUMBERS.values():
        if call.this:
            raise refuse(call, reader.sql, hint=f"{function}() has no argument")
        return None, 0
    if not isinstance(call.this, exp.Expr) or isinstance(call.this, exp.Star | exp.Distinct):
        if function == "count" and isinstance(call.this, exp.Star):
            return None, 0
        raise refuse(call, reader.sql)
    argument = reader.read(call.this)
    if not references_of(argument) or not is_plain(argument):
        raise reader.mismatch(
            node,
            f"{function} over a window needs an expression of columns, without conditions",
            hint="give the condition a SELECT of its own inside this one",
        )
    offset = call.args.get("offset")
    if offset is None:
        return argument, 1 if function in ("lag", "lead") else 0
    return argument, constant_int(reader, offset, what=function, low=1, high=_OFFSET_MAX_ROWS)


def _order(reader: ScalarReader, node: exp.Window) -> tuple[Ordering, ...]:
    order = node.args.get("order")
    if order is None:
        return ()
    require_only(order, "expressions", sql=reader.sql)
    found: list[Ordering] = []
    for part in order.expressions:
        require_only(part, "this", "desc", "nulls_first", sql=reader.sql)
        key = _column(reader, part.this)
        found.append(Ordering(key, bool(part.args.get("desc")), bool(part.args.get("nulls_first"))))
    return tuple(found)


def _column(reader: ScalarReader, node: exp.Expr) -> Reference:
    column = reader.read(node)
    if not isinstance(column, ColumnRef | DerivedRef):
        raise reader.mismatch(
            node, "windows are partitioned and ordered by columns", hint="compute it in a SELECT inside"
        )
    return column


def _type(reader: ScalarReader, node: exp.Window, function: str, argument: Expression | None) -> ValueType:
    if argument is None:
        return INT64
    if function in _VALUES.values():
        return argument.type
    kind = aggregate_type(reader, node, function, argument.type)
    is_decimal_sum = function == "sum" and kind.kind == "decimal"
    return decimal(SUM_MAX_DIGITS, kind.scale) if is_decimal_sum else kind


def _has_key(window: Window, scope: Scope) -> bool:
    """Whether no two rows agree in everything that the window is partitioned and ordered by."""
    listed = set(map(name_of, _keys_of(window)))
    return any(
        {(source.alias, column) for column in key} <= listed
        for source in scope.sources
        if source.alias in scope.single
        for key in source.keys
    )


def _keys_of(window: Window) -> list[Reference]:
    return [*window.partition, *(ordering.key for ordering in window.order)]


def _references(item: Item) -> list[Reference]:
    if isinstance(item.expression, Aggregate):
        return []
    if not isinstance(item.expression, Window):
        return references_of(item.expression)
    window = item.expression
    return [*_keys_of(window), *(references_of(window.argument) if window.argument is not None else [])]
