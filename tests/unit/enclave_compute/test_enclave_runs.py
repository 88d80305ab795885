"""A run needs somebody's signed request that fits the agreement; a receipt says what it was."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from enclave_compute.nsm import Nsm
from party_client.attestation import AnyMeasurementUnsafe, verify_replay
from protos.formats import cose, limits
from protos.formats.agreement import Agreement, Limits
from protos.formats.binding import receipt_user_data
from protos.formats.calls import Op, Refusal
from protos.formats.canonical import encode
from protos.formats.receipt import Claims, Receipt
from protos.formats.result import SealedResult, open_result, result_digest
from protos.formats.run_request import RUN_REQUEST_LABEL
from tests import world
from tests.enclave_fixtures import refused
from tests.world import ADVERTISER, ANALYST, PUBLISHER, PURCHASES, VISITS, Enclave


def run(enclave: Enclave, agreed: Agreement, **changes: Any) -> bytes:
    """A fresh run; its id."""
    run_id = os.urandom(16)
    enclave.call(Op.RUN, world.run_request(agreed, enclave.keys(), run_id=run_id, **changes))
    return run_id


def made_ready(enclave: Enclave, agreed: Agreement) -> None:
    enclave.bind(agreed)
    for name, table in (("visits", VISITS), ("purchases", PURCHASES)):
        enclave.upload(world.seal(agreed, enclave.keys(), name, [table]))


# --- the request ------------------------------------------------------------------------------------------


def test_a_request_with_a_changed_bit(ready: Enclave, agreed: Agreement) -> None:
    request = world.run_request(agreed, ready.keys())
    with refused(Refusal.BAD_SIGNATURE):
        ready.call(Op.RUN, request[:-1] + bytes([request[-1] ^ 1]))


def test_another_message_by_the_same_key_is_no_request(ready: Enclave) -> None:
    with refused(Refusal.BAD_SIGNATURE):
        ready.call(Op.RUN, cose.sign(b"payload", typ="concordat/other/v1", key=ANALYST.signing_key))


@pytest.mark.parametrize(
    ("message", "refusal"),
    [
        (b"", Refusal.MALFORMED),
        (encode([b"", {}, b"", bytes(64)]), Refusal.MALFORMED),
        (cose.sign(b"\xff", typ=RUN_REQUEST_LABEL, key=ANALYST.signing_key), Refusal.MALFORMED),
        (bytes(limits.RUN_REQUEST_MAX_BYTES + 1), Refusal.OVER_LIMIT),
        (
            cose.sign(
                bytes(limits.RUN_REQUEST_MAX_BYTES - 100), typ=RUN_REQUEST_LABEL, key=ANALYST.signing_key
            ),
            Refusal.OVER_LIMIT,
        ),
    ],
    ids=["nothing", "no key id", "no request inside", "too long", "too long with its signature"],
)
def test_what_is_no_request(ready: Enclave, message: bytes, refusal: Refusal) -> None:
    with refused(refusal):
        ready.call(Op.RUN, message)


def test_nobody_asks_in_anothers_name(enclave: Enclave, agreed: Agreement) -> None:
    both = replace(agreed, queries=(world.query(run_by=("advertiser", "analyst")),))
    made_ready(enclave, both)
    run(enclave, both, signer=ADVERTISER)
    with refused(Refusal.NOT_ALLOWED):  # though either of them may
        run(enclave, both, signer=ADVERTISER, requested_by="analyst")


@pytest.mark.parametrize(
    "parameters",
    [{}, {"least": 0, "more": 1}, {"most": 0}, {"least": -1}, {"least": 101}, {"least": "0"}],
    ids=str,
)
def test_parameters_that_were_not_agreed(ready: Enclave, agreed: Agreement, parameters: Any) -> None:
    with refused(Refusal.NOT_ALLOWED):
        run(ready, agreed, parameters=parameters)


def test_parameters_reach_the_query(ready: Enclave, agreed: Agreement) -> None:
    most = run(ready, agreed, parameters={"least": 20})
    assert ready.result(most).to_pylist() == [], "only Bob is left, who is fewer than two"


# --- how often --------------------------------------------------------------------------------------------


def test_queries_share_the_agreements_runs(enclave: Enclave, agreed: Agreement) -> None:
    two = replace(
        agreed,
        queries=(world.query(), world.query(id="again")),
        limits=Limits(memory_mib=512, threads=1, max_runs=3),
    )
    made_ready(enclave, two)
    for name in ("totals", "again", "again"):
        run(enclave, two, query=name)
    for name in ("totals", "again"):
        with refused(Refusal.NO_RUNS_LEFT):
            run(enclave, two, query=name)


def test_after_its_validity_what_was_released_can_be_fetched_and_no_more_run(
    ready: Enclave, agreed: Agreement, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = os.urandom(16)
    request = world.run_request(agreed, ready.keys(), run_id=run_id)
    ready.call(Op.RUN, request)
    fresh = world.run_request(agreed, ready.keys())
    monkeypatch.setattr(Nsm, "now_ms", lambda _: world.VALID_UNTIL_S * 1000)
    with refused(Refusal.NOT_VALID_NOW):
        ready.call(Op.RUN, fresh)
    assert ready.call(Op.RUN, request).header["receivers"] == ["analyst"]
    assert ready.result(run_id).num_rows == 1


def test_the_enclaves_time_is_never_set_back(
    ready: Enclave, agreed: Agreement, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shown_s in (world.VALID_UNTIL_S, world.VALID_FROM_S):
        monkeypatch.setattr(Nsm, "now_ms", lambda _, shown_s=shown_s: shown_s * 1000)
        with refused(Refusal.NOT_VALID_NOW):
            run(ready, agreed)


# --- what leaves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [Op.RESULT, Op.RECEIPT])
def test_a_run_that_never_was(ready: Enclave, op: Op) -> None:
    with refused(Refusal.UNKNOWN):
        ready.call(op, run=bytes(16), receiver="analyst")


def test_each_receiver_has_a_result_of_its_own(enclave: Enclave, agreed: Agreement) -> None:
    both = replace(agreed, queries=(world.query(run_by=("advertiser",), receivers=("analyst", "publisher")),))
    made_ready(enclave, both)
    run_id = os.urandom(16)
    request = world.run_request(both, enclave.keys(), run_id=run_id, signer=ADVERTISER)
    assert enclave.call(Op.RUN, request).header["receivers"] == ["analyst", "publisher"]
    assert enclave.result(run_id, ANALYST).equals(enclave.result(run_id, PUBLISHER))
    with refused(Refusal.UNKNOWN):  # who asked receives nothing
        enclave.call(Op.RESULT, run=run_id, receiver="advertiser")


def test_the_receipt_says_what_was_run_and_what_left(ready: Enclave, agreed: Agreement) -> None:
    run_id = run(ready, agreed, parameters={"least": 5})
    receipt = Receipt.decode_untrusted(ready.call(Op.RECEIPT, run=run_id).body)
    claims = Claims.decode_untrusted(receipt.claims)
    assert claims.agreement_digest == agreed.digest()
    assert claims.enclave_id == ready.keys().enclave_id
    assert (claims.run_id, claims.query) == (run_id, "totals")
    assert claims.query_digest == agreed.query("totals").digest()
    assert (claims.parameters, claims.requested_by) == ({"least": 5}, "analyst")
    assert claims.receivers == ("analyst",)
    assert (claims.sequence, claims.runs_left) == (1, 2)
    assert [rule.groups_at_most for rule in claims.suppressed] == [10, 10, 0], "`news`, for both owners"
    sealed = SealedResult.decode_untrusted(ready.call(Op.RESULT, run=run_id, receiver="analyst").body)
    assert claims.result_digest == result_digest(open_result(sealed, key=ANALYST.receiving_key))


def test_the_receipt_carries_the_agreement_and_the_modules_word(ready: Enclave, agreed: Agreement) -> None:
    receipt = Receipt.decode_untrusted(ready.call(Op.RECEIPT, run=run(ready, agreed)).body)
    assert receipt.agreement == agreed.encode()
    assert list(receipt.approvals) == world.approve(agreed)
    attested = verify_replay(receipt.attestation, roots=ready.roots, policy=AnyMeasurementUnsafe())
    assert attested.document.user_data == receipt_user_data(receipt.claims)
