"""Attacks on the word of witnesses; what the next life of an enclave still knows (13 to 16, 18, 32, 41)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from enclave_compute import disclosure
from enclave_compute.errors import RefusedError
from enclave_compute.kms.request import KeyAnswer
from party_client.state_memory import StateForkedError, StateMemory, StatementMeanwhileError, Witnessed
from party_client.witnessing import (
    Decided,
    WitnessError,
    verify_proposal_untrusted,
)
from protos.formats.calls import Op, Refusal
from protos.formats.canonical import Value
from protos.formats.errors import SignatureError
from protos.formats.kms import STATE_SUBJECT
from protos.formats.state import StateRecord
from tests import world
from tests.enclave_fixtures import refused
from tests.state_world import KEY_ARN, WITNESSES, StateWorld, offered, said, share_of, state_world
from tests.unit.party_client.noisy_agreement import noisy
from tests.world import ADVERTISER, PUBLISHER, STRANGER


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateWorld]:
    with state_world(tmp_path) as state:
        yield state


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


def test_attack_15_the_same_life_proposes_a_forged_state_with_the_same_life_before(state: StateWorld) -> None:
    state.ready()
    enclave = offered(state)
    state.witness(enclave, ADVERTISER)
    record = StateRecord.decode_untrusted(state.records[0])
    state.offer(enclave, [replace(record, enclave_id=bytes(16)).encode()])
    with pytest.raises(StateForkedError, match="proposes another state"):
        state.statement(enclave, ADVERTISER)


def test_attack_15_two_commands_speak_for_two_lives_at_once(
    state: StateWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slower one decides on what it read before the other one spoke."""
    state.ready()
    one, other = offered(state), offered(state)
    remember = StateMemory.will_witness

    def slower(memory: StateMemory, statement: Witnessed, *, last: Witnessed | None) -> None:
        monkeypatch.undo()
        state.witness(one, ADVERTISER)
        remember(memory, statement, last=last)

    monkeypatch.setattr(StateMemory, "will_witness", slower)
    with pytest.raises(StatementMeanwhileError):
        state.statement(other, ADVERTISER)


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
    for who in WITNESSES.values():
        state.witness(enclave, who)
    stale.on_answer(KeyAnswer(bytes(32), b"blob", KEY_ARN))
    assert [want.operation for want in enclave.life.wanted()] == ["Decrypt"]
    assert enclave.call(Op.STATUS).header["state"]["missing"] == []
    state.answer_key(enclave)
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


def test_attack_41_shares_are_not_printed(state: StateWorld) -> None:
    enclave = state.bound()
    state.witness(enclave, ADVERTISER)
    bound = enclave.life._state
    assert bound is not None
    assert bound.taking_up is not None
    statement = bound.taking_up._statements["advertiser"]
    assert statement.share == share_of(state, ADVERTISER, enclave.keys().enclave_id)
    assert repr(statement.share)[2:-1] not in repr(statement)
