"""An enclave is bound when everything has been verified, once, in a register that keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from hashlib import sha384
from pathlib import Path
from typing import Any

import pytest

from enclave_compute.binding import AGREEMENT_PCR
from enclave_compute.calls import answer_untrusted
from enclave_compute.life import Life
from enclave_compute.nsm import Nsm
from protos.formats import limits
from protos.formats.agreement import Agreement
from protos.formats.calls import Op, Refusal
from protos.formats.canonical import encode
from tests import world
from tests.enclave_fixtures import refused
from tests.world import PUBLISHER, Enclave, Parent


def assert_register_is_fresh(enclave: Enclave) -> None:
    state = enclave.nsm.describe_pcr(AGREEMENT_PCR)
    assert (state.locked, state.data) == (False, bytes(48))


def test_the_register_holds_the_agreement_and_is_locked(bound: Enclave, agreed: Agreement) -> None:
    state = bound.nsm.describe_pcr(AGREEMENT_PCR)
    assert state.locked
    assert state.data == sha384(bytes(48) + agreed.digest()).digest()


def test_a_party_finds_the_enclave_bound_to_what_it_signed(bound: Enclave, agreed: Agreement) -> None:
    assert bound.verify(agreed).keys == bound.keys()


@pytest.mark.parametrize(
    ("changes", "signers", "refusal"),
    [
        ({}, [PUBLISHER], Refusal.NOT_IN_FORCE),
        ({"queries": (world.query(sql="SELECT email AS email FROM visits"),)}, None, Refusal.QUERY_REFUSED),
        ({"valid_until_s": world.VALID_FROM_S + 1}, None, Refusal.NOT_VALID_NOW),
    ],
    ids=["not in force", "a query that may not run", "not valid now"],
)
def test_a_refused_agreement_leaves_the_enclave_as_it_was(
    enclave: Enclave, agreed: Agreement, changes: Any, signers: Any, refusal: Refusal
) -> None:
    bad = replace(agreed, **changes)
    with refused(refusal):
        enclave.bind(bad, world.approve(bad, signers) if signers else None)
    assert_register_is_fresh(enclave)
    assert enclave.call(Op.STATUS).header["phase"] == "empty"
    enclave.bind(agreed)


def extend(nsm: Nsm) -> None:
    # To something that has a zero in it, as a fresh register has.
    data = next(data for data in map(bytes, range(10_000)) if 0 in sha384(bytes(48) + data).digest())
    nsm.extend_pcr(AGREEMENT_PCR, data)


def lock(nsm: Nsm) -> None:
    nsm.lock_pcr(AGREEMENT_PCR)


@pytest.mark.parametrize("touch", [extend, lock])
def test_a_register_that_somebody_touched_is_refused(
    enclave: Enclave, agreed: Agreement, touch: Callable[[Nsm], None]
) -> None:
    touch(enclave.nsm)
    with refused(Refusal.ALREADY_BOUND):
        enclave.bind(agreed)
    assert enclave.call(Op.STATUS).header["phase"] == "empty"


def test_a_process_that_starts_again_in_the_same_enclave_is_not_bound_again(
    bound: Enclave, agreed: Agreement
) -> None:
    again = Parent(bound.roots, partial(answer_untrusted, Life(bound.nsm)))
    with refused(Refusal.ALREADY_BOUND):
        again.bind(agreed)


@pytest.mark.parametrize(
    ("moment_s", "is_valid"),
    [
        (world.VALID_FROM_S - 1, False),
        (world.VALID_FROM_S, True),
        (world.VALID_UNTIL_S - 1, True),
        (world.VALID_UNTIL_S, False),
    ],
)
def test_the_first_second_counts_and_the_last_does_not(
    tmp_path: Path, agreed: Agreement, moment_s: int, is_valid: bool
) -> None:
    with world.simulated_enclave(tmp_path, clock=datetime.fromtimestamp(moment_s, UTC)) as enclave:
        if is_valid:
            enclave.bind(agreed)
        else:
            with refused(Refusal.NOT_VALID_NOW):
                enclave.bind(agreed)


def test_binding_again_is_answered_and_changes_nothing(bound: Enclave, agreed: Agreement) -> None:
    keys = bound.keys()
    bound.bind(agreed)
    bound.bind(agreed, [])  # it is in force already: what comes with it is not looked at
    assert bound.keys() == keys


@pytest.mark.parametrize(
    "approvals", [["text"], [b""], [bytes(limits.APPROVAL_MAX_BYTES + 1)], b"", None], ids=str
)
def test_approvals_that_are_no_byte_strings(enclave: Enclave, agreed: Agreement, approvals: Any) -> None:
    with refused(Refusal.MALFORMED):
        enclave.call(Op.BIND, encode({"agreement": agreed.encode(), "approvals": approvals}))


def test_as_many_approvals_as_a_board_keeps_are_looked_through(enclave: Enclave, agreed: Agreement) -> None:
    genuine = world.approve(agreed)
    junk = [bytes(limits.APPROVAL_MAX_BYTES)] * (limits.APPROVALS_MAX - len(genuine))
    enclave.bind(agreed, [*junk, *genuine])


def test_more_approvals_than_a_board_keeps(enclave: Enclave, agreed: Agreement) -> None:
    approvals = [b"x"] * (limits.APPROVALS_MAX + 1)
    with refused(Refusal.OVER_LIMIT):
        enclave.call(Op.BIND, encode({"agreement": agreed.encode(), "approvals": approvals}))


def test_the_largest_request_that_there_can_be_is_read(enclave: Enclave) -> None:
    approvals = [bytes(limits.APPROVAL_MAX_BYTES)] * limits.APPROVALS_MAX
    body = encode({"agreement": bytes(limits.AGREEMENT_MAX_BYTES), "approvals": approvals})
    with refused(Refusal.MALFORMED):  # not for its size
        enclave.call(Op.BIND, body)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"agreement": b"x"},
        {"agreement": b"x", "approvals": [], "more": 1},
        {"agreement": "text", "approvals": []},
        {"agreement": b"", "approvals": []},
        {"agreement": bytes(limits.AGREEMENT_MAX_BYTES + 1), "approvals": []},
        [b"x", []],
    ],
    ids=lambda body: f"{type(body).__name__} of {len(body)}",
)
def test_a_request_that_is_no_agreement_with_approvals(enclave: Enclave, body: Any) -> None:
    with refused(Refusal.MALFORMED):
        enclave.call(Op.BIND, encode(body))


def test_an_agreement_with_one_byte_more_is_no_agreement(enclave: Enclave, agreed: Agreement) -> None:
    body = encode({"agreement": agreed.encode() + b"\0", "approvals": world.approve(agreed)})
    with refused(Refusal.MALFORMED):
        enclave.call(Op.BIND, body)


def test_code_that_is_agreed_under_two_roots_lasts_as_long_as_either(
    enclave: Enclave, agreed: Agreement
) -> None:
    """Which root vouches for it an enclave does not know; parties look at both."""
    (own,) = agreed.releases
    ended = replace(own, root_sha256=bytes(32), valid_until_s=world.VALID_FROM_S + 1)
    enclave.bind(replace(agreed, releases=(ended, own)))


def test_code_whose_time_is_over_is_not_bound(enclave: Enclave, agreed: Agreement) -> None:
    (own,) = agreed.releases
    over, to_come = replace(own, valid_until_s=world.VALID_FROM_S + 1), replace(own, valid_from_s=2**40)
    for release in (over, to_come):
        with refused(Refusal.NOT_VALID_NOW):
            enclave.bind(replace(agreed, releases=(release,)))
        assert_register_is_fresh(enclave)
    other = replace(own, pcr2=bytes([1]) * 48, valid_until_s=world.VALID_FROM_S + 1)
    enclave.bind(replace(agreed, releases=(other,)))
