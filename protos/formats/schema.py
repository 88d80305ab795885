"""The shape of a dataset and what may be done with each column, as the owner wrote it into the agreement.

A column that lists no use may not be used: empty means deny. Pure values; every class checks itself when it
is made, so a `Dataset` that exists is one that makes sense. Raises `FormatError`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from protos.formats import limits
from protos.formats.canonical import (
    Value,
    digest,
    encode,
    require_fields,
    require_int,
    require_list,
    require_sorted_texts,
    require_text,
)
from protos.formats.errors import FormatError
from protos.formats.identifiers import require_slug
from protos.formats.kms import KeyService
from protos.formats.rules import Clamp, Rules

SCHEMA_LABEL: Final = "concordat/schema/v1"
WIRE_TYPES: Final = {
    "bool": "bool",
    "date": "date32",
    "decimal": "decimal128",
    "float64": "float64",
    "hex128": "fixed_size_binary(16)",
    "int64": "int64",
    "text": "utf8",
    "timestamp": "timestamp(microseconds, no zone)",
}
"""Arrow type of each kind of column, in memory and in results; `protos.formats.columns` lays columns
out in sealed chunks. `hex128` is 32 hexadecimal digits (an MD5 digest, a UUID without dashes) in 16 bytes, so
that keys join as integers. Timestamps are UTC by definition."""
PLAIN_TYPES: Final = frozenset(WIRE_TYPES) - {"decimal"}
EXACT_TYPES: Final = frozenset({"int64", "decimal"})
"""Types that SUM and AVG accept: a float sum depends on the order of addition, so it is never released."""

AGGREGATE_USES: Final = frozenset({"avg", "count", "count_distinct", "max", "min", "sum"})
USES: Final = AGGREGATE_USES | {"combine", "filter", "group", "join", "opt_out", "order", "output"}
"""`combine` lets values of other owners take part in what is made of a value before it is added up; `output`
lets single values leave, in a list query; `opt_out` lets the column stand for an `OptOut`."""
NORMALISERS: Final = frozenset({"none", "email/v1"})
THRESHOLD_MAX_UNITS: Final = 100_000
DATASET_MAX_ROWS: Final = 2**40
UNIQUE_MAX: Final = 16
_DECIMAL = re.compile(r"decimal\(([1-9][0-9]?),([0-9]|[1-3][0-9])\)")


@dataclass(frozen=True)
class Column:
    """One column: `type` is a plain type or `decimal(precision,scale)` with precision at most 38."""

    name: str
    type: str
    nullable: bool
    uses: frozenset[str]
    """Of `USES`; what a query may do with the column. Only `output` lets a single value out as it is."""
    normalise: str = "none"
    """Applied inside the enclave before any join; `email/v1` trims, lower-cases and folds to NFC."""
    clamp: Clamp | None = None
    """The range of what one value can add to a sum, an average, a minimum or a maximum."""

    def __post_init__(self) -> None:
        require_slug(self.name, what="column name")
        where = f"column {self.name}"
        if self.kind not in PLAIN_TYPES and self.decimal is None:
            raise FormatError(
                f"{where}: got type {self.type!r}, expected one of {sorted(PLAIN_TYPES)} or decimal(p,s)"
            )
        if unknown := sorted(self.uses - USES):
            raise FormatError(f"{where}: got uses {unknown}, expected some of {sorted(USES)}")
        if self.normalise not in NORMALISERS:
            raise FormatError(
                f"{where}: got normalise {self.normalise!r}, expected one of {sorted(NORMALISERS)}"
            )
        if self.normalise != "none" and self.type != "text":
            raise FormatError(f"{where}: normalise is for text columns, this one is {self.type}")
        if self.uses & {"sum", "avg"} and self.kind not in EXACT_TYPES:
            raise FormatError(
                f"{where}: sum and avg need int64 or decimal(p,s), got {self.type} (a float sum is not exact)"
            )
        if self.clamp is not None:
            if self.kind not in EXACT_TYPES:
                raise FormatError(f"{where}: clamp is for int64 and decimal(p,s), got {self.type}")
            self.clamp.require_for(self.decimal, where=where)

    @property
    def kind(self) -> str:
        """The type without its parameters: `decimal` for decimal(p,s)."""
        return "decimal" if self.decimal is not None else self.type

    @property
    def decimal(self) -> tuple[int, int] | None:
        """(precision, scale) of a decimal column, else None."""
        match = _DECIMAL.fullmatch(self.type)
        if match is None:
            return None
        precision, scale = int(match[1]), int(match[2])
        if not 1 <= precision <= 38 or scale > precision:
            raise FormatError(
                f"column {self.name}: got {self.type}, expected precision 1 to 38 and scale at most that"
            )
        return precision, scale

    def to_value(self) -> Value:
        """The column as it stands in the agreement."""
        return {
            "name": self.name,
            "type": self.type,
            "nullable": self.nullable,
            "uses": sorted(self.uses),
            "normalise": self.normalise,
            "clamp": None if self.clamp is None else self.clamp.to_value(),
        }

    @classmethod
    def from_value_untrusted(cls, value: Value) -> Column:
        """Inverse of `to_value`."""
        keys = frozenset({"name", "type", "nullable", "uses", "normalise", "clamp"})
        fields = require_fields(value, keys, what="column")
        if not isinstance(fields["nullable"], bool):
            raise FormatError("column: nullable must be true or false")
        return cls(
            name=require_slug(fields["name"], what="column name"),
            type=require_text(fields["type"], what="column type", max_characters=20),
            nullable=fields["nullable"],
            uses=frozenset(require_sorted_texts(fields["uses"], what="column uses", max_items=len(USES))),
            normalise=require_text(fields["normalise"], what="normalise", max_characters=20),
            clamp=None if fields["clamp"] is None else Clamp.from_value_untrusted(fields["clamp"]),
        )


@dataclass(frozen=True)
class Dataset:
    """One slot of the agreement: whose data, in which shape, and the owner's rules for what leaves."""

    id: str
    owner: str
    columns: tuple[Column, ...]
    privacy_unit: str
    """The column whose distinct values are protected: a person, an account, an aircraft."""
    threshold: int
    """Fewest distinct privacy units of this owner behind any released row: 2 to `THRESHOLD_MAX_UNITS`, or 1
    where the rules say `single_units`."""
    unique: tuple[str, ...]
    """Columns that together identify a row; a repeated combination is refused. Empty: no such promise."""
    max_rows: int
    max_bytes: int
    rules: Rules = field(default_factory=Rules)
    """What the owner rules beyond the uses of columns."""
    kms: KeyService | None = None
    """Where the owner's key service lets go of the data key, if the data may be sealed under a key there."""

    def __post_init__(self) -> None:
        require_slug(self.id, what="dataset id")
        where = f"dataset {self.id}"
        names = [column.name for column in self.columns]
        if not 1 <= len(names) <= limits.COLUMNS_MAX:
            raise FormatError(f"{where}: got {len(names)} columns, expected 1 to {limits.COLUMNS_MAX}")
        if len(set(names)) != len(names):
            raise FormatError(f"{where}: a column name stands twice")
        if self.privacy_unit not in names:
            raise FormatError(f"{where}: privacy unit {self.privacy_unit!r} is not one of its columns")
        if self.column(self.privacy_unit).nullable:
            raise FormatError(f"{where}: the privacy unit {self.privacy_unit!r} must not be nullable")
        require_list(list(self.unique), what=f"{where}: unique", max_items=UNIQUE_MAX)
        if unknown := [name for name in self.unique if name not in names]:
            raise FormatError(f"{where}: unique names {unknown}, which are not its columns")
        require_int(self.threshold, what=f"{where}: threshold", low=1, high=THRESHOLD_MAX_UNITS)
        if self.threshold == 1 and not self.rules.single_units:
            raise FormatError(
                f"{where}: threshold: got 1, expected 2 to {THRESHOLD_MAX_UNITS}",
                hint="1 lets rows about a single unit leave; if that is meant, say single_units = true",
            )
        require_int(self.max_rows, what=f"{where}: max_rows", low=1, high=DATASET_MAX_ROWS)
        require_int(self.max_bytes, what=f"{where}: max_bytes", low=1)
        try:
            self.rules.require_columns(names, privacy_unit=self.privacy_unit)
        except FormatError as error:
            raise FormatError(f"{where}: {error.message}", hint=error.hint) from error
        if self.rules.min_rows > self.max_rows or self.rules.min_units > self.max_rows:
            raise FormatError(f"{where}: min_rows or min_units is above max_rows: nothing could be accepted")

    def column(self, name: str) -> Column:
        """The column called `name`; KeyError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def schema_digest(self) -> bytes:
        """48 bytes that name this slot's shape and rules; part of every sealed chunk's context."""
        return digest(SCHEMA_LABEL, encode(self.to_value()))

    def to_value(self) -> Value:
        """The dataset as it stands in the agreement."""
        return {
            "id": self.id,
            "owner": self.owner,
            "columns": [column.to_value() for column in self.columns],
            "privacy_unit": self.privacy_unit,
            "threshold": self.threshold,
            "unique": list(self.unique),
            "max_rows": self.max_rows,
            "max_bytes": self.max_bytes,
            "rules": self.rules.to_value(),
            "kms": None if self.kms is None else self.kms.to_value(),
        }

    @classmethod
    def from_value_untrusted(cls, value: Value) -> Dataset:
        """Inverse of `to_value`."""
        fields = require_fields(value, _DATASET_KEYS, what="dataset")
        columns = require_list(fields["columns"], what="columns", max_items=limits.COLUMNS_MAX)
        unique = require_list(fields["unique"], what="unique", max_items=UNIQUE_MAX)
        return cls(
            id=require_slug(fields["id"], what="dataset id"),
            owner=require_slug(fields["owner"], what="dataset owner"),
            columns=tuple(Column.from_value_untrusted(column) for column in columns),
            privacy_unit=require_slug(fields["privacy_unit"], what="privacy unit"),
            threshold=require_int(fields["threshold"], what="threshold"),
            unique=tuple(require_slug(name, what="unique") for name in unique),
            max_rows=require_int(fields["max_rows"], what="max_rows"),
            max_bytes=require_int(fields["max_bytes"], what="max_bytes"),
            rules=Rules.from_value_untrusted(fields["rules"]),
            kms=None if fields["kms"] is None else KeyService.from_value_untrusted(fields["kms"]),
        )


_DATASET_KEYS: Final = frozenset(
    {
        *("id", "owner", "columns", "privacy_unit", "threshold", "unique"),
        *("max_rows", "max_bytes", "rules", "kms"),
    }
)
