"""Dates and decimals that travel as text: one spelling for each value, and what each is.

Canonical CBOR here has no dates and no decimals; a bound of a parameter that is one, and the value that a run
chooses, are text. Reads foreign text and raises `FormatError`. `protos/README.md`, "Agreement".
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Final

from protos.formats.errors import FormatError

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DECIMAL: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})\.([0-9]{1,10})")


def exact_value(text: object, *, what: str) -> dt.date | Decimal:
    """The date (2026-01-31) or the decimal (-0.50) that `text` is. Raises `FormatError`."""
    if isinstance(text, str) and _DATE.fullmatch(text):
        try:
            return dt.date.fromisoformat(text)
        except ValueError:
            raise FormatError(f"{what}: {text!r} is not a day of the calendar") from None
    if isinstance(text, str) and (match := _DECIMAL.fullmatch(text)):
        value = Decimal(text)
        if value or not match[0].startswith("-"):
            return value
    raise FormatError(
        f"{what}: expected a date such as 2026-01-31 or a decimal such as -0.50",
        hint="a decimal has at most 19 digits before the point and 1 to 10 after it",
    )


def places_of(value: Decimal) -> int:
    """How many digits stand after the point."""
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def digits_of(value: Decimal) -> int:
    """How many digits stand on both sides of the point, at least one before it."""
    return max(len(value.as_tuple().digits), places_of(value) + 1)
