"""Reads a SELECT in FROM: a selection of rows, or one row for each privacy unit, and nothing else.

Reads text that somebody else wrote; raises `QueryRefusedError`. What it lets through keeps one promise: a row
of a derived table is made from rows of at most one unit of every dataset inside, and says whose it is. An
aggregate over several units may stand in the outermost SELECT only, where thresholds hold.
Follows `protos/plan/README.md`, "Derived tables".
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from protos.formats.schema import AGGREGATE_USES
from protos.plan.aggregates import is_aggregate, is_picked, is_plain, read_aggregate, supports_of
from protos.plan.clamps import values_clamped
from protos.plan.errors import QueryRefusedError
from protos.plan.expressions import (
    Aggregate,
    ColumnRef,
    Constant,
    DerivedRef,
    Expression,
    Provenance,
    Standing,
    merged,
    provenance_of,
)
from protos.plan.outputs import named_outputs, read_groups
from protos.plan.relations import Derived, DerivedColumn, Item, Selection, Source, UnitColumn, Window
from protos.plan.scalars import ScalarReader
from protos.plan.sources import Scope, read_sources
from protos.plan.statement import Statement
from protos.plan.syntax import place_of, refuse, require_clauses
from protos.plan.unions import is_set_operation, pool_of, read_branches
from protos.plan.units import UnitInScope, name_of, units_in
from protos.plan.values import SUM_MAX_DIGITS, ValueType, decimal
from protos.plan.windows import read_window, require_settled


def read_derived(node: exp.Expr, statement: Statement) -> Derived:
    """The derived table that a subquery or a query of WITH is."""
    if is_set_operation(node):
        branches = read_branches(node, statement.sql)
        return pool_of([_read_selection(branch, statement) for branch in branches], node, statement.sql)
    if not isinstance(node, exp.Select):
        raise refuse(node, statement.sql, hint="a derived table is a SELECT or a UNION ALL")
    return _read_selection(node, statement)


def _read_selection(select: exp.Select, statement: Statement) -> Selection:
    require_clauses(select, statement.sql)
    scope = read_sources(select, statement)
    reader = ScalarReader(scope, statement)
    where = reader.read_condition(select.args["where"].this) if select.args.get("where") else None
    named = named_outputs(select, reader)
    groups = read_groups(select, reader, named)
    sources = tuple(scope.sources)
    units = units_in(sources)
    if groups or any(is_aggregate(node) for node in named.values()):
        _require_units(groups, units, select, statement.sql)
        items = [_of_group(name, node, reader, groups, units) for name, node in named.items()]
    else:
        items = [_of_row(name, node, reader, units) for name, node in named.items()]
    items = _with_hidden_columns(items)
    return Selection(
        sources=sources,
        where=where,
        groups=groups,
        items=tuple(items),
        units=tuple(_unit_column(index, unit, items) for index, unit in enumerate(units)),
        unit_references=tuple(unit.reference for unit in units),
        keys=_keys_of_groups(groups, items) if groups else _keys_of_rows(scope, items),
        tiebreak=require_settled(select, scope, items, units, statement.sql),
    )


def _require_units(
    groups: tuple[Expression, ...], units: tuple[UnitInScope, ...], select: exp.Select, sql: str
) -> None:
    columns = [group for group in groups if isinstance(group, ColumnRef | DerivedRef)]
    for unit in units:
        if not unit.is_fixed_by(columns):
            dataset = unit.dataset
            raise QueryRefusedError(
                f"an aggregate in a derived table is over the rows of one unit, and GROUP BY lacks "
                f"{dataset.id}.{dataset.privacy_unit}, the privacy unit of {dataset.owner}",
                place=place_of(select, sql),
                hint=f"group by {dataset.privacy_unit} inside, or aggregate in the outermost SELECT only",
            )


def _of_group(
    name: str,
    node: exp.Expr,
    reader: ScalarReader,
    groups: tuple[Expression, ...],
    units: tuple[UnitInScope, ...],
) -> Item:
    """An item of a SELECT with GROUP BY: an aggregate, or what rows are grouped by."""
    if is_aggregate(node):
        return _of_aggregate(name, read_aggregate(reader, node), units)
    if any(map(is_aggregate, node.walk())):
        raise reader.mismatch(
            node,
            f"{name}: arithmetic on aggregates is not allowed",
            hint="name the aggregate here and compute with it in a SELECT around this one",
        )
    item = _of_row(name, node, reader, units)
    if not isinstance(item.expression, Window) and item.expression in groups:
        return item
    raise QueryRefusedError(
        f"{name} is neither an aggregate nor in GROUP BY",
        place=place_of(node, reader.sql),
        hint="aggregate it, group by it, or compute with it in a SELECT around this one",
    )


def _of_aggregate(name: str, aggregate: Aggregate, units: tuple[UnitInScope, ...]) -> Item:
    is_count = aggregate.function in ("count", "count_distinct", "count_rows")
    is_free = aggregate.argument is not None and is_plain(aggregate.argument)
    column = _computed(
        name,
        _summed(aggregate.type) if aggregate.function == "sum" else aggregate.type,
        aggregate.argument,
        units,
        is_nullable=not is_count,
        # A unit without a value counts zero: as an ELSE 0, it must not be mistaken for somebody's value.
        standing="freely" if is_free and not (is_count and aggregate.supports) else "alone",
    )
    return Item(column, replace(aggregate, type=column.type), aggregate.supports)


def _of_row(name: str, node: exp.Expr, reader: ScalarReader, units: tuple[UnitInScope, ...]) -> Item:
    """A value of every row."""
    if isinstance(node, exp.Window):
        return _of_window(name, node, reader, units)
    if any(isinstance(part, exp.Window) for part in node.walk()):
        raise reader.mismatch(
            node,
            f"{name}: a window function stands by itself",
            hint="give it a name here and compute with it in a SELECT around this one",
        )
    expression = reader.read(node)
    made_of = provenance_of(expression)
    if isinstance(expression, ColumnRef):
        column = _column(name, expression.type, made_of, is_nullable=expression.nullable)
        return Item(replace(column, passes=(expression,)), expression, ())
    if isinstance(expression, DerivedRef):
        column = _column(
            name, expression.type, made_of, is_nullable=expression.nullable, standing=expression.standing
        )
        supports = supports_of(expression) if expression.supports else ()
        return Item(replace(column, passes=expression.passes), expression, supports)
    if isinstance(expression, Constant):
        return Item(_column(name, expression.type, made_of, is_nullable=False), expression, ())
    standing: Standing = "alone" if is_picked(expression) else "freely" if is_plain(expression) else "never"
    column = _column(name, expression.type, made_of, is_nullable=True, standing=standing)
    return Item(column, expression, () if standing == "never" else supports_of(expression))


def _of_window(name: str, node: exp.Window, reader: ScalarReader, units: tuple[UnitInScope, ...]) -> Item:
    window, supports, standing = read_window(reader, node, units)
    is_nullable = window.argument is not None and window.function != "count"
    column = _computed(name, window.type, window.argument, units, is_nullable=is_nullable, standing=standing)
    return Item(column, window, supports)


def _computed(
    name: str,
    kind: ValueType,
    argument: Expression | None,
    units: tuple[UnitInScope, ...],
    *,
    is_nullable: bool,
    standing: Standing,
) -> DerivedColumn:
    """A column over several rows of a unit. Without anybody's values in it, it is about how many they are."""
    made_of = Provenance() if argument is None else provenance_of(argument)
    if not made_of.values:
        standing = "alone"
        rows = (Source(unit.dataset.id, unit.dataset).reference(unit.dataset.privacy_unit) for unit in units)
        made_of = merged(made_of, Provenance(tallies=tuple(rows)))
    return _column(name, kind, made_of, is_nullable=is_nullable, standing=standing)


