"""Every participant may ask what is left of the runs, nobody else, and the answer is the enclave's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from party_client.identity import Identity
from protos.formats import cose
from protos.formats.agreement import Agreement
from protos.formats.budget import BUDGET_LABEL, BUDGET_REQUEST_LABEL, Budget, BudgetRequest
from protos.formats.calls import Op, Refusal
from protos.formats.limits import BUDGET_MAX_BYTES, RUN_REQUEST_MAX_BYTES
from protos.formats.run_request import RUN_REQUEST_LABEL
from tests import world
from tests.enclave_fixtures import refused
from tests.world import ADVERTISER, ANALYST, PUBLISHER, STRANGER, Enclave

NONCE = bytes(range(32))


def asked(
    enclave: Enclave,
    agreed: Agreement,
    *,
    signer: Identity = ANALYST,
    typ: str = BUDGET_REQUEST_LABEL,
    **changes: Any,
) -> bytes:
    request = BudgetRequest(NONCE, agreed.digest(), enclave.keys().enclave_id, signer.id)
    request = replace(request, **changes)
    return cose.sign(request.encode(), typ=typ, key=signer.signing_key)


def left(enclave: Enclave, agreed: Agreement, signer: Identity = ANALYST) -> Budget:
    answer = enclave.call(Op.BUDGET, asked(enclave, agreed, signer=signer)).body
    key = enclave.keys().signing_key
    payload = cose.verify_untrusted(answer, typ=BUDGET_LABEL, public_key=key, max_bytes=BUDGET_MAX_BYTES)
    return Budget.decode_untrusted(payload)


@pytest.mark.parametrize("who", [ANALYST, PUBLISHER, ADVERTISER], ids=lambda who: who.id)
def test_parties_and_analysts_may_ask(bound: Enclave, agreed: Agreement, who: Identity) -> None:
    found = left(bound, agreed, who)
    assert (found.nonce, found.agreement_digest) == (NONCE, agreed.digest())
    assert found.enclave_id == bound.keys().enclave_id
    ((query, windows),) = [(item.query, item.windows) for item in found.queries]
    assert query == "totals"
    assert [(item.window, item.limit, item.left) for item in windows] == [
        ("query", 3, 3),
        ("agreement", 5, 5),
    ]


def test_what_is_left_goes_down_with_every_run_and_not_by_asking(ready: Enclave, agreed: Agreement) -> None:
    for runs in range(3):
        for _ in range(2):
            (query,) = left(ready, agreed).queries
            assert [item.left for item in query.windows] == [3 - runs, 5 - runs]
        ready.call(Op.RUN, world.run_request(agreed, ready.keys()))
    with refused(Refusal.NO_RUNS_LEFT):
        ready.call(Op.RUN, world.run_request(agreed, ready.keys()))
    assert [item.left for item in left(ready, agreed).queries[0].windows] == [0, 2]


def test_the_time_is_the_modules(bound: Enclave, agreed: Agreement) -> None:
    before_s = bound.nsm.now_ms() // 1000
    assert before_s <= left(bound, agreed).at_s <= bound.nsm.now_ms() // 1000


REFUSED: list[tuple[dict[str, Any], Refusal]] = [
    ({"signer": STRANGER}, Refusal.BAD_SIGNATURE),
    ({"typ": RUN_REQUEST_LABEL}, Refusal.BAD_SIGNATURE),
    ({"requested_by": "publisher"}, Refusal.NOT_ALLOWED),
    ({"agreement_digest": bytes(48)}, Refusal.WRONG_PLACE),
    ({"enclave_id": bytes(16)}, Refusal.WRONG_PLACE),
]


@pytest.mark.parametrize(
    ("changes", "refusal"), REFUSED, ids=["stranger", "type", "name", "agreement", "enclave"]
)
def test_who_or_what_is_refused(
    bound: Enclave, agreed: Agreement, changes: dict[str, Any], refusal: Refusal
) -> None:
    with refused(refusal):
        bound.call(Op.BUDGET, asked(bound, agreed, **changes))


@pytest.mark.parametrize(
    ("body", "refusal"),
    [(b"", Refusal.MALFORMED), (bytes(RUN_REQUEST_MAX_BYTES + 1), Refusal.OVER_LIMIT)],
    ids=["nothing", "too long"],
)
def test_what_is_no_request(bound: Enclave, body: bytes, refusal: Refusal) -> None:
    with refused(refusal):
        bound.call(Op.BUDGET, body)


def test_a_run_request_is_no_budget_request_and_the_other_way_round(
    ready: Enclave, agreed: Agreement
) -> None:
    with refused(Refusal.BAD_SIGNATURE):
        ready.call(Op.BUDGET, world.run_request(agreed, ready.keys()))
    with refused(Refusal.BAD_SIGNATURE):
        ready.call(Op.RUN, asked(ready, agreed))
