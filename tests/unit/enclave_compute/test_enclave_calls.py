"""At the boundary: exact answers, one code for every fault, and nothing that a fault would say."""

from __future__ import annotations

import os
from typing import Any

import pytest

from enclave_compute.calls import answer_untrusted
from enclave_compute.life import Life
from protos.formats.agreement import Agreement
from protos.formats.calls import Op, Refusal
from protos.formats.canonical import encode
from protos.formats.frames import Frame
from tests import world
from tests.world import PURCHASES, VISITS, Enclave

VALID: dict[Op, dict[str, Any]] = {
    Op.ATTEST: {"nonce": bytes(32)},
    Op.BEGIN: {"dataset": "visits", "upload": bytes(16)},
    Op.CHUNK: {"upload": bytes(16), "number": 0, "last": False},
    Op.FINISH: {"upload": bytes(16)},
    Op.ERRAND: {"subject": "visits", "step": 1},
    Op.RESULT: {"run": bytes(16), "receiver": "analyst"},
    Op.RECEIPT: {"run": bytes(16)},
}
WRONG: dict[str, list[object]] = {
    "nonce": [None, bytes(31), bytes(33), "x" * 32, b""],
    "dataset": [None, "Visits", "", b"visits", 1, "v" * 64],
    "upload": [None, bytes(15), bytes(17), "x" * 16],
    "number": [None, -1, 2**24 + 1, True, "0"],
    "last": [None, 0, 1, "false"],
    "subject": [None, "", b"visits", 1, "v" * 65],
    "step": [None, 0, -1, True, "1"],
    "run": [None, bytes(15), bytes(17), "x" * 16],
    "receiver": [None, "Analyst", "", b"analyst", 1],
}
CASES = [
    (op, name, wrong) for op, fields in VALID.items() for name in fields for wrong in (*WRONG[name], ...)
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An enclave with all its data, for calls that change nothing."""
    with world.simulated_enclave(tmp_path_factory.mktemp("machine")) as enclave:
        (root,) = enclave.roots
        agreed = world.agreement(root.sha256)
        enclave.bind(agreed)
        for name, table in (("visits", VISITS), ("purchases", PURCHASES)):
            enclave.upload(world.seal(agreed, enclave.keys(), name, [table]))
        yield enclave


@pytest.mark.parametrize(("op", "name", "wrong"), CASES, ids=str)
def test_every_field_has_one_type_and_size(served: Enclave, op: Op, name: str, wrong: Any) -> None:
    header = {"op": str(op), "id": 1, **VALID[op], name: wrong}
    if wrong is ...:
        del header[name]
    assert served.answer(Frame(header)) == Frame({"id": 1, "error": "malformed"})


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [(0, 0), (2**63 - 1, 2**63 - 1), (-1, 0), (True, 0), ("1", 0), (None, 0), ([1], 0)],
    ids=str,
)
def test_the_answer_carries_the_id_of_its_request(served: Enclave, sent: Any, echoed: int) -> None:
    for op in ("status", "none"):
        assert served.answer(Frame({"op": op, "id": sent})).header["id"] == echoed


@pytest.mark.parametrize("op", [None, 0, "", "STATUS", b"status", [], ["status"], {}, "status\0"], ids=str)
def test_there_are_no_other_calls(served: Enclave, op: Any) -> None:
    assert served.answer(Frame({"op": op, "id": 1})) == Frame({"id": 1, "error": "malformed"})


def test_what_each_call_answers(enclave: Enclave, agreed: Agreement) -> None:
    slots = [{"dataset": "visits", "complete": True}, {"dataset": "purchases", "complete": True}]
    bind = encode({"agreement": agreed.encode(), "approvals": world.approve(agreed)})
    assert enclave.call(Op.BIND, bind).header == {"id": 1, "ok": True, "phase": "bound"}
    attested = enclave.call(Op.ATTEST, nonce=bytes(32))
    assert attested.header == {"id": 2, "ok": True}
    for name, table in (("visits", VISITS), ("purchases", PURCHASES)):
        upload = world.seal(agreed, enclave.keys(), name, [table])
        begun = enclave.call(Op.BEGIN, upload.signed_header, dataset=name, upload=upload.upload_id)
        assert begun.header == {"id": begun.header["id"], "ok": True, "next": 0}
        taken = enclave.call(Op.CHUNK, upload.chunks[0], upload=upload.upload_id, number=0, last=True)
        assert taken.header == {"id": taken.header["id"], "ok": True, "next": 1}
        finished = enclave.call(Op.FINISH, upload.signed_manifest, upload=upload.upload_id)
        assert finished.header.keys() == {"id", "ok"}
    run_id = os.urandom(16)
    ran = enclave.call(Op.RUN, world.run_request(agreed, enclave.keys(), run_id=run_id))
    assert ran == Frame({"id": ran.header["id"], "ok": True, "receivers": ["analyst"]})
    for fetched in (
        enclave.call(Op.RESULT, run=run_id, receiver="analyst"),
        enclave.call(Op.RECEIPT, run=run_id),
    ):
        assert fetched.header.keys() == {"id", "ok"}
    status = enclave.call(Op.STATUS)
    expected = {"id": status.header["id"], "ok": True, "phase": "released", "slots": slots}
    assert status == Frame({**expected, "errands": [], "state": None})
    closed = enclave.call(Op.CLOSE)
    assert closed == Frame({"id": closed.header["id"], "ok": True, "phase": "closed"})


def test_only_a_chunk_out_of_order_says_which_is_next(enclave: Enclave, agreed: Agreement) -> None:
    enclave.bind(agreed)
    upload = world.seal(agreed, enclave.keys(), "visits", [VISITS, VISITS])
    enclave.call(Op.BEGIN, upload.signed_header, dataset="visits", upload=upload.upload_id)
    fields = {"op": "chunk", "id": 1, "upload": upload.upload_id, "last": True}
    out_of_order = enclave.answer(Frame({**fields, "number": 1}, upload.chunks[1]))
    assert out_of_order == Frame({"id": 1, "error": "out-of-order", "next": 0})
    altered = enclave.answer(Frame({**fields, "number": 0}, upload.chunks[1]))
    assert altered == Frame({"id": 1, "error": "does-not-open"})


@pytest.mark.parametrize(
    "fault", [RuntimeError("bob@x.org"), KeyError("bob@x.org"), OSError("bob@x.org"), AssertionError()]
)
def test_a_fault_of_the_enclave_says_nothing(
    served: Enclave, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fail(_: Life) -> None:
        raise fault

    monkeypatch.setattr(Life, "slots", fail)
    answer = answer_untrusted(served.life, Frame({"op": "status", "id": 1}))
    assert answer == Frame({"id": 1, "error": str(Refusal.INTERNAL)})
