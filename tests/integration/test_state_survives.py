"""An enclave is killed and another one goes on with its state: the whole way, with every process real.

Same results byte for byte, nothing is charged twice, nobody sends data again; an old state is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from party_client.attestation.measurements import extended_once
from party_client.witnessing import Decided, SecondLifeError, StateBehindError
from protos.v1 import concordat_pb2 as wire
from tests.chaos.premises import until
from tests.kms_world import ADMINISTRATOR
from tests.state_premises import StatePremises, state_premises

TOTALS = [{"segment": "sport", "purchases": 3, "total": 60}]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StatePremises]:
    with state_premises(tmp_path_factory.mktemp("state"), tick_s=2) as made:
        yield made


def test_a_killed_enclave_is_followed_by_one_that_knows_what_it_knew(made: StatePremises) -> None:
    made.ready()
    with made.client("analyst") as client:
        run_id = client.run(made.job_id, made.agreed, "totals", {"least": 0})
        assert client.result(made.job_id, made.agreed, run_id).table.to_pylist() == TOTALS
    before = made.fetched(run_id)
    assert made.runs_left() == 2
    made.kill_enclave()
    assert list(made.job().missing_witnesses) == ["advertiser", "publisher"]
    said = made.witness_by_command("publisher")
    assert (said["begins"], said["entries"], said["entries_seen"]) == (False, 4, 4)
    assert said["warning"]  # of a root that is not AWS's
    assert list(made.job().missing_witnesses) == ["advertiser"]
    made.witness("advertiser")
    made.until_state(wire.JOB_STATE_RUNNING)
    made.until_complete()
    assert made.fetched(run_id) == before
    assert made.runs_left() == 2
    with made.client("analyst") as client:
        again = client.run(made.job_id, made.agreed, "totals", {"least": 0})
        result = client.result(made.job_id, made.agreed, again)
    assert result.table.to_pylist() == TOTALS
    assert result.receipt.claims.runs_left == 1
    asked = [(one["operation"], one["outcome"]) for one in made.kms.records]
    assert asked[-2:] == [("GenerateDataKey", "ok"), ("Decrypt", "ok")], "one call to KMS a life"


def test_a_run_that_was_going_on_is_asked_for_again_and_charged_once(made: StatePremises) -> None:
    made.ready()
    with made.client("analyst") as client:
        run_id = bytes(range(16))
        asking = threading.Thread(
            target=client.run,
            args=(made.job_id, made.agreed, "totals", {"least": 0}),
            kwargs={"run_id": run_id},
        )
        asking.start()
        until(lambda: made.job().phase == "running", "the run goes on")
        made.kill_enclave()
        made.witness()
        asking.join(120)
        assert client.result(made.job_id, made.agreed, run_id).table.to_pylist() == TOTALS
    assert made.runs_left() == 2


def test_an_old_ledger_is_refused_and_the_current_one_continues(made: StatePremises) -> None:
    made.ready()
    with made.client("analyst") as client:
        run_id = client.run(made.job_id, made.agreed, "totals", {"least": 0})
    assert made.runs_left() == 2  # the publisher has seen it in the enclave's signed word
    kept = made.fetched(run_id)
    made.premises.kill_coordinator()
    with made.database() as database:
        where = "FROM state_record WHERE job_id = ? AND sequence = (SELECT max(sequence) {}"
        newest = f"SELECT job_id, sequence, record {where.format('FROM state_record WHERE job_id = ?)')}"
        (row,) = database.execute(newest, (made.job_id, made.job_id)).fetchall()
        database.execute("DELETE FROM state_record WHERE job_id = ? AND sequence = ?", row[:2])
    for machine in made.premises.machines():
        made.premises.kill(machine)
    made.premises.start_coordinator()
    made.until_state(wire.JOB_STATE_WAITING)
    with (
        made.client("publisher") as client,
        pytest.raises(StateBehindError, match=f"this client has seen entry {row[1]}"),
    ):
        client.witness(made.job_id, made.agreed)
    made.premises.kill_coordinator()
    with made.database() as database:
        database.execute("INSERT INTO state_record (job_id, sequence, record) VALUES (?, ?, ?)", row)
    made.premises.start_coordinator()
    made.until_state(wire.JOB_STATE_WAITING)
    made.kill_enclave()  # it was offered the old one: another one is offered all
    made.witness()
    made.until_state(wire.JOB_STATE_RUNNING)
    made.until_complete()
    assert made.fetched(run_id) == kept
    assert made.runs_left() == 2


@pytest.mark.slow
def test_whatever_is_killed_when_nothing_is_lost_and_nothing_charged_twice(made: StatePremises) -> None:
    made.start()
    made.restart_coordinator()  # while a state waits to begin
    made.until_state(wire.JOB_STATE_WAITING)
    with made.client("advertiser") as client:
        client.witness(made.job_id, made.agreed, decided=Decided(anew=True))
    made.restart_coordinator()  # between two witnesses
    made.until_state(wire.JOB_STATE_WAITING)
    made.witness("publisher", decided=Decided(anew=True))
    made.until_state(wire.JOB_STATE_RUNNING)
    made.send()
    made.restart_coordinator()  # with all data there, and the enclave alive
    with made.client("analyst") as client:
        run_id = client.run(made.job_id, made.agreed, "totals", {"least": 0})
    kept = made.fetched(run_id)
    made.kill_enclave()
    made.witness("advertiser")
    made.kill_enclave()  # a life that one witness has let go on, and that wrote nothing
    with made.client("advertiser") as client, pytest.raises(SecondLifeError):
        client.witness(made.job_id, made.agreed)
    said = made.witness_by_command("advertiser", "--again")
    assert said["entries"] == 4
    made.restart_coordinator()
    made.until_state(wire.JOB_STATE_WAITING)
    made.witness("publisher")
    made.until_state(wire.JOB_STATE_RUNNING)
    made.kill_enclave()  # while the data is on its way again, or has just come
    made.witness()
    made.until_state(wire.JOB_STATE_RUNNING)
    made.until_complete()
    assert made.fetched(run_id) == kept
    assert made.runs_left() == 2
    with made.client("analyst") as client:
        again = client.run(made.job_id, made.agreed, "totals", {"least": 0}, run_id=run_id)
        assert client.result(made.job_id, made.agreed, again).table.to_pylist() == TOTALS
    assert made.runs_left() == 2


def test_an_enclave_by_other_code_or_under_another_agreement_gets_no_key(made: StatePremises) -> None:
    """What KMS looks at is the policy of the key: with another register in it, nothing is taken up."""
    key = made.kms.store.aliases()[f"alias/concordat-{made.agreed.id}-publisher"]
    administrator = made.kms.client(ADMINISTRATOR)
    sound = administrator.get_key_policy(KeyId=key)["Policy"]
    made.start()
    made.witness(decided=Decided(anew=True))
    made.until_state(wire.JOB_STATE_RUNNING)
    other = sound.replace(extended_once(made.agreed.digest()).hex(), "00" * 48)
    administrator.put_key_policy(KeyId=key, Policy=other, BypassPolicyLockoutSafetyCheck=True)
    made.kill_enclave()
    made.witness()
    until(lambda: [one.said for one in made.job().errands] == ["kms-denied"], "KMS refuses")
    assert made.job().state == wire.JOB_STATE_WAITING
    administrator.put_key_policy(KeyId=key, Policy=sound, BypassPolicyLockoutSafetyCheck=True)
    made.until_state(wire.JOB_STATE_RUNNING)
