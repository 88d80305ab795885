"""What a query reads: FROM and JOIN, resolved against the agreement's datasets and the owners' `join` rules.

A join is INNER or LEFT, on equalities between columns that both owners let be joined on, and never matches
several rows with several rows unless the agreement says so: fan-out would let one person count many times.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sqlglot import exp

from protos.plan.errors import QueryRefusedError
from protos.plan.expressions import ColumnRef, DerivedRef, Reference
from protos.plan.relations import AnySource, DerivedSource, Join, Source
from protos.plan.statement import Statement
from protos.plan.syntax import name_in, place_of, refuse, require_only

_ON_HINT: Final = "join with ON and equalities between columns, combined by AND"


class Scope:
    """The sources of a SELECT in order, and the meaning of every column name among them."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.sources: list[AnySource] = []
        self.single: set[str] = set()
        """The sources each of whose rows still stands at most once."""

    def add(self, source: AnySource) -> None:
        """Put another source in scope."""
        self.sources.append(source)

    def column(self, node: exp.Column) -> Reference:
        """The column that `node` names. Raises `QueryRefusedError` when it is none, or one of several."""
        require_only(node, "this", "table", sql=self.sql)
        place = place_of(node, self.sql)
        if not isinstance(node.this, exp.Identifier):
            raise refuse(node.this, self.sql, hint="name the columns one by one")
        name = name_in(node.this)
        table = name_in(node.args["table"]) if node.args.get("table") else None
        found = [source for source in self.sources if table in (None, source.alias) and source.has(name)]
        shown = f"{table}.{name}" if table else name
        if not found:
            raise QueryRefusedError(f"there is no column {shown[:130]}", place=place)
        if len(found) > 1:
            names = " or ".join(f"{source.alias}.{name}" for source in found)
            raise QueryRefusedError(f"{name} could be {names}", place=place, hint="write which one")
        return found[0].reference(name, place)


def read_sources(select: exp.Select, statement: Statement) -> Scope:
    """The scope of `select`. Raises `QueryRefusedError`."""
    scope = Scope(statement.sql)
    source = select.args.get("from_")
    if not isinstance(source, exp.From):
        raise QueryRefusedError(
            "expected FROM with the name of a dataset", place=place_of(select, statement.sql)
        )
    require_only(source, "this", sql=statement.sql)
    scope.add(_read_source(source.this, statement, scope))
    scope.single = {scope.sources[0].alias}
    for node in select.args.get("joins") or []:
        scope.single = _read_join(node, statement, scope)
    return scope


def _read_source(node: exp.Expr, statement: Statement, scope: Scope) -> AnySource:
    if isinstance(node, exp.Subquery):
        source: AnySource = _read_subquery(node, statement)
    else:
        source = _read_table(node, statement)
    place = place_of(node, scope.sql)
    present = {dataset.id for other in scope.sources for dataset in other.datasets}
    for dataset in source.datasets:
        if dataset.id in present:
            raise QueryRefusedError(
                f"{dataset.id!r} stands twice",
                place=place,
                hint="join each dataset once; a window function compares rows of one unit with each other",
            )
    if any(source.alias == other.alias for other in scope.sources):
        raise QueryRefusedError(
            f"{source.alias[:64]!r} stands twice", place=place, hint="give each source a name of its own"
        )
    return source


def _read_subquery(node: exp.Subquery, statement: Statement) -> DerivedSource:
    require_only(node, "this", "alias", sql=statement.sql)
    place = place_of(node, statement.sql)
    alias = node.args.get("alias")
    if alias is None:
        raise QueryRefusedError(
            "a derived table without a name", place=place, hint="write FROM (SELECT …) AS name"
        )
    require_only(alias, "this", sql=statement.sql)
    return DerivedSource(name_in(alias.this), statement.derived(node.this, place))


