"""Fuzz target: a request for what is left, and the answer, mean one thing or are refused."""

from __future__ import annotations

import contextlib

from protos.formats.budget import Budget, BudgetRequest
from protos.formats.errors import FormatError
from tests.conformance.formats.refused import messages_of
from tests.fuzz.runner import run

SEEDS = messages_of("budget-request", "budget")


def one_input(data: bytes) -> None:
    """Reads `data` as either; no window has more left than it lets through, no account less than nothing."""
    with contextlib.suppress(FormatError):
        assert BudgetRequest.decode_untrusted(data).encode() == data
    try:
        budget = Budget.decode_untrusted(data)
    except FormatError:
        return
    assert budget.encode() == data
    assert all(window.left <= window.limit for query in budget.queries for window in query.windows)
    assert all(account.spent.is_within(account.allowed) for account in budget.privacy)
    assert all(min(account.left.amount, account.left.delta) >= 0 for account in budget.privacy)


if __name__ == "__main__":
    run(one_input, seeds=SEEDS)
