"""The phases that a parent sees, what the enclave writes, and several connections at a time."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from enclave_compute import disclosure
from enclave_compute.errors import RefusedError
from enclave_compute.keys import EnclaveKeys
from enclave_compute.nsm import Nsm
from protos.formats.agreement import Agreement
from protos.formats.calls import Op, Refusal
from protos.formats.canonical import encode
from tests import world
from tests.enclave_fixtures import refused
from tests.world import PURCHASES, VISITS, Enclave, Parent

SPORT = [{"segment": "sport", "purchases": 3, "total": 60}]
WAIT_S = 30


def phase(parent: Parent) -> str:
    return str(parent.call(Op.STATUS).header["phase"])


def live(enclave: Enclave, agreed: Agreement) -> list[str]:
    """A whole life; the phases on the way."""
    seen = [phase(enclave)]
    enclave.bind(agreed)
    seen.append(phase(enclave))
    for name, table in (("visits", VISITS), ("purchases", PURCHASES)):
        upload = world.seal(agreed, enclave.keys(), name, [table])
        enclave.call(Op.BEGIN, upload.signed_header, dataset=name, upload=upload.upload_id)
        seen.append(phase(enclave))
        enclave.upload(upload)
        seen.append(phase(enclave))
    enclave.call(Op.RUN, world.run_request(agreed, enclave.keys()))
    seen.append(phase(enclave))
    seen.append(str(enclave.call(Op.CLOSE).header["phase"]))
    seen.append(phase(enclave))
    return seen


def test_the_phases_of_a_life(enclave: Enclave, agreed: Agreement) -> None:
    assert live(enclave, agreed) == [
        "empty",
        "bound",
        "collecting",
        "collecting",
        "collecting",
        "ready",
        "released",
        "closed",
        "closed",
    ]


def test_the_status_names_the_slots_of_the_agreement(enclave: Enclave, agreed: Agreement) -> None:
    assert enclave.call(Op.STATUS).header["slots"] == []
    enclave.bind(agreed)
    enclave.upload(world.seal(agreed, enclave.keys(), "visits", [VISITS]))
    slots = enclave.call(Op.STATUS).header["slots"]
    assert slots == [{"dataset": "visits", "complete": True}, {"dataset": "purchases", "complete": False}]


# --- what is written --------------------------------------------------------------------------------------


def test_nothing_is_written_unless_it_was_agreed(
    enclave: Enclave, agreed: Agreement, capfd: pytest.CaptureFixture[str]
) -> None:
    assert agreed.logged == "nothing"
    live(enclave, agreed)
    with refused(Refusal.WRONG_PHASE):
        enclave.bind(agreed)
    assert capfd.readouterr() == ("", "")


def test_names_of_phases_and_nothing_else_where_it_was_agreed(
    enclave: Enclave, agreed: Agreement, capfd: pytest.CaptureFixture[str]
) -> None:
    live(enclave, replace(agreed, logged="phases"))
    written = capfd.readouterr()
    assert written.out == ""
    each = "bound collecting collecting collecting collecting collecting ready released"
    assert written.err.splitlines() == [f"phase {name}" for name in each.split()]


# --- runs -------------------------------------------------------------------------------------------------


def test_while_a_query_is_computed_the_enclave_answers(
    ready: Enclave, agreed: Agreement, monkeypatch: pytest.MonkeyPatch
) -> None:
    computing, go_on, release = threading.Event(), threading.Event(), disclosure.release

    def slow(*arguments: Any, **named: Any) -> disclosure.Released:
        computing.set()
        assert go_on.wait(WAIT_S)
        return release(*arguments, **named)

    monkeypatch.setattr(disclosure, "release", slow)
    requests = [world.run_request(agreed, ready.keys()) for _ in range(2)]
    with ThreadPoolExecutor() as threads:
        runs = [threads.submit(Parent(ready.roots, ready.answer).call, Op.RUN, one) for one in requests]
        assert computing.wait(WAIT_S)
        assert phase(ready) == "running"
        ready.verify(agreed)
        ready.bind(agreed)
        go_on.set()
        assert [run.result(WAIT_S).header["ok"] for run in runs] == [True, True]
    assert phase(ready) == "released"


def test_a_run_that_fails_is_no_release_and_costs_nothing(
    ready: Enclave, agreed: Agreement, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RefusedError(Refusal.OUT_OF_RESOURCES, "the engine is out of memory")

    run_id = os.urandom(16)
    request = world.run_request(agreed, ready.keys(), run_id=run_id)
    with monkeypatch.context() as patched:
        patched.setattr(disclosure, "release", fail)
        for _ in range(5):  # more often than the query may run
            with refused(Refusal.OUT_OF_RESOURCES):
                ready.call(Op.RUN, request)
    assert phase(ready) == "ready"
    with refused(Refusal.UNKNOWN):
        ready.call(Op.RESULT, run=run_id, receiver="analyst")
    ready.call(Op.RUN, request)
    assert ready.result(run_id).to_pylist() == SPORT


def test_the_same_request_on_two_connections_is_one_run(ready: Enclave, agreed: Agreement) -> None:
    run_id = os.urandom(16)
    request = world.run_request(agreed, ready.keys(), run_id=run_id)
    at_once(*[lambda: Parent(ready.roots, ready.answer).call(Op.RUN, request)] * 4)
    assert ready.result(run_id).to_pylist() == SPORT
    for _ in range(2):  # the query may run three times
        ready.call(Op.RUN, world.run_request(agreed, ready.keys()))
    with refused(Refusal.NO_RUNS_LEFT):
        ready.call(Op.RUN, world.run_request(agreed, ready.keys()))


# --- several connections ----------------------------------------------------------------------------------


def test_two_parties_send_at_the_same_time(bound: Enclave, agreed: Agreement) -> None:
    keys = bound.keys()
    uploads = [
        world.seal(agreed, keys, name, [table.slice(row, 1) for row in range(table.num_rows)])
        for name, table in (("visits", VISITS), ("purchases", PURCHASES))
    ]
    seen: set[str] = set()
    sent = threading.Event()

    def watch() -> None:
        parent = Parent(bound.roots, bound.answer)
        while not sent.is_set():
            seen.add(phase(parent))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        at_once(*(lambda one=one: Parent(bound.roots, bound.answer).upload(one) for one in uploads))
    finally:
        sent.set()
        watcher.join()
    assert seen <= {"bound", "collecting", "ready"}
    run_id = os.urandom(16)
    bound.call(Op.RUN, world.run_request(agreed, keys, run_id=run_id))
    assert bound.result(run_id).to_pylist() == SPORT


def test_several_connections_bind_to_one_agreement(enclave: Enclave, agreed: Agreement) -> None:
    parents = [Parent(enclave.roots, enclave.answer) for _ in range(4)]
    at_once(*(lambda parent=parent: parent.bind(agreed) for parent in parents))
    assert len({parent.keys() for parent in parents}) == 1


def test_closing_while_another_asks(enclave: Enclave, agreed: Agreement) -> None:
    enclave.bind(agreed)
    seen: list[str] = []

    def watch() -> None:
        parent = Parent(enclave.roots, enclave.answer)
        while not seen or seen[-1] != "closed":
            seen.append(phase(parent))

    at_once(watch, lambda: Parent(enclave.roots, enclave.answer).call(Op.CLOSE))
    assert set(seen) <= {"bound", "closed"}


def at_once(*calls: Callable[[], object]) -> None:
    """All of `calls` in threads of their own, which begin together."""
    barrier = threading.Barrier(len(calls))

    def begin_together(call: Callable[[], object]) -> object:
        barrier.wait(WAIT_S)
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        for done in [threads.submit(begin_together, call) for call in calls]:
            done.result(WAIT_S)


# --- the end ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [op for op in Op if op not in (Op.STATUS, Op.CLOSE)])
def test_nothing_is_left_after_the_end(ready: Enclave, agreed: Agreement, op: Op) -> None:
    run_id = os.urandom(16)
    ready.call(Op.RUN, world.run_request(agreed, ready.keys(), run_id=run_id))
    bind_body = encode({"agreement": agreed.encode(), "approvals": world.approve(agreed)})
    ready.call(Op.CLOSE)
    fields = {"nonce": bytes(32), "dataset": "visits", "upload": bytes(16), "number": 0, "last": False}
    fields |= {"subject": "visits", "step": 1, "sequence": 1}
    with refused(Refusal.WRONG_PHASE):
        ready.call(op, bind_body, **fields, run=run_id, receiver="analyst")


def test_the_end_may_come_twice(enclave: Enclave) -> None:
    for _ in range(2):
        assert enclave.call(Op.CLOSE).header["phase"] == "closed"


def test_the_keys_go_with_the_life(
    enclave: Enclave, agreed: Agreement, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, made = EnclaveKeys.make, []

    def watched(nsm: Nsm) -> EnclaveKeys:
        keys = make(nsm)
        made.append(weakref.ref(keys))
        return keys

    monkeypatch.setattr(EnclaveKeys, "make", watched)
    enclave.bind(agreed)
    assert made[0]() is not None
    enclave.call(Op.CLOSE)
    gc.collect()
    assert made[0]() is None