def _read_table(node: exp.Expr, statement: Statement) -> AnySource:
    if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
        raise refuse(node, statement.sql, hint="a query reads the agreement's datasets and nothing else")
    require_only(node, "this", "alias", sql=statement.sql)
    place = place_of(node, statement.sql)
    name, alias = name_in(node.this), node.args.get("alias")
    if alias is not None:
        require_only(alias, "this", sql=statement.sql)
    shown = name_in(alias.this) if alias is not None else name
    if statement.is_named(name):
        return DerivedSource(shown, statement.named(name, place))
    if name not in statement.datasets:
        raise QueryRefusedError(
            f"{name[:64]!r} is not a dataset of the agreement",
            place=place,
            hint=f"the datasets are {', '.join(sorted(statement.datasets))}",
        )
    statement.count_source(place)
    return Source(shown, statement.datasets[name])


def _read_join(node: exp.Join, statement: Statement, scope: Scope) -> set[str]:
    """Add the joined source; returns the sources each of whose rows still stands at most once."""
    sql, place = scope.sql, place_of(node, scope.sql)
    new = _read_source(node.this, statement, scope)
    side, kind = str(node.args.get("side") or ""), str(node.args.get("kind") or "")
    require_only(node, "this", "side", "kind", "on", sql=sql)
    if side not in ("", "LEFT") or kind not in ("", "INNER", "OUTER"):
        raise QueryRefusedError(
            f"{side or kind} JOIN is not allowed", place=place, hint="use JOIN or LEFT JOIN"
        )
    if node.args.get("on") is None:
        raise QueryRefusedError("a join without ON is not allowed", place=place, hint=_ON_HINT)
    # The new source's columns are in scope for its own ON, as columns that are not yet missing.
    scope.add(new)
    equalities = tuple(_read_equality(part, scope, new) for part in _conjunction(node.args["on"]))
    scope.sources.pop()
    keeps_earlier = _covers_key(new, {right.column for _, right in equalities})
    keeps_new = any(
        _covers_key(source, {left.column for left, _ in equalities if left.source == source.alias})
        for source in scope.sources
        if source.alias in scope.single
    )
    if not (keeps_earlier or keeps_new or statement.many_to_many):
        raise QueryRefusedError(
            f"the join with {_shown(new)} can match several rows with several rows",
            place=place,
            hint="join on all columns of a dataset's `unique` key, or have the agreement say many_to_many",
        )
    scope.add(replace(new, join=Join(side == "LEFT", equalities, not (keeps_earlier or keeps_new))))
    return (scope.single if keeps_earlier else set()) | ({new.alias} if keeps_new else set())


def _covers_key(source: AnySource, columns: set[str]) -> bool:
    return any(columns >= key for key in source.keys)


def _shown(source: AnySource) -> str:
    return source.dataset.id if isinstance(source, Source) else source.alias


def _conjunction(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Paren):
        return _conjunction(node.this)
    if isinstance(node, exp.And):
        return [*_conjunction(node.this), *_conjunction(node.expression)]
    return [node]


def _read_equality(node: exp.Expr, scope: Scope, new: AnySource) -> tuple[Reference, Reference]:
    if (
        not isinstance(node, exp.EQ)
        or not isinstance(node.this, exp.Column)
        or not isinstance(node.expression, exp.Column)
    ):
        raise refuse(node, scope.sql, hint=_ON_HINT)
    first, second = scope.column(node.this), scope.column(node.expression)
    if first.source == new.alias:
        first, second = second, first
    if second.source != new.alias or first.source == new.alias:
        raise QueryRefusedError(
            f"expected a column of {new.alias} on one side and of an earlier dataset on the other",
            place=first.place,
        )
    for side in (first, second):
        if isinstance(side, DerivedRef) and not side.passes:
            raise QueryRefusedError(
                f"{_name(side)} is computed, so it cannot be joined on",
                place=side.place,
                hint="join on columns that the derived table hands on as their owners sent them",
            )
    if first.type != second.type or first.type.kind == "float64":
        raise QueryRefusedError(
            f"{_name(first)} is {first.type} and {_name(second)} is {second.type}: "
            "joined columns have one type, and not float64",
            place=first.place,
        )
    return first, second


def _name(column: Reference) -> str:
    table = column.dataset if isinstance(column, ColumnRef) else column.source
    return f"{table}.{column.column}"
