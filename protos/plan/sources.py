"""What a query reads: FROM and JOIN, resolved against the agreement's datasets and the owners' `join` rules.

A join is INNER or LEFT, on equalities between columns that both owners let be joined on, and never matches
several rows with several rows unless the agreement says so: fan-out would let one person count many times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlglot import exp

from protos.formats.schema import Dataset
from protos.plan.errors import Place, QueryRefusedError
from protos.plan.expressions import ColumnRef
from protos.plan.syntax import place_of, refuse, require_only
from protos.plan.values import column_type

SOURCES_MAX: Final = 16
_ON_HINT: Final = "join with ON and equalities between columns, combined by AND"


@dataclass(frozen=True)
class Join:
    """How a source meets the ones before it; a LEFT JOIN keeps rows that find no match."""

    is_left: bool
    equalities: tuple[tuple[ColumnRef, ColumnRef], ...]
    """(column of an earlier source, column of this source)."""
    many_to_many: bool
    """Whether neither side is known to be unique, which only a query that says so may do."""


@dataclass(frozen=True)
class Source:
    """One dataset under the name by which the query calls it; the first source has no join."""

    alias: str
    dataset: Dataset
    join: Join | None = None


class Scope:
    """The sources of a query in order, and the meaning of every column name among them."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.sources: list[Source] = []

    def add(self, source: Source) -> None:
        """Put another source in scope."""
        self.sources.append(source)

    def column(self, node: exp.Column) -> ColumnRef:
        """The column that `node` names. Raises `QueryRefusedError` when it is none, or one of several."""
        require_only(node, "this", "table", sql=self.sql)
        place = place_of(node, self.sql)
        if not isinstance(node.this, exp.Identifier):
            raise refuse(node.this, self.sql, hint="name the columns one by one")
        name = name_in(node.this)
        table = name_in(node.args["table"]) if node.args.get("table") else None
        found = [
            source
            for source in self.sources
            if table in (None, source.alias) and any(name == column.name for column in source.dataset.columns)
        ]
        shown = f"{table}.{name}" if table else name
        if not found:
            raise QueryRefusedError(f"there is no column {shown[:130]}", place=place)
        if len(found) > 1:
            names = " or ".join(f"{source.alias}.{name}" for source in found)
            raise QueryRefusedError(f"{name} could be {names}", place=place, hint="write which one")
        return _reference(found[0], name, place)


def read_sources(
    select: exp.Select, datasets: Mapping[str, Dataset], sql: str, *, many_to_many: bool
) -> Scope:
    """The scope of `select`. Raises `QueryRefusedError`."""
    scope = Scope(sql)
    source = select.args.get("from_")
    if not isinstance(source, exp.From) or not isinstance(source.this, exp.Table):
        raise QueryRefusedError("expected FROM with the name of a dataset")
    require_only(source, "this", sql=sql)
    scope.add(_read_table(source.this, datasets, scope))
    single = {scope.sources[0].alias}
    for node in select.args.get("joins") or []:
        single = _read_join(node, datasets, scope, single, many_to_many=many_to_many)
    return scope


def unit_of(source: Source) -> ColumnRef:
    """The column whose distinct values are protected in this source."""
    return _reference(source, source.dataset.privacy_unit, None)


def first_equal(column: ColumnRef, sources: tuple[Source, ...]) -> ColumnRef:
    """The earliest column that inner joins make equal to `column` in every row, or `column` itself.

    So people joined by id are counted once, however the text calls them.
    """
    for source in reversed(sources):
        if source.join is not None and not source.join.is_left:
            for earlier, new in source.join.equalities:
                if (new.source, new.column) == (column.source, column.column):
                    return first_equal(earlier, sources)
    return column


def name_in(identifier: exp.Identifier) -> str:
    """The name an identifier stands for: unquoted names are lower case, as all of the agreement's are."""
    name = str(identifier.this)
    return name if identifier.args.get("quoted") else name.lower()


def _reference(source: Source, name: str, place: Place | None) -> ColumnRef:
    column = source.dataset.column(name)
    return ColumnRef(
        source=source.alias,
        owner=source.dataset.owner,
        dataset=source.dataset.id,
        column=name,
        type=column_type(column),
        nullable=column.nullable or (source.join is not None and source.join.is_left),
        uses=column.uses,
        place=place,
        clamp=column.clamp,
    )


def _read_table(node: exp.Expr, datasets: Mapping[str, Dataset], scope: Scope) -> Source:
    if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
        raise refuse(node, scope.sql, hint="a query reads the agreement's datasets and nothing else")
    require_only(node, "this", "alias", sql=scope.sql)
    place = place_of(node, scope.sql)
    name = name_in(node.this)
    if name not in datasets:
        raise QueryRefusedError(
            f"{name[:64]!r} is not a dataset of the agreement",
            place=place,
            hint=f"the datasets are {', '.join(sorted(datasets))}",
        )
    alias = node.args.get("alias")
    if alias is not None:
        require_only(alias, "this", sql=scope.sql)
    shown = name_in(alias.this) if alias is not None else name
    if any(shown == source.alias or name == source.dataset.id for source in scope.sources):
        raise QueryRefusedError(f"{shown[:64]!r} stands twice", place=place, hint="join each dataset once")
    if len(scope.sources) == SOURCES_MAX:
        raise QueryRefusedError(f"more than {SOURCES_MAX} datasets in one query", place=place)
    return Source(shown, datasets[name])


def _read_join(
    node: exp.Join, datasets: Mapping[str, Dataset], scope: Scope, single: set[str], *, many_to_many: bool
) -> set[str]:
    """Add the joined source; returns the sources each of whose rows still stands at most once."""
    sql, place = scope.sql, place_of(node, scope.sql)
    new = _read_table(node.this, datasets, scope)
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
    keeps_earlier = _covers_unique_key(new, {right.column for _, right in equalities})
    keeps_new = any(
        _covers_unique_key(source, {left.column for left, _ in equalities if left.source == source.alias})
        for source in scope.sources
        if source.alias in single
    )
    if not (keeps_earlier or keeps_new or many_to_many):
        raise QueryRefusedError(
            f"the join with {new.dataset.id} can match several rows with several rows",
            place=place,
            hint="join on all columns of a dataset's `unique` key, or have the agreement say many_to_many",
        )
    joined = Join(side == "LEFT", equalities, many_to_many=not (keeps_earlier or keeps_new))
    scope.add(Source(new.alias, new.dataset, joined))
    return (single if keeps_earlier else set()) | ({new.alias} if keeps_new else set())


def _covers_unique_key(source: Source, columns: set[str]) -> bool:
    return bool(source.dataset.unique) and columns >= set(source.dataset.unique)


def _conjunction(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Paren):
        return _conjunction(node.this)
    if isinstance(node, exp.And):
        return [*_conjunction(node.this), *_conjunction(node.expression)]
    return [node]


def _read_equality(node: exp.Expr, scope: Scope, new: Source) -> tuple[ColumnRef, ColumnRef]:
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
    if first.type != second.type or first.type.kind == "float64":
        raise QueryRefusedError(
            f"{first.dataset}.{first.column} is {first.type} and {second.dataset}.{second.column} is "
            f"{second.type}: joined columns have one type, and not float64",
            place=first.place,
        )
    return first, second
