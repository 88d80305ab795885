"""One round: a whole computation in which one process is killed, and what must be true all the same.

Whoever was killed is started again by the same command; a lost enclave is answered by another job. Every
departure from what `docs/reliability.md` promises is a fault of the round.
"""

from __future__ import annotations

import os
import secrets
import signal
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from party_client.client import Client
from party_client.jobs import state_name, wait_until_running
from protos.formats.errors import ConcordatError
from protos.formats.limits import RESULT_MAX_BYTES
from scenarios.comparison import require_same
from tests.chaos import work
from tests.chaos.acting import Actor
from tests.chaos.diary import ASKED, RELEASED, faults, resumptions
from tests.chaos.leftovers import leftovers
from tests.chaos.plan import Round, Stage, Victim
from tests.chaos.premises import Premises, until

LOST_WITHIN_S: Final = 15.0
_JITTER_S: Final = 0.05
_ASKER = "analyst"


@dataclass(frozen=True)
class Pace:
    """How long things take here when nobody is killed; the moments of the kills are spread over it."""

    boot_s: float
    chunks: int
    run_s: float


@dataclass(frozen=True)
class Released:
    """What the coordinator gave for a run: it must give the same bytes ever after."""

    job_id: str
    run_id: bytes
    receipt: bytes
    sealed: bytes


@dataclass
class Account:
    """What happened in a round."""

    round: Round | None
    moment: str = "nobody is killed"
    happened: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    took_s: float = 0.0


class Rounds:
    """Rounds on the same premises, one after another. The coordinator lives on from one to the next."""

    def __init__(self, premises: Premises) -> None:
        self.premises: Final = premises
        self.released: Final[list[Released]] = []
        self._files, self._expected = work.write_files(
            {name: role.home for name, role in premises.roles.items()}
        )
        self.pace = Pace(boot_s=0.0, chunks=0, run_s=0.0)
        self._left_behind: list[str] = []

    def play(self, one: Round | None) -> Account:
        """One round; None: nobody is killed, and the pace is taken."""
        account = Account(one)
        began_s = time.monotonic()
        play = Play(self.premises, self._files, self.pace, account)
        try:
            released = play.through()
            self.released.append(released)
            self._require_expected(released, account)
        except (AssertionError, ConcordatError) as error:
            account.faults.append(f"{type(error).__name__}: {error}")
        play.leave()
        found = leftovers(self.premises)
        account.faults += [sentence for sentence in found if sentence not in self._left_behind]
        self._left_behind += found
        self.pace = play.pace
        if one is None or one.victim is Victim.COORDINATOR:
            account.faults += self.lost()
        account.took_s = time.monotonic() - began_s
        return account

    def lost(self) -> list[str]:
        """What the coordinator has forgotten or changed of all that it was given and gave so far."""
        found = []
        agreement = self.premises.agreement
        with self.premises.client(_ASKER) as client:
            stored = client.coordinator.get_agreement(agreement.digest())
            if stored.agreement != agreement.encode() or len(stored.approvals) != len(agreement.parties):
                found.append("the agreement or an approval is not on the board any more")
            for one in self.released:
                if _fetch(client, one.job_id, one.run_id) != one:
                    found.append(f"run {one.run_id.hex()}: its result or receipt is another one now")
        return found

    def _require_expected(self, one: Released, account: Account) -> None:
        with self.premises.client(_ASKER) as client:
            result = client.result(
                one.job_id, self.premises.agreement, one.run_id, query_id=work.QUERY, parameters={}
            )
        require_same(result.frame, self._expected)
        claims = result.receipt.claims
        if (claims.sequence, claims.runs_left) != (1, work.MAX_RUNS - 1):
            account.faults.append(f"one run was asked for, the receipt counts {claims.sequence}")


