"""Runs are charged once, against the query's number and the agreement's; what left is chained."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enclave_compute.errors import RefusedError
from enclave_compute.ledger import FIRST, Ledger, Release
from protos.formats.agreement import Limits
from protos.formats.budget import Charge
from protos.formats.calls import Refusal
from protos.formats.canonical import digest
from protos.formats.receipt import CLAIMS_LABEL, Claims, UsedDataset
from tests import world

TOTALS = world.query(max_runs=2)
OTHERS = world.query(id="others", max_runs=5)
RELEASE = Release(b"request", b"receipt", {"analyst": b"sealed"})


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
    book.write(claims(1), RELEASE, now_s=0)
    assert book.require_runs_left(TOTALS, now_s=0) == 0
    book.write(claims(2), RELEASE, now_s=0)
    with pytest.raises(RefusedError) as caught:
        book.require_runs_left(TOTALS, now_s=0)
    assert caught.value.refusal is Refusal.NO_RUNS_LEFT
    assert book.require_runs_left(OTHERS, now_s=0) == 2, "of five in the agreement two are gone"


def test_the_agreement_has_a_number_for_all_of_them() -> None:
    book = ledger(total_runs=1)
    assert book.require_runs_left(OTHERS, now_s=0) == 0
    book.write(claims(1), RELEASE, now_s=0)
    with pytest.raises(RefusedError, match="no-runs-left"):
        book.require_runs_left(OTHERS, now_s=0)


def test_asking_costs_nothing() -> None:
    book = ledger()
    assert [book.require_runs_left(TOTALS, now_s=0) for _ in range(5)] == [1] * 5


def test_what_left_is_kept_under_its_run_and_chained() -> None:
    book = ledger()
    assert book.next_entry() == (1, FIRST)
    assert book.release(bytes([1]) * 16) is None
    first, second = claims(1), replace(claims(2), query="others")
    book.write(first, RELEASE, now_s=0)
    assert book.next_entry() == (2, digest(CLAIMS_LABEL, first.encode()))
    book.write(second, replace(RELEASE, receipt=b"another"), now_s=0)
    assert book.next_entry() == (3, digest(CLAIMS_LABEL, second.encode()))
    assert book.release(first.run_id) == RELEASE
    assert book.release(second.run_id) == replace(RELEASE, receipt=b"another")
