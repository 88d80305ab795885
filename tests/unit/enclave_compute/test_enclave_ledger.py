"""Runs are charged once, against the query's number and the agreement's; what left is chained."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enclave_compute.errors import RefusedError
from enclave_compute.ledger import Ledger, Release
from enclave_compute.state.content import StateKey
from enclave_compute.state.journal import Journal
from protos.formats import limits
from protos.formats.agreement import Limits
from protos.formats.budget import Charge
from protos.formats.calls import Refusal
from protos.formats.canonical import digest
from protos.formats.receipt import CLAIMS_LABEL, Claims, UsedDataset
from protos.formats.state import StateRecord
from tests import world
from tests.privacy_world import plan_of

TOTALS = world.query(max_runs=2)
OTHERS = world.query(id="others", max_runs=5)
PLAN = plan_of(noise=None, privacy=())
RELEASE = Release(bytes(16), b"request", ("analyst",), b"receipt", {"analyst": b"sealed"})


def ledger(total_runs: int = 5) -> Ledger:
    limits = Limits(memory_mib=512, threads=1, max_runs=total_runs)
    return Ledger(world.agreement(bytes(32), queries=(TOTALS, OTHERS), limits=limits))


def claims(run: int, query: str = "totals") -> Claims:
    return Claims(
        agreement_digest=bytes(48),
        enclave_id=bytes(16),
        run_id=bytes([run]) * 16,
        query=query,
        query_digest=bytes(48),
        parameters={"least": 0},
        requested_by="analyst",
        receivers=("analyst",),
        datasets=(UsedDataset("visits", "publisher", bytes(16), bytes(48)),),
        suppressed=(),
        result_digest=bytes(48),
        sequence=run,
        previous=bytes(48),
        runs_left=0,
        budget=(Charge("query", 2, 2, 1),),
    )


def test_each_query_has_its_own_number() -> None:
    book = ledger()
    assert book.require_runs_left(TOTALS, now_s=0) == 1
    book.write(claims(1), RELEASE, PLAN, now_s=0)
    assert book.require_runs_left(TOTALS, now_s=0) == 0
    book.write(claims(2), RELEASE, PLAN, now_s=0)
    with pytest.raises(RefusedError) as caught:
        book.require_runs_left(TOTALS, now_s=0)
    assert caught.value.refusal is Refusal.NO_RUNS_LEFT
    assert book.require_runs_left(OTHERS, now_s=0) == 2, "of five in the agreement two are gone"


def test_the_agreement_has_a_number_for_all_of_them() -> None:
    book = ledger(total_runs=1)
    assert book.require_runs_left(OTHERS, now_s=0) == 0
    book.write(claims(1), RELEASE, PLAN, now_s=0)
    with pytest.raises(RefusedError, match="no-runs-left"):
        book.require_runs_left(OTHERS, now_s=0)


def test_what_no_record_has_room_for_is_not_released(monkeypatch: pytest.MonkeyPatch) -> None:
    place = StateRecord(bytes(48), bytes(16), bytes(16), 1, "key", b"wrapped", b"")
    book = Ledger(world.agreement(bytes(32)), Journal(place, StateKey(bytes(32), [])))
    monkeypatch.setattr(limits, "STATE_RECORDS_MAX", 0)
    with pytest.raises(RefusedError, match="over-limit"):
        book.write(claims(1), RELEASE, PLAN, now_s=0)
    assert book.release(bytes([1]) * 16) is None
    assert book.released_as(1) is None
    assert book.left(TOTALS, now_s=0) == Ledger(world.agreement(bytes(32))).left(TOTALS, now_s=0)


def test_asking_costs_nothing() -> None:
    book = ledger()
    assert [book.require_runs_left(TOTALS, now_s=0) for _ in range(5)] == [1] * 5


def test_what_left_is_kept_under_its_run_and_chained() -> None:
    book = ledger()
    assert book.next_entry() == (1, bytes(48))
    assert book.release(bytes([1]) * 16) is None
    first, second = claims(1), replace(claims(2), query="others")
    book.write(first, RELEASE, PLAN, now_s=0)
    assert book.next_entry() == (2, digest(CLAIMS_LABEL, first.encode()))
    book.write(second, replace(RELEASE, receipt=b"another"), PLAN, now_s=0)
    assert book.next_entry() == (3, digest(CLAIMS_LABEL, second.encode()))
    assert book.release(first.run_id) == RELEASE
    assert book.release(second.run_id) == replace(RELEASE, receipt=b"another")


DAY_S, WEEK_S, MONTH_S = 86_400, 7 * 86_400, 30 * 86_400
WINDOWED = world.query(max_runs=9, per_day=1, per_week=2, per_month=3)


def windowed() -> Ledger:
    limits = Limits(memory_mib=512, threads=1, max_runs=20)
    return Ledger(world.agreement(bytes(32), queries=(WINDOWED,), limits=limits))


def left(book: Ledger, now_s: int) -> dict[str, int]:
    return {item.window: item.left for item in book.left(WINDOWED, now_s=now_s)}


def test_windows_slide_and_every_one_of_them_has_to_let_a_run_through() -> None:
    book = windowed()
    at_s = 1_000_000
    for run, later_s in enumerate((0, DAY_S, WEEK_S), 1):
        book.require_runs_left(WINDOWED, now_s=at_s + later_s)
        book.write(claims(run), RELEASE, PLAN, now_s=at_s + later_s)
    assert left(book, at_s + WEEK_S) == {"query": 6, "agreement": 17, "day": 0, "week": 0, "month": 0}
    for refused_at_s in (WEEK_S + DAY_S - 1, WEEK_S + DAY_S, MONTH_S - 1):
        with pytest.raises(RefusedError) as caught:
            book.require_runs_left(WINDOWED, now_s=at_s + refused_at_s)
        assert caught.value.refusal is Refusal.NO_RUNS_NOW
    assert left(book, at_s + MONTH_S) == {"query": 6, "agreement": 17, "day": 1, "week": 2, "month": 1}
    assert book.require_runs_left(WINDOWED, now_s=at_s + MONTH_S) == 5


@pytest.mark.parametrize(("window", "length_s"), [("day", DAY_S), ("week", WEEK_S), ("month", MONTH_S)])
def test_a_window_ends_to_the_second(window: str, length_s: int) -> None:
    book = windowed()
    book.write(claims(1), RELEASE, PLAN, now_s=5)
    before, after = left(book, 4 + length_s)[window], left(book, 5 + length_s)[window]
    assert after == before + 1


def test_no_two_runs_around_midnight() -> None:
    """What a calendar's day would allow."""
    book, midnight_s = windowed(), 20_000 * DAY_S
    book.write(claims(1), RELEASE, PLAN, now_s=midnight_s - 1)
    with pytest.raises(RefusedError, match="no-runs-now"):
        book.require_runs_left(WINDOWED, now_s=midnight_s + 1)


def test_a_charge_says_what_every_window_loses_and_takes_nothing_yet() -> None:
    book = windowed()
    for _ in range(3):
        assert [(item.window, item.before, item.after) for item in book.charge(WINDOWED, now_s=0)] == [
            ("query", 9, 8),
            ("agreement", 20, 19),
            ("day", 1, 0),
            ("week", 2, 1),
            ("month", 3, 2),
        ]


def test_when_nothing_is_left_at_all_waiting_is_not_advised() -> None:
    book = windowed()
    for run in range(9):
        book.write(claims(run + 1), RELEASE, PLAN, now_s=run)
    with pytest.raises(RefusedError, match="no-runs-left"):
        book.require_runs_left(WINDOWED, now_s=10)
