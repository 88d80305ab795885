"""What an enclave's state is outside of it: sealed records, and what witnesses say before it is taken up.

A ledger of runs and events is one chain; each entry leaves the enclave as a record, sealed under a key that
KMS and all witnesses have a part in. Whoever keeps the records could leave some out: so an enclave takes a
state up only with a statement of every witness of the agreement, about the newest of it that the witness
knows, for this one life. Pure values that check themselves; raises `FormatError`. Follows
`protos/README.md`, "State".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protos.formats import hpke, limits
from protos.formats.canonical import (
    Value,
    decode_map_untrusted,
    digest,
    encode,
    require_bytes,
    require_fields,
    require_int,
    require_text,
)
from protos.formats.errors import FormatError
from protos.formats.identifiers import DIGEST_BYTES, ENCLAVE_ID_BYTES, require_slug
from protos.formats.kms import KEY_ARN_MAX_CHARACTERS

EVENT_LABEL: Final = "concordat/ledger-event/v1"
RECORD_LABEL: Final = "concordat/state-record/v1"
PROPOSAL_LABEL: Final = "concordat/state-proposal/v1"
CONTENT_LABEL: Final = "concordat/state-content/v1"
KEY_LABEL: Final = "concordat/state-key/v1"
STATEMENT_LABEL: Final = "concordat/state-statement/v1"
NOTHING_YET: Final = bytes(DIGEST_BYTES)
"""The head of a ledger without an entry."""
SHARE_BYTES: Final = 32
EVENTS: Final = frozenset({"begun", "accepted", "lost", "used"})


@dataclass(frozen=True)
class LedgerEvent:
    """An entry of the ledger that is no release. Releases stand in it as their claims."""

    agreement_digest: bytes
    enclave_id: bytes
    sequence: int
    """1 for the first entry, then 2, 3, … together with those of claims."""
    previous: bytes
    """Head of the ledger before."""
    kind: str
    """`begun`: a life took the state up; `accepted`: a dataset counts; `lost`: a run was charged to privacy
    budgets and released nothing; `used`: a key of the ring was used."""
    subject: str
    """Of the life its id in hexadecimal, of the dataset its id, of the run its query, of the use
    the key."""
    digest: bytes
    """Of the key bundle, of the manifest, of the signed request, of the request for a use."""

    def __post_init__(self) -> None:
        if self.kind not in EVENTS:
            raise FormatError(f"ledger event: got {str(self.kind)[:64]!r}, expected one of {sorted(EVENTS)}")
        require_int(self.sequence, what="ledger event: sequence", low=1)
        require_text(self.subject, what="ledger event: subject", max_characters=limits.NAME_MAX_CHARACTERS)

    def encode(self) -> bytes:
        """Canonical bytes."""
        return encode(
            {
                "label": EVENT_LABEL,
                "agreement": self.agreement_digest,
                "enclave": self.enclave_id,
                "sequence": self.sequence,
                "previous": self.previous,
                "kind": self.kind,
                "subject": self.subject,
                "digest": self.digest,
            }
        )

    def head(self) -> bytes:
        """Head of the ledger after it."""
        return digest(EVENT_LABEL, self.encode())

    @classmethod
    def decode_untrusted(cls, data: bytes) -> LedgerEvent:
        """Inverse of `encode`."""
        fields = decode_map_untrusted(
            data,
            label=EVENT_LABEL,
            keys=frozenset({"agreement", "enclave", "sequence", "previous", "kind", "subject", "digest"}),
            max_bytes=limits.STATE_RECORD_MAX_BYTES,
        )
        return cls(
            agreement_digest=_digest(fields["agreement"], "agreement digest"),
            enclave_id=_id(fields["enclave"], "enclave id"),
            sequence=fields["sequence"],
            previous=_digest(fields["previous"], "previous"),
            kind=require_text(fields["kind"], what="ledger event: kind", max_characters=16),
            subject=fields["subject"],
            digest=_digest(fields["digest"], "digest"),
        )


@dataclass(frozen=True)
class StateRecord:
    """One entry of a ledger as it leaves the enclave. What is not `sealed` is readable, and authenticated."""

    agreement_digest: bytes
    enclave_id: bytes
    """Whose ledger it is: the same through all lives that take it up."""
    life: bytes
    """Id of the life that wrote it; it alone has the key that this record is sealed under."""
    sequence: int
    """Of the entry."""
    kms_key: str
    """ARN of the key under which KMS wrapped the state's data key."""
    wrapped_key: bytes
    """KMS's `CiphertextBlob`, the same in all records of one state."""
    sealed: bytes

    def __post_init__(self) -> None:
        require_int(self.sequence, what="state record: sequence", low=1, high=limits.STATE_RECORDS_MAX)

    def head(self) -> bytes:
        """Canonical bytes of all that is not sealed: what the seal is tied to."""
        return encode(self._fields())

    def encode(self) -> bytes:
        """Canonical bytes."""
        return encode({**self._fields(), "sealed": self.sealed})

    def _fields(self) -> dict[str, Value]:
        return {
            "label": RECORD_LABEL,
            "agreement": self.agreement_digest,
            "enclave": self.enclave_id,
            "life": self.life,
            "sequence": self.sequence,
            "kms_key": self.kms_key,
            "wrapped_key": self.wrapped_key,
        }

    @classmethod
    def decode_untrusted(cls, data: bytes) -> StateRecord:
        """Parse a record; it says nothing until it has been opened."""
        fields = decode_map_untrusted(
            data,
            label=RECORD_LABEL,
            keys=frozenset({"agreement", "enclave", "life", "sequence", "kms_key", "wrapped_key", "sealed"}),
            max_bytes=limits.STATE_RECORD_MAX_BYTES,
        )
        return cls(
            agreement_digest=_digest(fields["agreement"], "agreement digest"),
            enclave_id=_id(fields["enclave"], "enclave id"),
            life=_id(fields["life"], "life"),
            sequence=fields["sequence"],
            kms_key=require_text(
                fields["kms_key"], what="state record: KMS key", max_characters=KEY_ARN_MAX_CHARACTERS
            ),
            wrapped_key=require_bytes(
                fields["wrapped_key"],
                what="state record: wrapped key",
                max_length=limits.KMS_CIPHERTEXT_MAX_BYTES,
            ),
            sealed=require_bytes(
                fields["sealed"], what="state record: sealed", max_length=limits.STATE_RECORD_MAX_BYTES
            ),
        )


