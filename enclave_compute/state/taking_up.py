"""When the state of an enclave may begin or go on: with its key from KMS, and a statement of every witness.

The parent offers records, or none for a state that begins, carries the errand and brings statements. Each
statement is for this one life, which the witness has verified, and says what it knows: a state may begin only
where no witness knows one, and goes on only from one that every witness knows, with nothing missing and
nothing else in place of what it has seen. That KMS let go of the key says nothing about who made the records,
since whoever may use the key there could have made others; the witnesses' word does. Follows
`protos/README.md`, "State".
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from enclave_compute.errors import RefusedError
from enclave_compute.key_ring.ledger import Used
from enclave_compute.keys import EnclaveKeys
from enclave_compute.kms.errands import Errands
from enclave_compute.kms.request import KeyAnswer, KeyRequest
from enclave_compute.state.chain import Entry, verified_heads
from enclave_compute.state.content import Content, StateKey
from enclave_compute.state.journal import Journal
from enclave_compute.state.offered import Offered, require_known
from protos.formats import cose, key_use, limits
from protos.formats.agreement import Agreement
from protos.formats.calls import Refusal
from protos.formats.errors import SealError, SignatureError
from protos.formats.kms import STATE_SUBJECT, StateTerms, encryption_context
from protos.formats.state import (
    PROPOSAL_LABEL,
    STATEMENT_LABEL,
    KnownState,
    LedgerEvent,
    StateProposal,
    StateRecord,
    StateStatement,
)


@dataclass(frozen=True)
class TakenUp:
    """A state that this life goes on with."""

    keys: EnclaveKeys
    secrets: Mapping[str, bytes] = field(repr=False)
    """All that its keys are made of, those of the key ring as well."""
    journal: Journal
    past: tuple[tuple[Entry, Content], ...]
    """The ledger so far, in order; empty for a state that begins."""

    def accepted(self) -> dict[str, bytes]:
        """Digests of the manifests that count, by dataset."""
        return {event.subject: event.digest for event, _ in self._events("accepted")}

    def uses(self) -> Iterator[Used]:
        """Uses of keys, in order."""
        numbers: Counter[str] = Counter()
        for event, content in self._events("used"):
            numbers[event.subject] += 1
            request = key_use.KeyRequest.decode_untrusted(content.request or b"")
            place = request.request_id, event.digest, event.subject, numbers[event.subject]
            yield Used(*place, content.at_s, content.values)

    def _events(self, kind: str) -> Iterator[tuple[LedgerEvent, Content]]:
        for entry, content in self.past:
            if isinstance(entry, LedgerEvent) and entry.kind == kind:
                yield entry, content


@dataclass(frozen=True)
class _Statement:
    known: KnownState | None
    share: bytes = field(repr=False)


class TakingUp:
    """What one life still waits for. Calls from several connections take turns."""

    def __init__(
        self,
        agreement: Agreement,
        terms: StateTerms,
        *,
        keys: EnclaveKeys,
        secrets: Mapping[str, bytes],
        errands: Errands,
        on_taken_up: Callable[[TakenUp], None],
    ) -> None:
        """`keys` and all `secrets` are of this life; a state that begins has them from now on.

        `on_taken_up` is called once.
        """
        self._secrets = secrets
        self._agreement = agreement
        self._terms = terms
        self._keys = keys
        self._errands = errands
        self._on_taken_up = on_taken_up
        self._lock = threading.Lock()
        self._offered = Offered(agreement.digest(), terms.kms)
        self._statements: dict[str, _Statement] = {}
        self._key: KeyAnswer | None = None
        self._is_taken_up = False
        self._want_key()

    @property
    def life(self) -> bytes:
        """Id of this life."""
        return self._keys.enclave_id

    @property
    def missing(self) -> list[str]:
        """Witnesses whose statement has not come."""
        return [party for party in self._terms.witnesses if party not in self._statements]

    @property
    def offered_records(self) -> int:
        """How many records have been offered."""
        return len(self._offered.records)

    def restore(self, record: bytes) -> None:
        """Take a record of earlier lives, in order. Offering others drops what was said about these."""
        with self._lock:
            self._require_waiting()
            had = self._first()
            if self._offered.add_untrusted(record):
                self._statements.clear()
                if self._first() is not had:
                    self._key = None
                    self._want_key()

    def proposal(self) -> bytes:
        """What would be taken up, signed, for witnesses."""
        with self._lock:
            self._require_waiting()
            offered = self._offered.offered
        proposal = StateProposal(self._agreement.digest(), self.life, offered)
        return cose.sign(proposal.encode(), typ=PROPOSAL_LABEL, key=self._keys.signing)

    def witness(self, signed_statement: bytes) -> None:
        """Take a witness's word; with the last thing that was missing the state is taken up."""
        with self._lock:
            self._require_waiting()
            party, payload = self._verify_witness(signed_statement)
            statement = StateStatement.decode_untrusted(payload)
            place = (statement.agreement_digest, statement.party, statement.life)
            if place != (self._agreement.digest(), party, self.life):
                raise RefusedError(Refusal.WRONG_PLACE, "a statement for another agreement, party or life")
            self._offered.require_not_behind(statement.known)
            try:
                share = self._keys.opening.open(statement.share, info=statement.share_info())
            except SealError as error:
                raise RefusedError(Refusal.DOES_NOT_OPEN, "the share is not for this life") from error
            self._statements[party] = _Statement(statement.known, share)
            self._take_up_if_complete()

    def _require_waiting(self) -> None:
        if self._is_taken_up:
            raise RefusedError(Refusal.WRONG_PHASE, "this life has taken its state up")

    def _verify_witness(self, message: bytes) -> tuple[str, bytes]:
        most = limits.STATE_STATEMENT_MAX_BYTES
        kid = cose.signer_untrusted(message, max_bytes=most, what="state statement")
        for party in self._terms.witnesses:
            key = self._agreement.participant(party).signing_key
            if cose.key_id(key) == kid:
                try:
                    return party, cose.verify_untrusted(
                        message, typ=STATEMENT_LABEL, public_key=key, max_bytes=most
                    )
                except SignatureError as error:
                    raise RefusedError(Refusal.BAD_SIGNATURE, error.message) from error
        raise RefusedError(Refusal.BAD_SIGNATURE, "signed by no witness of the agreement")

    def _want_key(self) -> None:
        first = self._first()
        self._errands.want(_key_request(self._agreement, self._terms, first), partial(self._take_key, first))

    def _take_key(self, asked_for: StateRecord | None, answer: KeyAnswer) -> None:
        with self._lock:
            # An errand that was under way when other records were offered brings a key that is not wanted.
            if not self._is_taken_up and self._first() is asked_for:
                self._key = answer
                self._take_up_if_complete()

    def _first(self) -> StateRecord | None:
        return self._offered.records[0] if self._offered.records else None

    def _take_up_if_complete(self) -> None:
        if self._key is None or self.missing:
            return
        try:
            taken = self._take_up(self._key)
            self._on_taken_up(taken)
        except Exception:
            # What was said does not go together, or was another key: all of it is asked for anew.
            self._statements.clear()
            self._key = None
            self._want_key()
            raise
        self._is_taken_up = True

    def _take_up(self, answer: KeyAnswer) -> TakenUp:
        statements = [self._statements[party] for party in self._terms.witnesses]
        key = StateKey(answer.plaintext, [statement.share for statement in statements])
        records = self._offered.records
        contents = [key.open_untrusted(record) for record in records]
        enclave_id = records[0].enclave_id if records else self.life
        entries, heads = verified_heads(
            contents, agreement_digest=self._agreement.digest(), enclave_id=enclave_id
        )
        for statement in statements:
            if statement.known is not None:
                require_known(statement.known, heads)
        secrets = contents[0].secrets if contents else self._secrets
        keys = EnclaveKeys.from_secrets(enclave_id, secrets) if contents else self._keys
        place = StateRecord(
            agreement_digest=self._agreement.digest(),
            enclave_id=enclave_id,
            life=self.life,
            sequence=len(records) + 1,
            kms_key=answer.key_arn,
            wrapped_key=records[0].wrapped_key if records else answer.ciphertext or b"",
            sealed=b"",
        )
        return TakenUp(keys, secrets, Journal(place, key), tuple(zip(entries, contents, strict=True)))


def _key_request(agreement: Agreement, terms: StateTerms, first: StateRecord | None) -> KeyRequest:
    """For the key of a state that begins, or of the one whose first record this is."""
    return KeyRequest(
        operation="GenerateDataKey" if first is None else "Decrypt",
        service=terms.kms,
        party=terms.party,
        subject=STATE_SUBJECT,
        key_id=terms.kms.alias_arn(f"concordat-{agreement.id}-{terms.party}")
        if first is None
        else first.kms_key,
        context=encryption_context(agreement.digest(), terms.party, STATE_SUBJECT),
        ciphertext=None if first is None else first.wrapped_key,
    )
