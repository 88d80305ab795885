"""A date that stands in the text, moved by an interval that stands in the text: worked out while it is read.

`DATE '1998-12-01' - INTERVAL '90' DAY` is the constant 1998-09-02, so the plan has nothing new in it. A month
later than the 31st is the last day of the next month, as in the engine. Columns and parameters are not moved.
Raises `QueryRefusedError`; follows `protos/plan/README.md`, "Grammar".
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from typing import Final

from sqlglot import exp

from protos.plan.arithmetic import Reader
from protos.plan.errors import QueryRefusedError
from protos.plan.expressions import Constant, Expression
from protos.plan.syntax import require_only
from protos.plan.values import DATE

_AMOUNT: Final = re.compile(r"[0-9]{1,6}")
_MONTHS: Final = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_DAYS: Final = {"DAY": 1, "WEEK": 7}


def is_interval(node: exp.Expr) -> bool:
    """Whether `node` is something to move a date by."""
    return isinstance(node, exp.Interval)


def moved_date(reader: Reader, node: exp.Binary, *, sign: int) -> Expression:
    """The constant that `date ± interval` is; `sign` is 1 or -1."""
    require_only(node, "this", "expression", "typed", "safe", sql=reader.sql)
    date = reader.read(node.this)
    if not (isinstance(date, Constant) and date.type == DATE):
        raise reader.mismatch(
            node,
            "INTERVAL: expected a date that stands in the text",
            hint="write DATE '1998-12-01' - INTERVAL '90' DAY; compare columns with what comes out",
        )
    amount, unit = _interval(reader, node.expression)
    try:
        moved = _moved(dt.date.fromisoformat(str(date.value)), sign * amount, unit)
    except (ValueError, OverflowError):
        raise reader.mismatch(node, "INTERVAL: expected to stay in the years 1 to 9999") from None
    return Constant(moved.isoformat(), DATE, date.place)


def _interval(reader: Reader, node: exp.Expr) -> tuple[int, str]:
    require_only(node, "this", "unit", sql=reader.sql)
    amount, unit = node.this, node.args.get("unit")
    name = unit.name.upper() if isinstance(unit, exp.Var) else ""
    is_number = isinstance(amount, exp.Literal) and _AMOUNT.fullmatch(str(amount.this))
    if not is_number or name not in (*_MONTHS, *_DAYS):
        raise _not_an_interval(reader, node)
    return int(str(amount.this)), name


def _not_an_interval(reader: Reader, node: exp.Expr) -> QueryRefusedError:
    units = ", ".join(sorted((*_MONTHS, *_DAYS)))
    return reader.mismatch(node, f"INTERVAL: expected a whole number and one of {units}, such as '3' MONTH")


def _moved(date: dt.date, amount: int, unit: str) -> dt.date:
    if unit in _DAYS:
        return date + dt.timedelta(days=amount * _DAYS[unit])
    year, month = divmod(date.year * 12 + date.month - 1 + amount * _MONTHS[unit], 12)
    if not dt.MINYEAR <= year <= dt.MAXYEAR:
        raise OverflowError
    return dt.date(year, month + 1, min(date.day, calendar.monthrange(year, month + 1)[1]))
