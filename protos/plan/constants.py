"""Values that stand in a query's text: how each is written, and what it is beside a column."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal

from protos.plan.errors import Place
from protos.plan.expressions import Constant, Expression
from protos.plan.values import DATE, INT64, TEXT, TIMESTAMP, ValueType, decimal

_INTEGER = re.compile(r"[0-9]{1,19}")
_DECIMAL = re.compile(r"([0-9]{0,19})\.([0-9]{1,19})")
_HEX128 = re.compile(r"[0-9a-f]{32}")


def number_constant(text: str, place: Place | None) -> Constant | None:
    """`text` as an int64 (12) or a decimal (12.50); None when it is neither."""
    if _INTEGER.fullmatch(text) and int(text) < 2**63:
        return Constant(int(text), INT64, place)
    if match := _DECIMAL.fullmatch(text):
        scale = len(match[2])
        return Constant(Decimal(text), decimal(max(1, len(match[1].lstrip("0")) + scale), scale), place)
    return None


def temporal_constant(text: Constant, wanted: ValueType) -> Constant | None:
    """`text` as an ISO 8601 date or timestamp without a zone; None when it is not one."""
    try:
        moment = dt.datetime.fromisoformat(str(text.value))
    except ValueError:
        return None
    if moment.tzinfo is not None or (wanted == DATE and moment.time() != dt.time()):
        return None
    if wanted == DATE:
        return Constant(moment.date().isoformat(), DATE, text.place)
    return Constant(moment.isoformat(sep=" "), TIMESTAMP, text.place)


def constant_beside(part: Expression, wanted: ValueType) -> Expression:
    """A text constant read as a `wanted` when that is what stands beside it; anything else as it is."""
    if not isinstance(part, Constant) or not isinstance(part.value, str) or part.type != TEXT:
        return part
    if wanted.is_temporal:
        return temporal_constant(part, wanted) or part
    if wanted.kind == "hex128" and _HEX128.fullmatch(part.value):
        return Constant(part.value, wanted, part.place)
    return part
