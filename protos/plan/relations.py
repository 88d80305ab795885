"""What a query reads from: datasets and derived tables, how they are joined, and whose units their rows are.

The tree that FROM becomes. A derived table (a subquery in FROM, or a name of WITH) is a `Selection` or a
`Pool` of them, and carries beside its visible columns hidden ones that no query can name: the privacy unit of
every dataset inside, and for every value whether it is somebody's. So the counts behind a released row are as
right over derived tables as over datasets. Pure values; `protos/plan/README.md`, "Derived tables".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from protos.formats.schema import Dataset
from protos.plan.errors import Place
from protos.plan.expressions import (
    Aggregate,
    ColumnRef,
    DerivedRef,
    Expression,
    Provenance,
    Reference,
    Standing,
)
from protos.plan.values import ValueType, column_type


@dataclass(frozen=True)
class Join:
    """How a source meets the ones before it; a LEFT JOIN keeps rows that find no match."""

    is_left: bool
    equalities: tuple[tuple[Reference, Reference], ...]
    """(column of an earlier source, column of this source)."""
    many_to_many: bool
    """Whether neither side is known to be unique, which only a query that says so may do."""


@dataclass(frozen=True)
class UnitColumn:
    """Where a derived table keeps the privacy unit of one dataset inside it; NULL where a row has none."""

    dataset: Dataset
    column: str
    """Hidden, or a visible column that is the unit itself."""
    fixed_by: frozenset[str]
    """Visible columns: rows with one value in such a column are of one unit, or of none."""
    may_miss: bool = False
    """Whether a row can be of no unit: a LEFT JOIN found no match, or it is a row of another branch."""


@dataclass(frozen=True)
class Source:
    """One dataset under the name by which the query calls it; the first source has no join."""

    alias: str
    dataset: Dataset
    join: Join | None = None

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        """The dataset, alone."""
        return (self.dataset,)

    @property
    def keys(self) -> tuple[frozenset[str], ...]:
        """Sets of columns that no two rows agree in."""
        return (frozenset(self.dataset.unique),) if self.dataset.unique else ()

    @property
    def units(self) -> tuple[UnitColumn, ...]:
        """The dataset's privacy unit."""
        name = self.dataset.privacy_unit
        return (UnitColumn(self.dataset, name, frozenset({name})),)

    def has(self, name: str) -> bool:
        """Whether a query can name a column `name` of it."""
        return any(column.name == name for column in self.dataset.columns)

    def reference(self, name: str, place: Place | None = None) -> ColumnRef:
        """The column `name`, which is there."""
        column = self.dataset.column(name)
        return ColumnRef(
            source=self.alias,
            owner=self.dataset.owner,
            dataset=self.dataset.id,
            column=name,
            type=column_type(column),
            nullable=column.nullable or _may_miss(self.join),
            uses=column.uses,
            place=place,
            clamp=column.clamp,
        )


@dataclass(frozen=True)
class DerivedSource:
    """A derived table under the name by which the query calls it."""

    alias: str
    derived: Derived
    join: Join | None = None

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        """Every dataset inside."""
        return tuple(unit.dataset for unit in self.derived.units)

    @property
    def keys(self) -> tuple[frozenset[str], ...]:
        """Sets of visible columns that no two rows agree in."""
        return self.derived.keys

    @property
    def units(self) -> tuple[UnitColumn, ...]:
        """The privacy units of every dataset inside."""
        return self.derived.units

    def has(self, name: str) -> bool:
        """Whether a query can name a column `name` of it."""
        return any(column.name == name for column in self.derived.columns)

    def reference(self, name: str, place: Place | None = None) -> DerivedRef:
        """The column `name`, visible or the hidden one of a unit."""
        for column in self.derived.columns:
            if column.name == name:
                return DerivedRef(
                    source=self.alias,
                    column=name,
                    type=column.type,
                    nullable=column.nullable or _may_miss(self.join),
                    made_of=column.made_of,
                    passes=column.passes,
                    supports=column.supports,
                    standing=column.standing,
                    has_clamp=column.has_clamp,
                    place=place,
                )
        kinds = {unit.column: unit_type(unit.dataset) for unit in self.derived.units}
        return DerivedRef(self.alias, name, kinds[name], nullable=True)


AnySource: TypeAlias = Source | DerivedSource


