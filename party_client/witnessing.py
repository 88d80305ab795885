"""Whether this party lets an enclave take a state up, and the statement that says so.

Reads what the coordinator passes on as an enclave's proposal; it counts when the key of the bundle that the
enclave was attested with signed it. The enclave cannot know what it was not given: this party says what it
has seen, and says it once for each step. A statement for a second life, while a first one may still run, or
for a state that begins anew, is a person's decision. Followed: `protos/README.md`, "State".
"""

from __future__ import annotations

from dataclasses import dataclass

from party_client.attestation import VerifiedEnclave
from party_client.identity import Identity
from party_client.state_memory import StateForkedError, StateMemory, Witnessed
from protos.formats import cose, hpke, limits
from protos.formats.agreement import Agreement
from protos.formats.errors import ConcordatError
from protos.formats.state import (
    PROPOSAL_LABEL,
    SHARE_BYTES,
    STATEMENT_LABEL,
    KnownState,
    OfferedState,
    StateProposal,
    StateStatement,
)


class WitnessError(ConcordatError):
    """This party makes no statement."""

    code = "state/not-witnessed"


class StateBehindError(WitnessError):
    """What was offered to the enclave is older than what this party knows."""

    code = "state/behind"


class SecondLifeError(WitnessError):
    """This party made a statement for another life that is not in what was offered."""

    code = "state/second-life"


@dataclass(frozen=True)
class Decided:
    """What a person decided about a statement that this client would not make by itself."""

    again: bool = False
    """The life that this party made its last statement for is gone."""
    anew: bool = False
    """A state begins although there is one: every budget counts from the start."""


@dataclass(frozen=True)
class Statement:
    """A statement, signed, and what it lets go on."""

    signed: bytes
    enclave: VerifiedEnclave
    """The life that it lets go on."""
    enclave_id: bytes
    """Of the enclave whose state it is."""
    offered: OfferedState | None
    """None: a state begins."""
    seen: int
    """Sequence of the newest entry that this party knows, all of which the state has to have."""


def verify_proposal_untrusted(
    signed: bytes, *, agreement: Agreement, enclave: VerifiedEnclave
) -> StateProposal:
    """The proposal of `enclave` in `signed`. Raises `SignatureError`, `FormatError` or `WitnessError`."""
    payload = cose.verify_untrusted(
        signed,
        typ=PROPOSAL_LABEL,
        public_key=enclave.keys.signing_key,
        max_bytes=limits.STATE_STATEMENT_MAX_BYTES,
    )
    proposal = StateProposal.decode_untrusted(payload)
    if (proposal.agreement_digest, proposal.life) != (agreement.digest(), enclave.keys.enclave_id):
        raise WitnessError(
            "the proposal is for another agreement or enclave", hint="ask again; then ask the operator"
        )
    return proposal


def make_statement(
    proposal: StateProposal,
    *,
    agreement: Agreement,
    enclave: VerifiedEnclave,
    identity: Identity,
    memory: StateMemory,
    decided: Decided,
) -> Statement:
    """This party's word for the life of `enclave`, remembered before it is given.

    Raises `WitnessError` or `StateForkedError` when what it knows forbids it, `StatementMeanwhileError` when
    it has made another statement meanwhile.
    """
    if agreement.state is None or identity.id not in agreement.state.witnesses:
        raise WitnessError(
            f"{identity.id} is no witness under this agreement, expected {_named(agreement)}",
            hint="leave it to them, or use the identity of one of them",
        )
    _require_not_behind(proposal, memory)
    witnessed, known = memory.witnessed(), None
    before = _before(proposal, witnessed, decided)
    enclave_id = proposal.life
    if proposal.offered is not None and before is not None:
        enclave_id = proposal.offered.enclave_id
        seen = memory.newest(enclave_id)
        known = KnownState(enclave_id, before, seen.sequence, seen.head)
    unsealed = StateStatement(agreement.digest(), identity.id, proposal.life, known, b"")
    share = hpke.seal(
        identity.secret_for(f"state {agreement.digest().hex()} {enclave_id.hex()}", SHARE_BYTES),
        public_key=enclave.keys.hpke_public_key,
        info=unsealed.share_info(),
    )
    statement = StateStatement(agreement.digest(), identity.id, proposal.life, known, share)
    memory.will_witness(Witnessed(enclave_id, proposal.life, before), last=witnessed)
    signed = cose.sign(statement.encode(), typ=STATEMENT_LABEL, key=identity.signing_key)
    return Statement(signed, enclave, enclave_id, proposal.offered, 0 if known is None else known.sequence)


def _named(agreement: Agreement) -> str:
    return "nobody" if agreement.state is None else " or ".join(agreement.state.witnesses)


def _require_not_behind(proposal: StateProposal, memory: StateMemory) -> None:
    """First of all: what is missing from the ledger is known for sure, and no decision makes up for it."""
    offered = proposal.offered
    if offered is None:
        return
    seen = memory.newest(offered.enclave_id)
    if seen.sequence > offered.sequence:
        raise StateBehindError(
            f"the coordinator offers a state up to entry {offered.sequence}, this client has seen entry "
            f"{seen.sequence}",
            hint="the operator holds back the newest part of it, or has lost it: ask for that",
        )


def _before(proposal: StateProposal, last: Witnessed | None, decided: Decided) -> bytes | None:
    """The life that the statement is about: the last one in what was offered; None where a state begins."""
    offered = proposal.offered
    if last is not None and last.life == proposal.life:
        return _repeated(proposal, last)
    if offered is None:
        if last is not None and not decided.anew:
            raise StateBehindError(
                f"the enclave would begin a state, and this client knows that of {last.enclave_id.hex()}",
                hint="the operator has to offer that one; if it is lost or not wanted any more, --anew gives "
                "it up for good and lets one begin, in which every budget counts from the start",
            )
        return None
    if last is None:
        raise WitnessError(
            f"the coordinator offers a state of enclave {offered.enclave_id.hex()}, of which this client "
            "knows nothing",
            hint="use the --state folder with which you witnessed before; if it is lost, a state has to "
            "begin in another job",
        )
    if offered.enclave_id != last.enclave_id:
        raise StateForkedError(
            f"the coordinator offers a state of enclave {offered.enclave_id.hex()}, this client knows one of "
            f"{last.enclave_id.hex()}",
            hint="if you gave the offered one up (--anew), go on with the job of the other; if not, ask the "
            "operator for the right one",
        )
    if offered.life != last.life and not decided.again:
        raise SecondLifeError(
            f"you let life {last.life.hex()} take this state up, and nothing of that life is in what the "
            "coordinator offers: it may still run, and spend the same budgets",
            hint="ask the operator for its records; if you believe that it ended before it wrote one: "
            "--again",
        )
    return offered.life


def _repeated(proposal: StateProposal, last: Witnessed) -> bytes | None:
    """The same statement once more, if it is about the same."""
    offered = proposal.offered
    said = None if last.before is None else (last.enclave_id, last.before)
    if said != (None if offered is None else (offered.enclave_id, offered.life)):
        raise StateForkedError(
            "the same life proposes another state than the one that you let it take up",
            hint="the coordinator offered it several: start over with another enclave",
        )
    return last.before
