"""Attacks on runs by whoever carries requests and results: which, when, and for whom (11, 16, 25, 42)."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from typing import Any

import pytest

from enclave_compute import disclosure, runs
from enclave_compute.errors import RefusedError
from enclave_compute.ticks import Ticks
from protos.formats.agreement import Agreement
from protos.formats.calls import Op, Refusal
from protos.formats.canonical import digest
from protos.formats.errors import SealError
from protos.formats.receipt import CLAIMS_LABEL, Claims, Receipt
from protos.formats.result import SealedResult, open_result
from tests import world
from tests.enclave_fixtures import refused
from tests.world import ANALYST, PUBLISHER, PURCHASES, STRANGER, VISITS, Enclave


def test_the_honest_run_releases_the_agreed_result(ready: Enclave, agreed: Agreement) -> None:
    run_id = os.urandom(16)
    request = world.run_request(agreed, ready.keys(), run_id=run_id)
    answer = ready.call(Op.RUN, request, run=run_id)
    assert answer.header["receivers"] == ["analyst"]
    # "news" has one purchaser, below the threshold of two; Ann and Bob remain.
    assert ready.result(run_id).to_pylist() == [{"segment": "sport", "purchases": 3, "total": 60}]


def test_attack_16_charged_run_can_be_fetched_again(ready: Enclave, agreed: Agreement) -> None:
    run_id = os.urandom(16)
    request = world.run_request(agreed, ready.keys(), run_id=run_id)
    for _ in range(5):  # more often than the query may run
        ready.call(Op.RUN, request, run=run_id)
    first = ready.call(Op.RESULT, run=run_id, receiver="analyst").body
    assert ready.call(Op.RESULT, run=run_id, receiver="analyst").body == first
    other = world.run_request(agreed, ready.keys(), run_id=run_id, parameters={"least": 1})
    with refused(Refusal.WRONG_PLACE):
        ready.call(Op.RUN, other, run=run_id)


def test_attack_16_runs_are_counted_and_refused_runs_cost_nothing(ready: Enclave, agreed: Agreement) -> None:
    keys = ready.keys()
    with refused(Refusal.NOT_ALLOWED):
        ready.call(Op.RUN, world.run_request(agreed, keys, parameters={"least": 101}))
    for _ in range(3):
        ready.call(Op.RUN, world.run_request(agreed, keys))
    with refused(Refusal.NO_RUNS_LEFT):
        ready.call(Op.RUN, world.run_request(agreed, keys))


def test_claims_are_chained(ready: Enclave, agreed: Agreement) -> None:
    claims = []
    for run_id in (os.urandom(16), os.urandom(16)):
        ready.call(Op.RUN, world.run_request(agreed, ready.keys(), run_id=run_id))
        receipt = Receipt.decode_untrusted(ready.call(Op.RECEIPT, run=run_id).body)
        claims.append(Claims.decode_untrusted(receipt.claims))
    assert [item.sequence for item in claims] == [1, 2]
    assert [item.runs_left for item in claims] == [2, 1]
    assert claims[0].previous == bytes(48)
    assert claims[1].previous == digest(CLAIMS_LABEL, claims[0].encode())


def test_attack_11_run_request_by_somebody_else(ready: Enclave, agreed: Agreement) -> None:
    keys = ready.keys()
    with refused(Refusal.BAD_SIGNATURE):
        ready.call(Op.RUN, world.run_request(agreed, keys, signer=STRANGER))
    with refused(Refusal.NOT_ALLOWED):  # a party that the query does not name in run_by
        ready.call(Op.RUN, world.run_request(agreed, keys, signer=PUBLISHER))
    with refused(Refusal.NOT_ALLOWED):  # signed by one, in the name of another
        ready.call(Op.RUN, world.run_request(agreed, keys, signer=PUBLISHER, requested_by="analyst"))
    with refused(Refusal.WRONG_PLACE):
        ready.call(Op.RUN, world.run_request(agreed, keys, enclave_id=bytes(16)))
    with refused(Refusal.WRONG_PLACE):
        ready.call(Op.RUN, world.run_request(agreed, keys, agreement_digest=bytes(48)))
    with refused(Refusal.UNKNOWN):
        ready.call(Op.RUN, world.run_request(agreed, keys, query="another"))


def test_run_before_all_datasets_are_accepted(enclave: Enclave, agreed: Agreement) -> None:
    enclave.bind(agreed)
    enclave.upload(world.seal(agreed, enclave.keys(), "visits", [VISITS]))
    with refused(Refusal.NOT_READY):
        enclave.call(Op.RUN, world.run_request(agreed, enclave.keys()))


def test_attack_42_result_for_the_wrong_analyst(ready: Enclave, agreed: Agreement) -> None:
    run_id = os.urandom(16)
    ready.call(Op.RUN, world.run_request(agreed, ready.keys(), run_id=run_id))
    with refused(Refusal.UNKNOWN):
        ready.call(Op.RESULT, run=run_id, receiver="publisher")
    body = ready.call(Op.RESULT, run=run_id, receiver="analyst").body
    with pytest.raises(SealError):
        open_result(SealedResult.decode_untrusted(body), key=PUBLISHER.receiving_key)
    other = replace(SealedResult.decode_untrusted(body).context, receiver="publisher")
    with pytest.raises(SealError):  # passed off as another result
        open_result(replace(SealedResult.decode_untrusted(body), context=other), key=ANALYST.receiving_key)


def test_attack_25_a_run_is_seen_at_a_tick(
    enclave: Enclave, agreed: Agreement, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that takes long is seen when one that takes no time is, and so is one that fails."""
    clock, honest = VirtualClock(), disclosure.release
    monkeypatch.setattr(
        runs, "Ticks", lambda tick_s: Ticks(tick_s, monotonic_s=clock.monotonic_s, sleep=clock.sleep)
    )
    ticking = replace(agreed, limits=replace(agreed.limits, tick_s=10))
    enclave.bind(ticking)
    for dataset, rows in (("visits", VISITS), ("purchases", PURCHASES)):
        enclave.upload(world.seal(ticking, enclave.keys(), dataset, [rows]))

    def working(*arguments: Any, **named: Any) -> disclosure.Released:
        clock.now_s += work_s
        if fails:
            raise RefusedError(Refusal.OUT_OF_RESOURCES, "out of memory")
        return honest(*arguments, **named)

    monkeypatch.setattr(disclosure, "release", working)
    seen_after_s = []
    for work_s, fails in ((0.0, False), (9.5, False), (4.5, True)):  # noqa: B007 - `working` reads them
        began_s = clock.now_s
        with refused(Refusal.OUT_OF_RESOURCES) if fails else contextlib.nullcontext():
            enclave.call(Op.RUN, world.run_request(ticking, enclave.keys(), run_id=os.urandom(16)))
        seen_after_s.append(clock.now_s - began_s)
    assert seen_after_s == [10.0, 10.0, 10.0]


class VirtualClock:
    """Moved by work and by sleep alone."""

    now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
