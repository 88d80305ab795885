"""What all parts of one query's text share while they are read: datasets, parameters, WITH, and the bounds.

Derived tables may stand in derived tables and a name of WITH may be used more than once; the number of
datasets that are read in all, and the depth, are bounded, so that a short text cannot become a large plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TypeAlias

from sqlglot import exp

from protos.formats.query import Parameter
from protos.formats.schema import Dataset
from protos.plan.errors import Place, QueryRefusedError
from protos.plan.relations import Derived
from protos.plan.syntax import place_of

SOURCES_MAX: Final = 16
"""Mentions of datasets in one query, those in derived tables included, each time that they are used."""
DERIVED_MAX_DEPTH: Final = 8
EXPRESSIONS_MAX: Final = 20_000
"""Parts of expressions that are read, each time: `CASE x WHEN … WHEN …` reads x once for each WHEN."""


class Statement:
    """One query while it is read; how a SELECT in FROM is read is handed in, because it needs FROM itself."""

    def __init__(
        self,
        sql: str,
        *,
        datasets: Mapping[str, Dataset],
        parameters: Mapping[str, Parameter],
        named: Mapping[str, exp.Expr],
        many_to_many: bool,
        read_derived: ReadDerived,
    ) -> None:
        self.sql: Final = sql
        self.datasets: Final = datasets
        self.parameters: Final = parameters
        self.unused_parameters: Final = set(parameters)
        self.many_to_many: Final = many_to_many
        self._named: Final = named
        self._order: Final = list(named)
        self._unused_names: Final = set(named)
        self._read_derived: Final = read_derived
        self._visible = len(named)
        self._depth = 0
        self._sources = 0
        self._expressions = 0
        for name in named:
            if name in datasets:
                raise QueryRefusedError(
                    f"WITH calls something {name!r}, which is a dataset",
                    place=place_of(named[name], sql),
                    hint="give it another name",
                )

    def is_named(self, name: str) -> bool:
        """Whether WITH has named `name` before the text at hand."""
        return name in self._order[: self._visible]

    def named(self, name: str, place: Place | None) -> Derived:
        """What WITH calls `name`. It sees only what is named before it."""
        self._unused_names.discard(name)
        before, self._visible = self._visible, self._order.index(name)
        try:
            return self.derived(self._named[name], place)
        finally:
            self._visible = before

    def derived(self, node: exp.Expr, place: Place | None) -> Derived:
        """The derived table that `node` is. Raises `QueryRefusedError`."""
        with self._deeper(place):
            return self._read_derived(node, self)

    def count_source(self, place: Place | None) -> None:
        """One more dataset is read. Raises `QueryRefusedError` when they are too many."""
        self._sources += 1
        if self._sources > SOURCES_MAX:
            raise QueryRefusedError(f"more than {SOURCES_MAX} datasets in one query", place=place)

    def count_expression(self, place: Place | None) -> None:
        """One more part of an expression is read. Raises `QueryRefusedError` when they are too many."""
        self._expressions += 1
        if self._expressions > EXPRESSIONS_MAX:
            raise QueryRefusedError(
                f"more than {EXPRESSIONS_MAX} parts of expressions",
                place=place,
                hint="name what is repeated in a SELECT inside; CASE x WHEN … reads x for each WHEN",
            )

    def require_all_used(self) -> None:
        """Nothing was agreed on that does nothing."""
        if unused := sorted(self.unused_parameters):
            raise QueryRefusedError(
                f"the query never uses ${unused[0]}",
                hint="take the parameter out of the agreement, or use it",
            )
        if unused := sorted(self._unused_names):
            raise QueryRefusedError(
                f"the query never reads {unused[0]!r} of WITH",
                place=place_of(self._named[unused[0]], self.sql),
                hint="take it out, or use it",
            )

    @contextmanager
    def _deeper(self, place: Place | None) -> Iterator[None]:
        self._depth += 1
        if self._depth > DERIVED_MAX_DEPTH:
            raise QueryRefusedError(
                f"derived tables nested deeper than {DERIVED_MAX_DEPTH} levels", place=place
            )
        yield
        self._depth -= 1


ReadDerived: TypeAlias = Callable[[exp.Expr, Statement], Derived]