def _column(
    name: str,
    kind: ValueType,
    made_of: Provenance,
    *,
    is_nullable: bool,
    standing: Standing = "freely",
) -> DerivedColumn:
    return DerivedColumn(name, kind, is_nullable, made_of, (), (), standing)


def _with_hidden_columns(items: list[Item]) -> list[Item]:
    """A hidden column for every support, numbered through, and for every value that clamps would change."""
    named: list[Item] = []
    number = 0
    for item in items:
        names = tuple(f"_support_{number + index}" for index in range(len(item.supports)))
        number += len(names)
        clamped = _clamped(item)
        column = replace(item.column, supports=names, has_clamp=clamped is not None)
        named.append(replace(item, column=column, clamped=clamped))
    return named


def _clamped(item: Item) -> Expression | Window | None:
    """Of an aggregate nothing: it has added up clamped values already."""
    expression = item.expression
    if isinstance(expression, Aggregate):
        return None
    if not isinstance(expression, Window):
        clamped = values_clamped(expression)
        return clamped if clamped != expression else None
    if expression.argument is None or expression.function in AGGREGATE_USES:
        return None
    argument = values_clamped(expression.argument)
    return replace(expression, argument=argument) if argument != expression.argument else None


def _unit_column(index: int, unit: UnitInScope, items: list[Item]) -> UnitColumn:
    """A visible column that is the unit itself also carries it; otherwise it is hidden."""
    shown = {
        item.column.name: item.expression
        for item in items
        if isinstance(item.expression, ColumnRef | DerivedRef)
    }
    same = [name for name, column in shown.items() if name_of(column) == name_of(unit.reference)]
    fixing = (name for name, column in shown.items() if name_of(column) in unit.fixed_by)
    name = same[0] if same else f"_unit_{index}"
    return UnitColumn(unit.dataset, name, frozenset(fixing), unit.may_miss)


def _summed(kind: ValueType) -> ValueType:
    """Of one unit's decimals: with so many digits that sums of many units are still exact."""
    return kind if kind.kind != "decimal" else decimal(SUM_MAX_DIGITS, kind.scale)


def _keys_of_groups(groups: tuple[Expression, ...], items: list[Item]) -> tuple[frozenset[str], ...]:
    names = {item.expression: item.column.name for item in items if not isinstance(item.expression, Window)}
    key = [names.get(group) for group in groups]
    return (frozenset(name for name in key if name is not None),) if None not in key else ()


def _keys_of_rows(scope: Scope, items: list[Item]) -> tuple[frozenset[str], ...]:
    """Keys of sources whose rows stand once, as far as they are handed on. A LEFT JOIN's may be missing."""
    names: dict[tuple[str, str], str] = {}
    for item in items:
        if isinstance(item.expression, ColumnRef | DerivedRef):
            names.setdefault(name_of(item.expression), item.column.name)
    keys: list[frozenset[str]] = []
    for source in scope.sources:
        if source.alias in scope.single and not (source.join is not None and source.join.is_left):
            for key in source.keys:
                found = [names.get((source.alias, column)) for column in key]
                if None not in found:
                    keys.append(frozenset(name for name in found if name is not None))
    return tuple(keys)
