"""The types that a value inside a query can have, and how the numeric ones combine.

One kind per column type of `protos.formats.schema`. Decimals carry precision and scale, because a sum is
exact only as long as every digit has a place. See `protos/plan/README.md`, "Types".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protos.formats.query import Parameter
from protos.formats.schema import Column

DECIMAL_MAX_DIGITS: Final = 38
INT64_DIGITS: Final = 19
SUM_MAX_DIGITS: Final = 26
"""Of a summand: 10^12 summands of 26 digits still fit in 38, and a trillion rows fit in no enclave."""

_SQL_NAMES: Final = {
    "bool": "BOOLEAN",
    "date": "DATE",
    "float64": "DOUBLE",
    "hex128": "UUID",
    "int64": "BIGINT",
    "text": "VARCHAR",
    "timestamp": "TIMESTAMP",
}


@dataclass(frozen=True)
class ValueType:
    """`kind` as in `schema.WIRE_TYPES`; `digits` and `scale` are for decimals and 0 for everything else."""

    kind: str
    digits: int = 0
    scale: int = 0

    @property
    def is_numeric(self) -> bool:
        """Whether arithmetic and numeric comparison apply."""
        return self.kind in ("decimal", "float64", "int64")

    @property
    def is_exact(self) -> bool:
        """Whether it is a number of which every digit counts."""
        return self.kind in ("decimal", "int64")

    @property
    def is_temporal(self) -> bool:
        """Whether calendar functions apply."""
        return self.kind in ("date", "timestamp")

    def sql(self) -> str:
        """The type in the engine's SQL."""
        return f"DECIMAL({self.digits},{self.scale})" if self.kind == "decimal" else _SQL_NAMES[self.kind]

    def __str__(self) -> str:
        return f"decimal({self.digits},{self.scale})" if self.kind == "decimal" else self.kind


BOOL: Final = ValueType("bool")
DATE: Final = ValueType("date")
FLOAT64: Final = ValueType("float64")
INT64: Final = ValueType("int64")
TEXT: Final = ValueType("text")
TIMESTAMP: Final = ValueType("timestamp")


def decimal(digits: int, scale: int) -> ValueType:
    """A decimal type; 0 <= scale <= digits and 1 <= digits, the caller checks the upper bound."""
    return ValueType("decimal", digits, scale)


def column_type(column: Column) -> ValueType:
    """The type of a column's values once they are in the engine."""
    return decimal(*column.decimal) if column.decimal else ValueType(column.type)


def parameter_type(parameter: Parameter) -> ValueType:
    """The type of a parameter's values."""
    return column_type(Column(parameter.name, parameter.kind, nullable=False, uses=frozenset()))


def as_decimal(numeric: ValueType) -> ValueType:
    """The smallest decimal type that holds every int64 or decimal value of `numeric`."""
    return decimal(INT64_DIGITS, 0) if numeric.kind == "int64" else numeric


def common_type(first: ValueType, second: ValueType) -> ValueType | None:
    """The type in which values of both can stand side by side (CASE, COALESCE), None when there is none."""
    if first == second:
        return first
    if first.is_temporal and second.is_temporal:
        return TIMESTAMP
    if not (first.is_numeric and second.is_numeric):
        return None
    if "float64" in (first.kind, second.kind):
        return FLOAT64
    one, other = as_decimal(first), as_decimal(second)
    scale = max(one.scale, other.scale)
    whole = max(one.digits - one.scale, other.digits - other.scale)
    return decimal(min(whole + scale, DECIMAL_MAX_DIGITS), scale)


def are_comparable(first: ValueType, second: ValueType) -> bool:
    """Whether =, < and the like have a meaning between the two."""
    return common_type(first, second) is not None
