"""Whether two tables are the same is decided cell by cell, and said without any value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from scenarios.comparison import require_same
from scenarios.errors import MismatchError

COLUMNS = ("wind", "flights", "revenue", "mean")
LIGHT, UNKNOWN = ("light", 3, Decimal("0.10"), 0.1), (None, 4, Decimal(2), 0.5)


def table(*rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


def test_the_order_of_rows_and_the_kind_of_exact_number_do_not_count() -> None:
    other = table((None, Decimal(4), Decimal("2.00"), 0.5), ("light", Decimal(3), Decimal("0.1"), 0.1))
    require_same(other, table(LIGHT, UNKNOWN))


@pytest.mark.parametrize(
    "changed",
    [
        table(LIGHT, (None, 5, Decimal(2), 0.5)),
        table(LIGHT, (None, 4, Decimal("2.01"), 0.5)),
        table(("light", 3, Decimal("0.10"), 0.1 + 2**-56), UNKNOWN),
        table(LIGHT, ("strong", 4, Decimal(2), 0.5)),
        table(LIGHT),
        table(LIGHT, LIGHT, UNKNOWN),
        table(LIGHT, UNKNOWN)[["flights", "wind", "revenue", "mean"]],
    ],
    ids=["count", "sum", "last-bit-of-a-mean", "missing", "fewer", "more", "columns"],
)
def test_any_difference_is_refused(changed: pd.DataFrame) -> None:
    with pytest.raises(MismatchError):
        require_same(changed, table(LIGHT, UNKNOWN))


def test_the_message_names_columns_and_no_value() -> None:
    with pytest.raises(MismatchError, match=r"row 1 .*\['mean'\]") as refusal:
        require_same(table(("light", 3, Decimal("0.10"), 0.375), UNKNOWN), table(LIGHT, UNKNOWN))
    assert "0.375" not in refusal.value.message