class Play:
    """The steps of one round, each of which may be the one in which somebody is killed."""

    def __init__(self, premises: Premises, files: dict[str, Path], pace: Pace, account: Account) -> None:
        self.pace = pace
        self._premises: Final = premises
        self._files: Final = files
        self._account: Final = account
        self._pending = account.round
        """The kill that is still to come."""
        self._actors: list[Actor] = []
        self._jobs: list[str] = []

    def through(self) -> Released:
        """From the start of a job to a released result. Raises what went wrong beyond all promises."""
        while True:
            job_id = self._start_job()
            if job_id is None or not self._upload(job_id):
                continue
            run_id = self._run(job_id)
            if run_id is None:
                continue
            with self._premises.client(_ASKER) as client:
                released = _fetch(client, job_id, run_id)
            self._after_release(released)
            return released

    def leave(self) -> None:
        """Ends what the round began."""
        for actor in self._actors:
            if not actor.has_ended:
                actor.kill()
        with self._premises.client(_ASKER) as client:
            for job_id in self._jobs:
                client.coordinator.close_job(job_id)

    # --- Steps ------------------------------------------------------------------------------------------

    def _start_job(self) -> str | None:
        """The id of a job whose enclave is bound; None if that was lost."""
        began_s = time.monotonic()
        with self._premises.client(_ASKER) as client:
            job_id = client.coordinator.start_job(self._premises.agreement.digest()).job_id
        self._jobs.append(job_id)
        if one := self._due(Stage.START):
            time.sleep(one.fraction * self.pace.boot_s)
            self._strike(one, f"{one.fraction:.0%} of a boot after the job was started")
            if one.loses_the_enclave:
                self._require_over(job_id, {"failed", "lost"})
                return None
        with self._premises.client(_ASKER) as client:
            wait_until_running(client.coordinator, job_id)
        if not one:
            self.pace = replace(self.pace, boot_s=time.monotonic() - began_s)
        return job_id

    def _upload(self, job_id: str) -> bool:
        """Whether both datasets were accepted; if not, the enclave was lost."""
        sending = {
            dataset: self._act(
                *(self._premises.agreement.dataset(dataset).owner, "send", job_id),
                *("--dataset", dataset, "--file", file),
            )
            for dataset, file in self._files.items()
        }
        large = sending[work.VISITS]
        one = self._due(Stage.UPLOAD)
        if one:
            position = one.fraction * (self.pace.chunks + 1)
            until(lambda: large.has_ended or large.diary.acknowledged() >= int(position), "chunks arrive")
            time.sleep(position % 1 * _JITTER_S)
            self._strike(
                one, f"{large.diary.acknowledged()} of {self.pace.chunks} chunks acknowledged", large
            )
        said = {dataset: actor.finish() for dataset, actor in sending.items()}
        for actor in sending.values():
            self._account.faults += faults(actor.diary.entries())
            for number in resumptions(actor.diary.entries()):
                self._account.happened.append(f"the upload went on at chunk {number}")
        if one and one.loses_the_enclave:
            self._require_over(job_id, {"lost"})
            return self._say_lost(said, "coordinator/job-not-running")
        self._require_no_error(said)
        self.pace = replace(self.pace, chunks=said[work.VISITS]["chunks"])
        return True

    def _run(self, job_id: str) -> bytes | None:
        """The id of a released run; None if the enclave was lost before it was released."""
        run_id = secrets.token_bytes(16)
        asking = self._act(_ASKER, "run", job_id, "--query", work.QUERY, "--run", run_id.hex())
        until(lambda: asking.has_ended or asking.diary.has(ASKED), "the analyst asks for a run")
        began_s = time.monotonic()
        one = self._due(Stage.RUN)
        if one:
            time.sleep(one.fraction * self.pace.run_s)
            self._strike(one, f"{one.fraction:.0%} of a run after it was asked for", asking)
        else:
            until(lambda: asking.has_ended or asking.diary.has(RELEASED), "the run is released")
            self.pace = replace(self.pace, run_s=time.monotonic() - began_s)
        said = {_ASKER: asking.finish()}
        if one and one.loses_the_enclave:
            self._require_over(job_id, {"lost"})
            if "error" in said[_ASKER]:
                self._say_lost(said, "run/lost", "coordinator/job-not-running")
                return None
            self._account.happened.append("the run had been released already")
        self._require_no_error(said)
        return run_id

    def _after_release(self, released: Released) -> None:
        if one := self._due(Stage.RELEASED):
            self._strike(one, "the result has been fetched")
            if one.loses_the_enclave:
                self._require_over(released.job_id, {"lost"})
        with self._premises.client(_ASKER) as client:
            if _fetch(client, released.job_id, released.run_id) != released:
                self._account.faults.append("the result was another one when it was fetched again")

    # --- The kill ---------------------------------------------------------------------------------------

    def _due(self, stage: Stage) -> Round | None:
        """The kill that is to come in this stage, once."""
        one = self._pending
        if one is None or one.stage is not stage:
            return None
        self._pending = None
        return one

    def _strike(self, one: Round, moment: str, actor: Actor | None = None) -> None:
        """Kills, waits, and starts again what has an ordinary way of being started again."""
        self._account.moment = moment
        if one.victim is Victim.COORDINATOR:
            self._premises.kill_coordinator()
            time.sleep(one.down_s)
            self._premises.start_coordinator()
        elif one.victim is Victim.PARTY:
            assert actor is not None
            actor.kill()
            time.sleep(one.down_s)
            actor.again()
        else:
            find = self._premises.enclaves if one.victim is Victim.ENCLAVE else self._premises.machines
            until(lambda: _killed(find()), f"there is an {one.victim} to be killed")

    def _require_over(self, job_id: str, states: set[str]) -> None:
        """The coordinator finds out that the enclave is gone, and says so to whoever looks."""
        with self._premises.client(_ASKER) as client:
            until(
                lambda: state_name(client.coordinator.get_job(job_id)) in states,
                f"job {job_id} is {' or '.join(states)}",
                within_s=LOST_WITHIN_S,
            )
            job = client.coordinator.get_job(job_id)
        self._account.happened.append(f"job {state_name(job)}: {job.detail}")
        if not job.detail:
            self._account.faults.append("the job says nothing about why it is over")

    def _say_lost(self, said: dict[str, dict[str, Any]], *codes: str) -> bool:
        """What people were told: every error is one of `codes` and advises another job. False."""
        for who, answer in said.items():
            if "error" not in answer:
                continue
            code = answer.get("refusal") or answer["error"]
            if code not in codes or "another job" not in str(answer["hint"]):
                self._account.faults.append(f"{who} was told: {answer}")
            self._account.happened.append(f"{who}: {code}")
        return False

    def _require_no_error(self, said: dict[str, dict[str, Any]]) -> None:
        self._account.faults += [f"{who}: {answer}" for who, answer in said.items() if "error" in answer]
        assert not self._account.faults, "the round cannot go on"

    def _act(self, who: str, act: str, job_id: str, *words: str | Path) -> Actor:
        self._actors.append(Actor(self._premises, who, act, job_id, *words))
        return self._actors[-1]


def _killed(pids: list[int]) -> bool:
    """Whether there was one to be killed; rounds have one enclave at a time."""
    try:
        os.kill(pids[0], signal.SIGKILL)
    except (IndexError, ProcessLookupError):
        return False
    return True


def _fetch(client: Client, job_id: str, run_id: bytes) -> Released:
    fetched = client.coordinator.fetch_result(job_id, run_id, _ASKER, max_bytes=2 * RESULT_MAX_BYTES)
    return Released(job_id, run_id, *fetched)
