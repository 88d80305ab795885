"""Windows of runs, what a run takes from them, and the question and answer about what is left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protos.formats.budget import (
    WINDOWS,
    WINDOWS_S,
    Budget,
    BudgetRequest,
    Charge,
    QueryBudget,
    WindowLeft,
    window_limits,
)
from protos.formats.canonical import decode_untrusted, encode
from protos.formats.errors import FormatError
from protos.formats.key_budget import KEY_WINDOWS, KeyBudget, KeyLeft
from protos.formats.key_ring import KEYS_MAX
from protos.formats.limits import BUDGET_MAX_BYTES, QUERIES_MAX
from protos.formats.query import RUNS_MAX
from tests.conformance.formats.samples import QUERY, budget, budget_request


def fields(message: bytes) -> dict[str, Any]:
    found: dict[str, Any] = decode_untrusted(message, max_bytes=BUDGET_MAX_BYTES, what="sample")
    return found


def test_windows_of_a_query() -> None:
    assert window_limits(QUERY, all_queries=9) == {"query": 5, "agreement": 9, "day": 1, "month": 3}
    every = replace(QUERY, per_week=2)
    assert tuple(window_limits(every, all_queries=9)) == WINDOWS
    assert WINDOWS_S == {"day": 24 * 3600, "week": 7 * 24 * 3600, "month": 30 * 24 * 3600}


@pytest.mark.parametrize("key", ["per_day", "per_week", "per_month"])
def test_runs_of_a_window(key: str) -> None:
    for runs in (0, -1, RUNS_MAX + 1, True, "1"):
        with pytest.raises(FormatError, match=f"query delay_by_day: {key}: got"):
            replace(QUERY, **{key: runs})  # type: ignore[arg-type]
    assert len({replace(QUERY, **{key: runs}).digest() for runs in (None, 7, 8)}) == 3  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("window", "limit", "before", "after", "message"),
    [
        ("hour", 5, 5, 4, "got window 'hour', expected one of"),
        (["day"], 5, 5, 4, "got window"),
        ("day", 0, 1, 0, "limit: got 0"),
        ("day", 5, 6, 5, "before: got 6, expected 1 to 5"),
        ("day", 5, 0, -1, "before: got 0"),
        ("day", 5, 5, 5, "5 before and 5 after a run, expected one less"),
        ("day", 5, 5, 3, "expected one less"),
        ("day", 5, 1, True, "after: got bool"),
    ],
)
def test_a_charge_is_of_one_run(window: Any, limit: Any, before: Any, after: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Charge(window, limit, before, after)


@pytest.mark.parametrize(
    ("limit", "left", "message"), [(0, 0, "limit"), (5, 6, "left"), (5, -1, "left"), (5, None, "left")]
)
def test_no_more_is_left_than_there_may_be(limit: Any, left: Any, message: str) -> None:
    with pytest.raises(FormatError, match=f"budget: {message}: got"):
        WindowLeft("day", limit, left)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nonce": bytes(31)}, "nonce: got 31 bytes"),
        ({"agreement": bytes(1)}, "agreement digest: got 1 bytes"),
        ({"enclave": bytes(1)}, "enclave id: got 1 bytes"),
        ({"requested_by": "A"}, "requested_by: got 'A'"),
        ({"query": "q"}, "unknown keys"),
        ({"label": "concordat/budget/v1"}, "got a map labelled"),
    ],
)
def test_request_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        BudgetRequest.decode_untrusted(encode({**fields(budget_request().encode()), **changes}))


ONE = budget().queries[0].to_value()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nonce": b""}, "nonce: got 0 bytes"),
        ({"at_s": -1}, "at_s: got -1"),
        ({"queries": [], "keys": []}, "of no query and no key"),
        ({"queries": [ONE] * 257}, "queries: got 257 items, expected at most 256"),
        ({"queries": [{**ONE, "windows": []}]}, "windows: got 0 items"),
        ({"queries": [{**ONE, "windows": ONE["windows"] * 3}]}, "windows: got 6 items, expected at most 5"),
        ({"queries": [{**ONE, "query": ""}]}, "query: got ''"),
        ({"agreement": b"", "enclave": b""}, "agreement digest: got 0 bytes"),
    ],
)
def test_answer_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Budget.decode_untrusted(encode({**fields(budget().encode()), **changes}))


def test_both_come_back() -> None:
    assert BudgetRequest.decode_untrusted(budget_request().encode()) == budget_request()
    assert Budget.decode_untrusted(budget().encode()) == budget()


def test_the_largest_answer_can_be_read() -> None:
    windows = tuple(WindowLeft(window, RUNS_MAX, RUNS_MAX) for window in WINDOWS)
    queries = tuple(QueryBudget(f"q{number:062}", windows) for number in range(QUERIES_MAX))
    of_key = tuple(KeyLeft(window, RUNS_MAX, RUNS_MAX) for window in KEY_WINDOWS)
    keys = tuple(KeyBudget(f"k{number:062}", of_key) for number in range(KEYS_MAX))
    largest = replace(budget(), queries=queries, keys=keys, at_s=2**63 - 1)
    assert Budget.decode_untrusted(largest.encode()) == largest
