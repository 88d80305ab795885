"""One treachery: what the coordinator does instead of its duty, to whom, and who has to refuse it.

A `Mischief` is honest at every point; a treachery is a subclass that overrides one method. It reads nothing
but what an operator has (`Holdings`) and what is passing through.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from scenarios.hostile.holdings import Holdings, Job
from scenarios.hostile.machines import Enclave
from scenarios.hostile.recordings import Delivery, Evidence, Pinned, SealedUpload


class Step(StrEnum):
    """What somebody was doing when the coordinator cheated."""

    READ = "publisher reads the agreement before signing"
    START = "publisher starts a job"
    SEND = "publisher sends its dataset"
    ASK = "analyst asks for a run"
    RECEIVE = "analyst fetches a result"
    RIVAL_RECEIVES = "rival fetches a result"


class Refuser(StrEnum):
    """Who sees through it."""

    CLIENT = "client"
    """The unmodified client of whoever is cheated."""
    ENCLAVE = "enclave"
    """The enclave, whose refusal the client then shows."""


class Mischief:
    """Honest in everything. The arguments named `at` are what the operator has in hand."""

    name: ClassVar[str] = "honest"
    deed: ClassVar[str] = "does its duty"
    """What the coordinator does, for people: a sentence without its subject."""
    attacks: ClassVar[tuple[int, ...]] = ()
    """Rows of the threat model."""
    step: ClassVar[Step] = Step.SEND
    refuser: ClassVar[Refuser] = Refuser.CLIENT
    code: ClassVar[str] = ""
    """The code of the expected refusal: of the client's error, or the enclave's."""

    @property
    def victim(self) -> str:
        """Whose client meets it."""
        return self.step.partition(" ")[0]

    @property
    def is_honest(self) -> bool:
        """Whether it is no mischief at all."""
        return type(self) is Mischief

    def shown(self, at: Holdings, pinned: Pinned) -> Pinned:  # noqa: ARG002 - for those who override it
        """What somebody sees who asks for the agreement `pinned`."""
        return pinned

    def enclave(self, at: Holdings) -> Enclave:
        """Where a new job lives."""
        return at.next_enclave()

    def binding(self, at: Holdings, pinned: Pinned) -> Pinned:  # noqa: ARG002
        """What the enclave of a new job gets in the place of `pinned`."""
        return pinned

    def evidence(self, at: Holdings, job: Job, nonce: bytes) -> Evidence:  # noqa: ARG002
        """The answer to a party's challenge."""
        return job.enclave.attest(nonce)

    def forwarded(self, at: Holdings, job: Job, upload: SealedUpload) -> SealedUpload:  # noqa: ARG002
        """What the enclave gets in the place of `upload`."""
        return upload

    def acceptance(self, at: Holdings, job: Job, upload: SealedUpload) -> bytes:
        """What the party gets when it has sent everything."""
        return job.enclave.take(self.forwarded(at, job, upload))

    def request(self, at: Holdings, job: Job, signed_request: bytes) -> bytes:  # noqa: ARG002
        """What the enclave gets in the place of `signed_request`."""
        return signed_request

    def delivery(self, at: Holdings, job: Job, run_id: bytes, receiver: str) -> Delivery:  # noqa: ARG002
        """What `receiver` gets of a run."""
        return job.enclave.delivery(run_id, receiver)