@dataclass(frozen=True)
class OfferedState:
    """The state that an enclave was offered, as far as it can be told before it is opened."""

    enclave_id: bytes
    life: bytes
    """The last one that wrote in it."""
    sequence: int
    """Of its last entry."""

    def to_value(self) -> Value:
        """As it stands in a proposal."""
        return {"enclave": self.enclave_id, "life": self.life, "sequence": self.sequence}

    @classmethod
    def from_value_untrusted(cls, value: Value) -> OfferedState:
        """Inverse of `to_value`."""
        fields = require_fields(value, frozenset({"enclave", "life", "sequence"}), what="offered state")
        return cls(
            enclave_id=_id(fields["enclave"], "enclave id"),
            life=_id(fields["life"], "life"),
            sequence=require_int(fields["sequence"], what="sequence", low=1, high=limits.STATE_RECORDS_MAX),
        )


@dataclass(frozen=True)
class StateProposal:
    """What an enclave would take up, signed by the key of its bundle: what witnesses are asked about."""

    agreement_digest: bytes
    life: bytes
    """Its own id, in the bundle that it is attested with by now."""
    offered: OfferedState | None
    """None: a state that begins with it."""

    def encode(self) -> bytes:
        """Canonical bytes, signed as COSE type `PROPOSAL_LABEL`."""
        return encode(
            {
                "label": PROPOSAL_LABEL,
                "agreement": self.agreement_digest,
                "life": self.life,
                "offered": None if self.offered is None else self.offered.to_value(),
            }
        )

    @classmethod
    def decode_untrusted(cls, data: bytes) -> StateProposal:
        """Parse the payload of a signed proposal."""
        fields = decode_map_untrusted(
            data,
            label=PROPOSAL_LABEL,
            keys=frozenset({"agreement", "life", "offered"}),
            max_bytes=limits.STATE_STATEMENT_MAX_BYTES,
        )
        offered = fields["offered"]
        return cls(
            agreement_digest=_digest(fields["agreement"], "agreement digest"),
            life=_id(fields["life"], "life"),
            offered=None if offered is None else OfferedState.from_value_untrusted(offered),
        )


