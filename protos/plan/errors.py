"""Why a query is refused: the construct, where it stands in the text, and whose rule would be needed."""

from __future__ import annotations

from dataclasses import dataclass

from protos.formats.errors import ConcordatError


@dataclass(frozen=True, order=True)
class Place:
    """Where something stands in a query's text; both count from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}:{self.column}"


class QueryRefusedError(ConcordatError):
    """A query does something that the grammar or an owner's rules do not allow."""

    code = "query/refused"

    def __init__(self, message: str, *, place: Place | None = None, hint: str | None = None) -> None:
        super().__init__(f"{message} ({place})" if place else message, hint=hint)
        self.place = place

    def in_query(self, query_id: str) -> QueryRefusedError:
        """The same refusal, saying which query of the agreement it is about."""
        refusal = QueryRefusedError(f"query {query_id}: {self.message}", hint=self.hint)
        refusal.place = self.place
        return refusal
