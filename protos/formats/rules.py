"""An owner's rules for a dataset beyond the uses of its columns: what may be asked of it, and for whom.

Uses say what may be done with a column; these say which kinds of query may touch the dataset at all, and what
happens to its rows on the way in. Every rule takes something away: `null` means that the owner does not make
it, an empty list means deny. The strictest of all datasets in a query wins (`protos/plan/analyses.py`). Pure
values that check themselves; raises `FormatError`. Follows `protos/README.md`, "Agreement".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from protos.formats import limits
from protos.formats.canonical import (
    INT64_HIGH,
    INT64_LOW,
    Value,
    require_fields,
    require_int,
    require_list,
    require_sorted_texts,
    require_text,
)
from protos.formats.errors import FormatError
from protos.formats.identifiers import require_slug

ANALYSES: Final = frozenset({"aggregation", "custom", "list"})
ROWS_PER_UNIT_MAX: Final = 1_000_000
_ROWS_MAX: Final = 2**40
_NUMBER_MAX_CHARACTERS: Final = 41
_NUMBER: Final = re.compile(r"(?!-0(?:\.0*)?$)-?(0|[1-9][0-9]*)(?:\.([0-9]+))?")


@dataclass(frozen=True)
class Clamp:
    """The range into which a column's values are moved before SUM, AVG, MIN and MAX; both ends inclusive.

    Numbers as text with exactly as many decimal places as the column has: "-60", "99.50".
    """

    low: str
    high: str

    def require_for(self, decimal: tuple[int, int] | None, *, where: str) -> None:
        """Raises `FormatError` unless both ends are values of int64, or of decimal(`decimal`)."""
        digits, places = decimal or (0, 0)
        for end in (self.low, self.high):
            match = _NUMBER.fullmatch(end)
            if match is None or len(match[2] or "") != places:
                raise FormatError(
                    f"{where}: clamp: got {end[:50]!r}, expected a number with {places} decimal places"
                )
            is_value = (
                len(match[1].lstrip("0")) + places <= digits
                if decimal
                else INT64_LOW <= int(end) <= INT64_HIGH
            )
            if not is_value:
                raise FormatError(f"{where}: clamp: {end[:50]} is not a value of the column's type")
        if Decimal(self.low) > Decimal(self.high):
            raise FormatError(f"{where}: clamp: low {self.low} is above high {self.high}")

    def to_value(self) -> Value:
        """The clamp as it stands in the agreement."""
        return {"low": self.low, "high": self.high}

    @classmethod
    def from_value_untrusted(cls, value: Value) -> Clamp:
        """Inverse of `to_value`."""
        fields = require_fields(value, frozenset({"low", "high"}), what="clamp")
        low, high = (
            require_text(fields[key], what=f"clamp: {key}", max_characters=_NUMBER_MAX_CHARACTERS)
            for key in ("low", "high")
        )
        return cls(low, high)


@dataclass(frozen=True)
class OptOut:
    """A dataset of privacy units whose rows never enter a query, and the column in which they stand."""

    dataset: str
    column: str

    def to_value(self) -> Value:
        """The rule as it stands in the agreement."""
        return {"dataset": self.dataset, "column": self.column}

    @classmethod
    def from_value_untrusted(cls, value: Value) -> OptOut:
        """Inverse of `to_value`."""
        fields = require_fields(value, frozenset({"dataset", "column"}), what="opt_out")
        return cls(
            require_slug(fields["dataset"], what="opt_out: dataset"),
            require_slug(fields["column"], what="opt_out: column"),
        )


@dataclass(frozen=True)
class Rules:
    """See the module. Sets are in ascending order without repeats."""

    analyses: tuple[str, ...] = ("aggregation",)
    """Of `ANALYSES`. `custom` stands alone: any kind of query, but only those of `only_queries`."""
    only_queries: tuple[str, ...] = ()
    """With `custom`: ids of queries, or their digests as 96 hexadecimal digits."""
    joined_with: tuple[str, ...] | None = None
    """Every query must inner-join the dataset with at least one of these."""
    forbidden: tuple[str, ...] = ()
    """Columns that no query may mention, whatever their uses."""
    receivers: tuple[str, ...] | None = None
    """A query's receivers must all be among these participants."""
    single_units: bool = False
    """The owner means a threshold of 1, which protects nobody."""
    max_rows_per_unit: int | None = None
    """So many rows of one unit enter a query, counted after its joins."""
    min_rows: int = 0
    min_units: int = 0
    """The enclave accepts no dataset with fewer rows, or fewer distinct privacy units."""
    opt_out: OptOut | None = None

    def __post_init__(self) -> None:
        for what, names in (
            ("analyses", self.analyses),
            ("only_queries", self.only_queries),
            ("joined_with", self.joined_with),
            ("forbidden", self.forbidden),
            ("receivers", self.receivers),
        ):
            require_sorted_texts(list(names or ()), what=f"rules: {what}", max_items=limits.COLUMNS_MAX)
        if unknown := sorted(set(self.analyses) - ANALYSES):
            raise FormatError(f"rules: got analyses {unknown}, expected some of {sorted(ANALYSES)}")
        if "custom" in self.analyses and len(self.analyses) > 1:
            raise FormatError(
                "rules: analyses: custom stands alone",
                hint="custom lets the queries of only_queries through, of whatever kind, and no others",
            )
        if self.only_queries and "custom" not in self.analyses:
            raise FormatError('rules: only_queries is for analyses = ["custom"]')
        if not isinstance(self.single_units, bool):
            raise FormatError("rules: single_units must be true or false")
        if self.max_rows_per_unit is not None:
            require_int(
                self.max_rows_per_unit, what="rules: max_rows_per_unit", low=1, high=ROWS_PER_UNIT_MAX
            )
        require_int(self.min_rows, what="rules: min_rows", high=_ROWS_MAX)
        require_int(self.min_units, what="rules: min_units", high=_ROWS_MAX)

    def require_columns(self, names: Iterable[str], *, privacy_unit: str) -> None:
        """Raises `FormatError` unless the rules fit a dataset with these columns."""
        if unknown := sorted(set(self.forbidden) - set(names)):
            raise FormatError(f"rules: forbidden names {unknown}, which are not its columns")
        if privacy_unit in self.forbidden:
            raise FormatError(
                f"rules: the privacy unit {privacy_unit!r} cannot be forbidden",
                hint="it is counted in every query; leave out its uses, and no query can mention it",
            )

    def to_value(self) -> Value:
        """The rules as they stand in the agreement."""
        return {
            "analyses": list(self.analyses),
            "only_queries": list(self.only_queries),
            "joined_with": None if self.joined_with is None else list(self.joined_with),
            "forbidden": list(self.forbidden),
            "receivers": None if self.receivers is None else list(self.receivers),
            "single_units": self.single_units,
            "max_rows_per_unit": self.max_rows_per_unit,
            "min_rows": self.min_rows,
            "min_units": self.min_units,
            "opt_out": None if self.opt_out is None else self.opt_out.to_value(),
        }

    @classmethod
    def from_value_untrusted(cls, value: Value) -> Rules:
        """Inverse of `to_value`."""
        fields = require_fields(value, _KEYS, what="rules")

        def names(key: str) -> tuple[str, ...]:
            return tuple(require_list(fields[key], what=f"rules: {key}", max_items=limits.COLUMNS_MAX))

        return cls(
            analyses=names("analyses"),
            only_queries=names("only_queries"),
            joined_with=None if fields["joined_with"] is None else names("joined_with"),
            forbidden=names("forbidden"),
            receivers=None if fields["receivers"] is None else names("receivers"),
            single_units=fields["single_units"],
            max_rows_per_unit=fields["max_rows_per_unit"],
            min_rows=fields["min_rows"],
            min_units=fields["min_units"],
            opt_out=None if fields["opt_out"] is None else OptOut.from_value_untrusted(fields["opt_out"]),
        )


_KEYS: Final = frozenset(
    {
        *("analyses", "only_queries", "joined_with", "forbidden", "receivers"),
        *("single_units", "max_rows_per_unit", "min_rows", "min_units", "opt_out"),
    }
)
