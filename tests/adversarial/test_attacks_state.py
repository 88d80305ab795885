"""Attacks on state that outlives its enclave: older ones, two at once, forged ones (13 to 16, 18, 32, 41)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from enclave_compute.errors import RefusedError
from enclave_compute.keys import EnclaveKeys
from enclave_compute.state.content import Content, StateKey
from party_client.state_memory import StateForkedError
from party_client.witnessing import (
    Decided,
    SecondLifeError,
    StateBehindError,
)
from protos.formats.calls import Op, Refusal
from protos.formats.state import (
    NOTHING_YET,
    KnownState,
    LedgerEvent,
    StateRecord,
)
from tests import world
from tests.enclave_fixtures import refused
from tests.state_world import KEY_ARN, WITNESSES, StateWorld, known, offered, said, share_of, state_world
from tests.world import ADVERTISER, PUBLISHER


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateWorld]:
    with state_world(tmp_path) as state:
        yield state


def test_the_honest_way_a_lost_enclave_is_followed_by_one_that_knows_what_it_knew(state: StateWorld) -> None:
    first = state.ready()
    enclave_id, run_id = first.keys().enclave_id, state.run(first)
    state.shown(first, run_id, "advertiser", "publisher")
    result, before = first.result(run_id), state.left(first)
    second = state.ready()
    assert second.keys() == first.keys()
    assert second.keys().enclave_id == enclave_id
    after = state.left(second)
    assert after.queries == before.queries
    assert after.sequence == before.sequence + 1, "that another life went on is an entry"
    request = world.run_request(state.agreed, second.keys(), run_id=run_id)
    with refused(Refusal.WRONG_PLACE):  # another signed request under the same id
        second.call(
            Op.RUN, world.run_request(state.agreed, second.keys(), run_id=run_id, parameters={"least": 1})
        )
    assert second.call(Op.RUN, request, run=run_id).header["receivers"] == ["analyst"]
    assert state.left(second).queries == before.queries, "charged once"
    again = state.run(second)
    assert second.result(again).equals(result)
    claims = state.claims(second, again)
    assert claims.runs_left == state.claims(first, run_id).runs_left - 1


def test_a_wrong_key_from_kms_is_asked_for_anew(state: StateWorld) -> None:
    enclave_id = state.ready().keys().enclave_id
    second = state.bound()
    state.offer(second)
    state.answer_key(second, plaintext=bytes(32))
    state.witness(second, ADVERTISER)
    with refused(Refusal.DOES_NOT_OPEN):
        state.witness(second, PUBLISHER)
    state.answer_key(second)
    for who in WITNESSES.values():
        state.witness(second, who)
    assert second.keys().enclave_id == enclave_id


# --- 15: an older state ------------------------------------------------------------------------------------


def test_attack_15_an_old_ledger_is_offered_and_a_witness_says_no(state: StateWorld) -> None:
    first = state.ready()
    old = list(state.records)
    state.shown(first, state.run(first), "advertiser")
    second = offered(state, old)
    with pytest.raises(StateBehindError, match=f"state up to entry {len(old)}, this client has seen"):
        state.statement(second, ADVERTISER)
    state.witness(second, PUBLISHER)
    with refused(Refusal.STATE_WANTED):
        second.call(Op.BEGIN, b"", dataset="visits", upload=bytes(16))


def test_attack_15_an_old_ledger_is_refused_by_the_enclave_itself(state: StateWorld) -> None:
    """Whatever the client of a witness does: its word says what it knows."""
    first = state.ready()
    old = list(state.records)
    state.shown(first, state.run(first), "advertiser")
    second = offered(state, old)
    with refused(Refusal.STATE_BEHIND):
        second.call(Op.WITNESS, said(state, second, known=known(state)))


def test_attack_15_what_a_signed_budget_showed_cannot_be_left_out(state: StateWorld) -> None:
    first = state.ready()
    old = list(state.records)
    state.run(first)
    left = state.left(first)
    state.memory("publisher").saw(left.enclave_id, sequence=left.sequence, head=left.head)
    with pytest.raises(StateBehindError):
        state.statement(offered(state, old), PUBLISHER)


def test_attack_15_no_state_is_offered_although_there_is_one(state: StateWorld) -> None:
    state.ready()
    second = offered(state, [])
    with pytest.raises(StateBehindError, match="would begin a state"):
        state.statement(second, ADVERTISER)
    with refused(Refusal.STATE_BEHIND):
        second.call(Op.WITNESS, said(state, second, known=known(state)))


def test_a_state_begins_anew_when_every_witness_says_so(state: StateWorld) -> None:
    first = state.ready()
    state.run(first)
    state.records.clear()
    state.uploads.clear()
    second = state.taken_up(Decided(anew=True))
    assert second.keys().enclave_id != first.keys().enclave_id
    state.send(second)
    assert state.left(second).sequence == 3, "begun, and two datasets"


def test_attack_15_a_life_that_was_witnessed_is_left_out(state: StateWorld) -> None:
    state.ready()
    old = list(state.records)
    state.ready()
    third = offered(state, old)
    with pytest.raises(SecondLifeError, match="it may still run"):
        state.statement(third, ADVERTISER)
    with refused(Refusal.STATE_BEHIND):
        third.call(Op.WITNESS, said(state, third, known=known(state)))


def test_attack_15_what_is_missing_from_the_ledger_is_said_before_anything_else(state: StateWorld) -> None:
    """A person who is asked whether a life wrote nothing could say yes; this client knows that it did."""
    state.ready()
    old = list(state.records)
    second = state.ready()
    state.shown(second, state.run(second), "advertiser")
    for decided in (Decided(), Decided(again=True)):
        with pytest.raises(StateBehindError, match=f"state up to entry {len(old)}, this client has seen"):
            state.statement(offered(state, old), ADVERTISER, decided)


# --- 15: two at once ---------------------------------------------------------------------------------------


def test_attack_15_two_lives_from_one_state_spend_one_budget(state: StateWorld) -> None:
    """A client lets one life go on; two need a person at each witness to say that the first is gone."""
    state.ready()
    one, other = offered(state), offered(state)
    state.witness(one, ADVERTISER)
    with pytest.raises(SecondLifeError):
        state.statement(other, ADVERTISER)
    state.witness(one, ADVERTISER)  # its own life it may repeat
    state.witness(one, PUBLISHER)
    assert one.call(Op.STATUS).header["state"]["taken_up"]


def test_attack_15_a_fork_is_refused_by_the_enclave_that_is_to_go_on_with_it(state: StateWorld) -> None:
    state.ready()
    common = list(state.records)
    one, other = offered(state), offered(state)
    for who in WITNESSES.values():
        state.witness(one, who)
        state.witness(other, who, Decided(again=True))  # two persons were deceived
    state.keep(one)
    state.send(one)
    state.shown(one, state.run(one), "advertiser")
    newest = known(state)
    state.records = list(common)
    state.keep(other)
    state.send(other)
    state.run(other)
    third = offered(state)
    # The later branch has as many entries, and the life that the advertiser witnessed last.
    last_life = StateRecord.decode_untrusted(state.records[-1]).life
    state.witness(third, PUBLISHER)
    with refused(Refusal.STATE_FORKED):
        third.call(
            Op.WITNESS,
            said(
                state,
                third,
                known=replace(newest, life=last_life),
                share=share_of(state, ADVERTISER, newest.enclave_id),
            ),
        )
    assert third.call(Op.STATUS).header["state"]["missing"] == ["advertiser", "publisher"]


def test_attack_15_a_client_sees_a_fork_in_receipts(state: StateWorld) -> None:
    first = state.ready()
    run_id = state.run(first)
    state.shown(first, run_id, "analyst")
    claims = state.claims(first, run_id)
    memory = state.memory("analyst")
    with pytest.raises(StateForkedError, match=f"entry {claims.sequence} of the enclave's ledger"):
        memory.saw(claims.enclave_id, sequence=claims.sequence, head=bytes(47) + b"\1")
    with pytest.raises(StateForkedError):
        memory.saw(
            claims.enclave_id, sequence=claims.sequence + 1, head=bytes(48), previous=bytes(47) + b"\1"
        )
    memory.saw(claims.enclave_id, sequence=claims.sequence - 1, head=b"\2" * 48)  # an older one is no news
    memory.saw(claims.enclave_id, sequence=claims.sequence + 1, head=b"\3" * 48, previous=claims.head())
    assert memory.newest(claims.enclave_id).head == b"\3" * 48


def test_attack_15_records_of_two_branches_are_put_together(state: StateWorld) -> None:
    state.ready()
    one, other = offered(state), offered(state)
    for who in WITNESSES.values():
        state.witness(one, who)
        state.witness(other, who, Decided(again=True))
    common = list(state.records)
    state.keep(one)
    state.send(one)
    state.run(one)
    branch, state.records = state.records, common
    state.keep(other)
    state.send(other)
    state.run(other)
    spliced = offered(state, [*branch[:-1], state.records[-1]])
    state.witness(spliced, PUBLISHER)
    with refused(Refusal.STATE_FORKED):
        state.witness(spliced, ADVERTISER)


# --- 15: other records -------------------------------------------------------------------------------------


def test_attack_15_records_with_a_gap_in_another_order_or_of_another_agreement(state: StateWorld) -> None:
    state.ready()
    enclave = state.bound()
    with refused(Refusal.OUT_OF_ORDER):
        enclave.call(Op.RESTORE, state.records[1])
    enclave.call(Op.RESTORE, state.records[0])
    with refused(Refusal.OUT_OF_ORDER):
        enclave.call(Op.RESTORE, state.records[2])
    foreign = KEY_ARN.replace("111122223333", "999999999999")
    first = replace(StateRecord.decode_untrusted(state.records[0]), kms_key=foreign)
    with refused(Refusal.MALFORMED):
        enclave.call(Op.RESTORE, first.encode())
    enclave.call(Op.RESTORE, state.records[1])  # what was offered before still is
    record = StateRecord.decode_untrusted(state.records[2])
    for changed, refusal in (
        (replace(record, agreement_digest=bytes(48)), Refusal.WRONG_PLACE),
        (replace(record, enclave_id=bytes(16)), Refusal.STATE_FORKED),
        (replace(record, kms_key=KEY_ARN + "1"), Refusal.STATE_FORKED),
        (replace(record, wrapped_key=b"another"), Refusal.STATE_FORKED),
    ):
        with refused(refusal):
            enclave.call(Op.RESTORE, changed.encode())


def test_attack_15_altered_records_do_not_open(state: StateWorld) -> None:
    state.run(state.ready())
    first, second = (StateRecord.decode_untrusted(record) for record in state.records[1:3])
    for changed in (
        replace(first, sealed=second.sealed),
        replace(first, sealed=first.sealed[:-1] + bytes([first.sealed[-1] ^ 1])),
        replace(first, life=b"another life, so"),
    ):
        enclave = offered(state, [state.records[0], changed.encode(), *state.records[2:]])
        state.witness(enclave, ADVERTISER, Decided(again=True))
        with refused(Refusal.DOES_NOT_OPEN):
            state.witness(enclave, PUBLISHER, Decided(again=True))
        assert enclave.call(Op.STATUS).header["state"]["missing"] == ["advertiser", "publisher"]


def test_attack_15_records_under_the_name_of_another_key_do_not_open(state: StateWorld) -> None:
    """Two keys in KMS may let go of the same: what is readable of a record is as it was written."""
    state.ready()
    records = [replace(StateRecord.decode_untrusted(one), kms_key=KEY_ARN + "9") for one in state.records]
    enclave = offered(state, [record.encode() for record in records])
    state.witness(enclave, ADVERTISER)
    with refused(Refusal.DOES_NOT_OPEN):
        state.witness(enclave, PUBLISHER)


def test_attack_14_whoever_may_use_the_key_makes_a_state_of_its_own(state: StateWorld) -> None:
    """KMS lets go of a key that somebody else made, and cannot say who wrote the records. Witnesses can."""
    state.ready()
    data_key, shares = os.urandom(32), [bytes(32), bytes(32)]
    keys = EnclaveKeys.make(state.bound().nsm)
    life = keys.enclave_id
    event = LedgerEvent(state.agreed.digest(), life, 1, NOTHING_YET, "begun", life.hex(), bytes(48))
    place = StateRecord(state.agreed.digest(), life, life, 1, KEY_ARN, b"made with Encrypt", b"")
    forged = StateKey(data_key, shares).seal(place, Content(event.encode(), 0, secrets=keys.secrets))
    state.kms[b"made with Encrypt"] = data_key
    enclave = offered(state, [forged.encode()])
    with pytest.raises(StateForkedError, match="this client knows one of"):
        state.statement(enclave, ADVERTISER)
    with refused(Refusal.STATE_FORKED):
        enclave.call(Op.WITNESS, said(state, enclave, known=known(state)))
    with refused(Refusal.STATE_FORKED):  # nor does it help to know nothing
        enclave.call(Op.WITNESS, said(state, enclave, known=None))
    enclave.call(
        Op.WITNESS,
        said(state, enclave, signer=PUBLISHER, known=KnownState(life, life, 0, NOTHING_YET)),
    )
    assert enclave.call(Op.STATUS).header["state"]["missing"] == ["advertiser"], (
        "one accomplice is not enough"
    )


def test_the_key_of_kms_alone_opens_nothing(state: StateWorld) -> None:
    """Whoever runs the key's account, with all records, lacks the shares of the witnesses."""
    state.run(state.ready())
    (data_key,) = state.kms.values()
    for record in map(StateRecord.decode_untrusted, state.records):
        for shares in ([], [bytes(32)] * 2, [share_of(state, PUBLISHER, record.enclave_id)] * 2):
            with pytest.raises(RefusedError, match="does-not-open"):
                StateKey(data_key, shares).open_untrusted(record)