@dataclass(frozen=True)
class DerivedColumn:
    """A visible column of a derived table."""

    name: str
    type: ValueType
    nullable: bool
    made_of: Provenance
    passes: tuple[ColumnRef, ...]
    supports: tuple[str, ...]
    """The hidden columns for `DerivedRef.supports`."""
    standing: Standing
    has_clamp: bool = False
    """As in `DerivedRef`."""


TIE_BREAKERS: Final = frozenset({"first_value", "lag", "lead", "row_number"})
"""Window functions that tell rows apart which their ORDER BY leaves equal."""


@dataclass(frozen=True)
class Ordering:
    """One key of an ORDER BY inside a window."""

    key: Reference
    is_descending: bool
    nulls_first: bool


@dataclass(frozen=True)
class Window:
    """One window function over the rows of one unit of each dataset."""

    function: str
    argument: Expression | None
    offset: int
    """For `lag` and `lead`; else 0."""
    partition: tuple[Reference, ...]
    order: tuple[Ordering, ...]
    type: ValueType


@dataclass(frozen=True)
class Item:
    """One visible column of a selection and how it is computed."""

    column: DerivedColumn
    expression: Expression | Aggregate | Window
    supports: tuple[Expression, ...]
    """What `column.supports` are, over the rows of the sources; of an aggregate, one row is enough."""
    clamped: Expression | Window | None = None
    """The value made of clamped columns, where that is another one."""


@dataclass(frozen=True)
class Selection:
    """A SELECT in FROM. Its rows are rows of its sources or, with `groups`, one for each group.

    Either way a row is about at most one unit of every dataset inside.
    """

    sources: tuple[AnySource, ...]
    where: Expression | None
    groups: tuple[Expression, ...]
    items: tuple[Item, ...]
    units: tuple[UnitColumn, ...]
    unit_references: tuple[Reference, ...]
    """What each of `units` is in the rows of the sources."""
    keys: tuple[frozenset[str], ...]
    tiebreak: tuple[Reference, ...] = ()
    """Columns by which rows that a window's ORDER BY leaves equal are told apart."""

    @property
    def columns(self) -> tuple[DerivedColumn, ...]:
        """The visible columns."""
        return tuple(item.column for item in self.items)


@dataclass(frozen=True)
class Pool:
    """UNION ALL of selections: every row is a row of one of them."""

    branches: tuple[Selection, ...]
    columns: tuple[DerivedColumn, ...]
    units: tuple[UnitColumn, ...]

    @property
    def keys(self) -> tuple[frozenset[str], ...]:
        """None: two branches may have the same row."""
        return ()


Derived: TypeAlias = Selection | Pool


def first_equal(column: Reference, sources: Iterable[AnySource]) -> Reference:
    """The earliest column that inner joins make equal to `column` in every row, or `column` itself.

    So people joined by id are counted once, however the text calls them.
    """
    sources = tuple(sources)
    for source in reversed(sources):
        if source.join is not None and not source.join.is_left:
            for earlier, new in source.join.equalities:
                if (new.source, new.column) == (column.source, column.column):
                    return first_equal(earlier, sources)
    return column


def unit_type(dataset: Dataset) -> ValueType:
    """The type of a dataset's privacy unit."""
    return column_type(dataset.column(dataset.privacy_unit))


def selections_in(sources: Iterable[AnySource]) -> Iterator[tuple[str, Selection]]:
    """Every selection inside `sources` with the alias under which it stands, inner ones after outer ones."""
    for source in sources:
        if isinstance(source, DerivedSource):
            branches = source.derived.branches if isinstance(source.derived, Pool) else (source.derived,)
            for branch in branches:
                yield source.alias, branch
                yield from selections_in(branch.sources)


def sources_in(sources: Iterable[AnySource]) -> Iterator[AnySource]:
    """`sources` and those of all derived tables among them, outer ones first."""
    for source in sources:
        yield source
        for _, selection in selections_in([source]):
            yield from selection.sources


def datasets_in(sources: Iterable[AnySource]) -> Iterator[Source]:
    """Every dataset that is read, also by way of derived tables, as a source."""
    return (source for source in sources_in(sources) if isinstance(source, Source))


def _may_miss(join: Join | None) -> bool:
    return join is not None and join.is_left
