"""Every row of the tables in docs/semantics.md is what the enclave computes; no function is missing there."""

from __future__ import annotations

from itertools import chain

import pytest
from sqlglot import exp

from protos.plan import aggregates, scalars, windows
from protos.plan.syntax import read_select_untrusted
from tests.semantics_page import REFUSED, PageRow, page_rows

_ROWS_AT_LEAST = 120


@pytest.mark.parametrize("row", page_rows(), ids=lambda row: f"{row.asked} of {row.given}"[:80])
def test_row_of_the_page(row: PageRow) -> None:
    assert row.computed() == row.expected


def test_page_has_as_many_rows_as_it_should() -> None:
    assert len(page_rows()) >= _ROWS_AT_LEAST
    assert len(set(page_rows())) == len(page_rows())


def mentioned() -> set[type[exp.Expr]]:
    """Every kind of node in an expression of the page that is not refused."""
    kept = [row for row in page_rows() if row.expected != REFUSED]
    selects = [read_select_untrusted(row.sql) for row in kept]
    texts = chain.from_iterable((select, *named.values()) for select, named in selects)
    return {type(node) for text in texts for node in text.walk()}


@pytest.mark.parametrize(
    "allowed",
    [
        *scalars.READERS,
        *aggregates._FUNCTIONS,
        *windows._NUMBERS,
        *windows._VALUES,
        *windows._AGGREGATES,
    ],
    ids=lambda kind: kind.__name__,
)
def test_every_allowed_function_is_on_the_page(allowed: type[exp.Expr]) -> None:
    assert allowed in mentioned()


def test_every_window_function_is_on_the_page() -> None:
    """SUM in a window and SUM of a group are two rows."""
    kept = [row for row in page_rows() if row.expected != REFUSED]
    found = {
        type(node.this) for row in kept for node in read_select_untrusted(row.sql)[0].find_all(exp.Window)
    }
    assert {*windows._NUMBERS, *windows._VALUES, *windows._AGGREGATES} <= found