@dataclass(frozen=True)
class KnownState:
    """The newest of a state that a witness knows."""

    enclave_id: bytes
    life: bytes
    """The last one that it made a statement for."""
    sequence: int
    """Of the newest entry that it has seen in a receipt or in a signed budget; 0: none yet."""
    head: bytes
    """Head of the ledger after that entry."""

    def __post_init__(self) -> None:
        require_int(self.sequence, what="known state: sequence", high=limits.STATE_RECORDS_MAX)
        if (self.sequence == 0) != (self.head == NOTHING_YET):
            raise FormatError("known state: a head if and only if an entry is known")

    def to_value(self) -> Value:
        """As it stands in a statement."""
        return {
            "enclave": self.enclave_id,
            "life": self.life,
            "sequence": self.sequence,
            "head": self.head,
        }

    @classmethod
    def from_value_untrusted(cls, value: Value) -> KnownState:
        """Inverse of `to_value`."""
        fields = require_fields(value, frozenset({"enclave", "life", "sequence", "head"}), what="known state")
        return cls(
            enclave_id=_id(fields["enclave"], "enclave id"),
            life=_id(fields["life"], "life"),
            sequence=fields["sequence"],
            head=_digest(fields["head"], "head"),
        )


@dataclass(frozen=True)
class StateStatement:
    """A witness's word for one life; signed by the party as COSE type `STATEMENT_LABEL`."""

    agreement_digest: bytes
    party: str
    life: bytes
    """Which life may take the state up; it is good for no other."""
    known: KnownState | None
    """None: it knows of no state under this agreement, so one may begin."""
    share: bytes
    """`SHARE_BYTES` of the state's key that this witness alone has, sealed to the life's HPKE key."""

    def share_info(self) -> bytes:
        """What the share is sealed for: HPKE `info`."""
        return encode(self._fields())

    def encode(self) -> bytes:
        """Canonical bytes, to be signed."""
        return encode({**self._fields(), "share": self.share})

    def _fields(self) -> dict[str, Value]:
        return {
            "label": STATEMENT_LABEL,
            "agreement": self.agreement_digest,
            "party": self.party,
            "life": self.life,
            "known": None if self.known is None else self.known.to_value(),
        }

    @classmethod
    def decode_untrusted(cls, data: bytes) -> StateStatement:
        """Parse the payload of a signed statement."""
        fields = decode_map_untrusted(
            data,
            label=STATEMENT_LABEL,
            keys=frozenset({"agreement", "party", "life", "known", "share"}),
            max_bytes=limits.STATE_STATEMENT_MAX_BYTES,
        )
        known = fields["known"]
        return cls(
            agreement_digest=_digest(fields["agreement"], "agreement digest"),
            party=require_slug(fields["party"], what="party"),
            life=_id(fields["life"], "life"),
            known=None if known is None else KnownState.from_value_untrusted(known),
            share=require_bytes(fields["share"], what="share", length=hpke.OVERHEAD_BYTES + SHARE_BYTES),
        )


def _digest(value: Value, what: str) -> bytes:
    return require_bytes(value, what=what, length=DIGEST_BYTES)


def _id(value: Value, what: str) -> bytes:
    return require_bytes(value, what=what, length=ENCLAVE_ID_BYTES)
