"""What the operator of a hostile coordinator has in hand, and may use for any treachery.

Machines with real enclaves, everything that ever passed through, and keys of its own. What it does not have
are the private keys of the parties and of enclaves.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from party_client.identity import Identity
from protos.formats.agreement import Agreement
from protos.formats.approvals import sign_approval
from scenarios.hostile.machines import Enclave, Machines
from scenarios.hostile.recordings import Delivery, Evidence, Pinned, SealedUpload


@dataclass
class Job:
    """One enclave life, and what was seen of it."""

    job_id: str
    enclave: Enclave
    agreement_digest: bytes
    failure: str = ""
    """Why its enclave could not be bound, if so."""
    evidence: list[Evidence] = field(default_factory=list)
    """Every document that it handed out, the oldest first."""
    uploads: dict[bytes, SealedUpload] = field(default_factory=dict)
    """By upload id, in order of arrival."""
    acceptances: dict[str, bytes] = field(default_factory=dict)
    """The enclave's word for each dataset that counts."""
    requests: dict[bytes, bytes] = field(default_factory=dict)
    """Run id to the signed request, in order of arrival."""
    refused: dict[bytes, str] = field(default_factory=dict)
    """Run id to the enclave's refusal, for a run that was refused."""
    deliveries: dict[bytes, dict[str, Delivery]] = field(default_factory=dict)
    """Run id to receiver to what was handed out."""

    def upload_of(self, dataset: str) -> SealedUpload:
        """The latest upload of `dataset`."""
        return next(item for item in reversed(self.uploads.values()) if item.dataset == dataset)


class Holdings:
    """Everything an operator could use. `machines` are ended by whoever made them."""

    def __init__(self, machines: Machines) -> None:
        """Boots all machines at once, and waits for each when it is first needed."""
        self._machines = machines
        self._genuine = [machines.genuine() for _ in range(2)]
        self.spare = machines.genuine()
        """A genuine enclave that is bound to nothing yet."""
        self._debug, self._altered = machines.debug(), machines.altered()
        self.board: dict[bytes, Pinned] = {}
        self.jobs: dict[str, Job] = {}
        self.operator = Identity.generate("operator", "The coordinator's operator")
        self.refusal = ""
        """The latest code with which an enclave refused something."""

    def next_enclave(self) -> Enclave:
        """Another genuine enclave, for a job."""
        return self._genuine.pop(0) if self._genuine else self._machines.genuine()

    @property
    def simulator(self) -> Path:
        """The state folder of the machines, where their root of trust is."""
        return self._machines.state

    @property
    def first_job(self) -> Job:
        """The earliest job."""
        return next(iter(self.jobs.values()))

    @property
    def agreed(self) -> Pinned:
        """What the parties agreed on: the first thing on the board."""
        return next(iter(self.board.values()))

    @cached_property
    def agreement(self) -> Agreement:
        """The same, decoded: nothing in it is secret."""
        return Agreement.decode_untrusted(self.agreed.agreement)

    @cached_property
    def impostors(self) -> dict[str, Identity]:
        """Keys made here, under the names of the parties and analysts."""
        people = (*self.agreement.parties, *self.agreement.analysts)
        return {person.id: Identity.generate(person.id, person.name) for person in people}

    @cached_property
    def own_version(self) -> Pinned:
        """The same agreement between impostors, signed by all of them: the names are the usual ones."""
        keys = {name: impostor.public.participant() for name, impostor in self.impostors.items()}
        version = replace(
            self.agreement,
            parties=tuple(keys[party.id] for party in self.agreement.parties),
            analysts=tuple(keys[analyst.id] for analyst in self.agreement.analysts),
        )
        signers = [self.impostors[party.id] for party in version.parties]
        return Pinned(version.encode(), tuple(approval(version, signer) for signer in signers))

    @cached_property
    def debug_enclave(self) -> Enclave:
        """The agreed image in debug mode, bound to what the parties agreed on."""
        return self._bound(self._debug, self.agreed)

    @cached_property
    def altered_enclave(self) -> Enclave:
        """An image with a changed line, bound to what the parties agreed on."""
        return self._bound(self._altered, self.agreed)

    @cached_property
    def impostors_enclave(self) -> Enclave:
        """The agreed image, not changed at all, bound to the agreement of the impostors."""
        return self._bound(self.spare, self.own_version)

    @staticmethod
    def _bound(enclave: Enclave, pinned: Pinned) -> Enclave:
        enclave.bind(pinned)
        return enclave


def approval(agreement: Agreement, signer: Identity) -> bytes:
    """`agreement` signed with whatever keys `signer` has, in its name."""
    return sign_approval(
        agreement.digest(), party=signer.id, key=signer.signing_key, signed_at_s=agreement.valid_from_s
    )
