"""Attacks on state that outlives its enclave: older ones, two at once, forged ones (13 to 16, 18, 32, 41)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from enclave_compute import disclosure
from enclave_compute.errors import RefusedError
from enclave_compute.keys import EnclaveKeys
from enclave_compute.kms.request import KeyAnswer
from enclave_compute.state.content import Content, StateKey
from party_client.identity import Identity
from party_client.state_memory import StateForkedError
from party_client.witnessing import (
    Decided,
    SecondLifeError,
    StateBehindError,
    WitnessError,
    verify_proposal_untrusted,
)
from protos.formats import cose, hpke
from protos.formats.calls import Op, Refusal
from protos.formats.canonical import Value
from protos.formats.errors import SignatureError
from protos.formats.kms import STATE_SUBJECT
from protos.formats.state import (
    NOTHING_YET,
    STATEMENT_LABEL,
    KnownState,
    LedgerEvent,
    StateRecord,
    StateStatement,
)
from tests import world
from tests.enclave_fixtures import refused
from tests.state_world import KEY_ARN, WITNESSES, StateWorld, state_world
from tests.unit.party_client.noisy_agreement import noisy
from tests.world import ADVERTISER, PUBLISHER, STRANGER, Enclave


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateWorld]:
    with state_world(tmp_path) as state:
        yield state


def known(state: StateWorld, who: str = "advertiser") -> KnownState:
    """What a witness knows, honestly."""
    memory = state.memory(who)
    witnessed = memory.witnessed()
    assert witnessed is not None
    seen = memory.newest(witnessed.enclave_id)
    return KnownState(witnessed.enclave_id, witnessed.life, seen.sequence, seen.head)


def said(
    state: StateWorld,
    enclave: Enclave,
    *,
    signer: Identity = ADVERTISER,
    share: bytes = bytes(32),
    **changes: Any,
) -> bytes:
    """A statement that no client would make."""
    keys = enclave.keys()
    fields = {
        "agreement_digest": state.agreed.digest(),
        "party": signer.id,
        "life": keys.enclave_id,
        "known": None,
        **changes,
    }
    unsealed = StateStatement(**fields, share=b"")
    sealed = hpke.seal(share, public_key=keys.hpke_public_key, info=unsealed.share_info())
    return cose.sign(replace(unsealed, share=sealed).encode(), typ=STATEMENT_LABEL, key=signer.signing_key)


def offered(state: StateWorld, records: list[bytes] | None = None) -> Enclave:
    """A new enclave that was offered what is kept, or `records`, and has the key."""
    enclave = state.bound()
    state.offer(enclave, records)
    state.answer_key(enclave)
    return enclave


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


# --- 15: an older state ------------------------------------------------------------------------------------


def test_attack_15_an_old_ledger_is_offered_and_a_witness_says_no(state: StateWorld) -> None:
    first = state.ready()
    old = list(state.records)
    state.shown(first, state.run(first), "advertiser")
    second = offered(state, old)
    with pytest.raises(StateBehindError, match=f"state with {len(old)} entries, this client has seen"):
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


def share_of(state: StateWorld, who: Identity, enclave_id: bytes) -> bytes:
    return who.secret_for(f"state {state.agreed.digest().hex()} {enclave_id.hex()}", 32)


# --- 15: other records -------------------------------------------------------------------------------------


def test_attack_15_records_with_a_gap_in_another_order_or_of_another_agreement(state: StateWorld) -> None:
    state.ready()
    enclave = state.bound()
    with refused(Refusal.OUT_OF_ORDER):
        enclave.call(Op.RESTORE, state.records[1])
    enclave.call(Op.RESTORE, state.records[0])
    with refused(Refusal.OUT_OF_ORDER):
        enclave.call(Op.RESTORE, state.records[2])
    record = StateRecord.decode_untrusted(state.records[1])
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


# --- 15: other statements ----------------------------------------------------------------------------------


def test_attack_15_statements_of_strangers_for_others_and_of_others(state: StateWorld) -> None:
    enclave = state.bound()
    state.answer_key(enclave)
    for statement, refusal in (
        (said(state, enclave, signer=STRANGER), Refusal.BAD_SIGNATURE),
        (said(state, enclave, signer=world.ANALYST), Refusal.BAD_SIGNATURE),
        (said(state, enclave, party="publisher"), Refusal.WRONG_PLACE),
        (said(state, enclave, life=bytes(16)), Refusal.WRONG_PLACE),
        (said(state, enclave, agreement_digest=bytes(48)), Refusal.WRONG_PLACE),
        (said(state, state.bound()), Refusal.WRONG_PLACE),
        (said(state, enclave)[:-1] + b"\0", Refusal.BAD_SIGNATURE),
    ):
        with refused(refusal):
            enclave.call(Op.WITNESS, statement)
    assert enclave.call(Op.STATUS).header["state"]["missing"] == ["advertiser", "publisher"]


def test_attack_15_a_statement_is_replayed_for_a_later_life(state: StateWorld) -> None:
    state.ready()
    second = offered(state)
    statement = state.statement(second, ADVERTISER).signed
    third = offered(state)
    with refused(Refusal.WRONG_PLACE):
        third.call(Op.WITNESS, statement)


def test_attack_15_a_share_that_was_sealed_to_another_life(state: StateWorld) -> None:
    enclave, other = state.bound(), state.bound()
    statement = said(state, other, life=enclave.keys().enclave_id)
    with refused(Refusal.DOES_NOT_OPEN):
        enclave.call(Op.WITNESS, statement)


def test_attack_15_a_witness_is_shown_the_proposal_of_another_enclave(state: StateWorld) -> None:
    enclave, other = state.bound(), state.bound()
    with pytest.raises(SignatureError):
        verify_proposal_untrusted(
            other.call(Op.PROPOSAL).body, agreement=state.agreed, enclave=enclave.verify(state.agreed)
        )


def test_attack_15_what_was_offered_is_changed_after_a_witness_has_spoken(state: StateWorld) -> None:
    state.ready()
    everything = list(state.records)
    enclave = state.bound()
    state.offer(enclave, everything[:-1])
    state.answer_key(enclave)
    state.witness(enclave, PUBLISHER)
    state.offer(enclave, everything[-1:])
    assert enclave.call(Op.STATUS).header["state"]["missing"] == ["advertiser", "publisher"]
    with pytest.raises(WitnessError):
        # Of a witness that has lost what it knew nobody takes a word.
        (state.folder / "memories" / "publisher" / f"{state.agreed.digest().hex()}.witnessed").unlink()
        state.statement(enclave, PUBLISHER)


def test_attack_15_the_same_life_proposes_one_state_and_then_another(state: StateWorld) -> None:
    state.ready()
    earlier, state.records = state.records, []
    state.uploads.clear()
    state.taken_up(Decided(anew=True))
    enclave = offered(state)
    state.witness(enclave, ADVERTISER)
    state.witness(enclave, ADVERTISER)  # again, on a line that broke
    state.offer(enclave, earlier)
    with pytest.raises(StateForkedError, match="proposes another state"):
        state.statement(enclave, ADVERTISER)


def test_attack_15_nothing_is_done_before_every_witness_has_spoken(state: StateWorld) -> None:
    enclave = state.bound()
    state.witness(enclave, ADVERTISER)
    state.answer_key(enclave)
    asked: tuple[tuple[Op, dict[str, Value]], ...] = (
        (Op.BEGIN, {"dataset": "visits", "upload": bytes(16)}),
        (Op.BUDGET, {}),
        (Op.RECORD, {"sequence": 1}),
    )
    for op, fields in asked:
        with refused(Refusal.STATE_WANTED):
            enclave.call(op, b"x", **fields)
    state.witness(enclave, PUBLISHER)
    assert enclave.call(Op.RECORD, sequence=1).body
    with refused(Refusal.WRONG_PHASE):  # what has been taken up stays
        state.offer(enclave, [enclave.call(Op.RECORD, sequence=1).body])
    with refused(Refusal.WRONG_PHASE):
        enclave.call(Op.WITNESS, said(state, enclave))
    with refused(Refusal.WRONG_PHASE):
        enclave.call(Op.PROPOSAL)


def test_an_answer_of_kms_for_what_was_offered_before_is_not_taken(state: StateWorld) -> None:
    state.ready()
    enclave = state.bound()
    bound = enclave.life._state
    assert bound is not None
    stale = bound.errands._wants[STATE_SUBJECT]
    state.offer(enclave)
    stale.on_answer(KeyAnswer(bytes(32), b"blob", KEY_ARN))
    assert [want.operation for want in enclave.life.wanted()] == ["Decrypt"]
    state.answer_key(enclave)
    for who in WITNESSES.values():
        state.witness(enclave, who)
    assert enclave.call(Op.STATUS).header["state"]["taken_up"]


def test_an_agreement_without_state_has_none(tmp_path: Path) -> None:
    with state_world(tmp_path, lambda agreed: replace(agreed, state=None)) as state:
        enclave = state.bound()
        assert enclave.call(Op.STATUS).header["state"] is None
        for op in (Op.PROPOSAL, Op.RESTORE, Op.WITNESS):
            with refused(Refusal.WRONG_PHASE):
                enclave.call(op, b"x")
        with refused(Refusal.STATE_WANTED):
            enclave.call(Op.RECORD, sequence=1)


# --- What the next life does -------------------------------------------------------------------------------


def test_attack_32_another_life_has_no_runs_that_the_first_one_spent(state: StateWorld) -> None:
    for _ in range(3):
        state.run(state.ready())
    enclave = state.ready()
    with refused(Refusal.NO_RUNS_LEFT):
        enclave.call(Op.RUN, world.run_request(state.agreed, enclave.keys()))


def test_attack_32_privacy_budgets_go_on_and_lost_runs_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with state_world(tmp_path, noisy) as state:
        first = state.ready()
        state.run(first)
        with monkeypatch.context() as patch:
            patch.setattr(disclosure, "draw", raising)
            with refused(Refusal.OUT_OF_RESOURCES):
                first.call(Op.RUN, world.run_request(state.agreed, first.keys()))
        state.keep(first)
        (before,) = state.left(first).privacy
        second = state.ready()
        (after,) = state.left(second).privacy
        assert after == before
        charge = state.claims(first, state.run(first)).privacy[0].cost
        assert before.spent.amount == 2 * charge.amount, "the run that was lost as well"


def raising(*_: object) -> None:
    raise RefusedError(Refusal.OUT_OF_RESOURCES, "as if")


def test_attack_18_another_life_compares_with_what_the_first_one_released(tmp_path: Path) -> None:
    amounts = pa.array([10, 20, 30], pa.int64())
    purchases = pa.table({"email": ["ann@x.org", "bob@x.org", "cem@x.org"], "amount": amounts})
    rows = []
    for name, asked_before in (("compared", True), ("alone", False)):
        with state_world(tmp_path / name) as state:
            state.tables["purchases"] = purchases
            first = state.ready()
            if asked_before:
                assert first.result(state.run(first, parameters={"least": 0})).num_rows == 1
            second = state.ready()
            # The same people less Ann.
            rows.append(second.result(state.run(second, parameters={"least": 15})).num_rows)
    assert rows == [0, 1]


def test_attack_13_another_dataset_in_place_of_the_one_that_was_accepted(state: StateWorld) -> None:
    first = state.ready()
    state.run(first)
    second = state.taken_up()
    other = world.seal(state.agreed, second.keys(), "visits", [world.VISITS.slice(1)])
    with refused(Refusal.MANIFEST_MISMATCH):
        second.upload(other)
    state.send(second)
    assert second.call(Op.STATUS).header["phase"] == "ready"


def test_attack_16_results_of_an_earlier_life_are_with_whoever_fetched_them(state: StateWorld) -> None:
    run_id = state.run(state.ready())
    second = state.ready()
    with refused(Refusal.UNKNOWN):
        second.call(Op.RESULT, run=run_id, receiver="analyst")
    with refused(Refusal.UNKNOWN):
        second.call(Op.RECEIPT, run=run_id)


def test_no_run_is_carried_out_before_the_data_is_back(state: StateWorld) -> None:
    state.run(state.ready())
    second = state.taken_up()
    with refused(Refusal.NOT_READY):
        second.call(Op.RUN, world.run_request(state.agreed, second.keys()))


# --- 41: nothing lives longer than it may ------------------------------------------------------------------


def test_attack_41_a_state_is_not_taken_up_after_the_agreement_has_ended(state: StateWorld) -> None:
    state.run(state.ready())
    late = datetime.fromtimestamp(world.VALID_UNTIL_S + 60, UTC)
    with world.simulated_enclave(state.folder / "machine", clock=late) as enclave:
        with refused(Refusal.NOT_VALID_NOW):
            enclave.bind(state.agreed)
        with refused(Refusal.WRONG_PHASE):
            enclave.call(Op.RESTORE, state.records[0])


def test_attack_41_records_show_nothing_of_what_is_in_them(state: StateWorld) -> None:
    enclave = state.ready()
    run_id = state.run(enclave)
    claims = state.claims(enclave, run_id)
    bound = enclave.life._state
    assert bound is not None
    secrets = [*bound.keys.secrets.values(), run_id, claims.result_digest, claims.query_digest, b"totals"]
    assert not [secret for secret in secrets for record in state.records if secret in record]
