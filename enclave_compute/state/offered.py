"""The records that the parent offers to take up, and whether a witness's word lets them be taken up.

What is readable of a record is looked at here, before it is opened: that it is of this agreement, that places
have no gap, that all are of one state. A witness that knows more than what was offered, or something else,
ends it; what can only be told once the records are open is told in `require_known`.
"""

from __future__ import annotations

from collections.abc import Sequence

from enclave_compute.errors import RefusedError
from protos.formats.calls import Refusal
from protos.formats.kms import KeyService
from protos.formats.state import KnownState, OfferedState, StateRecord


class Offered:
    """Records of one state, from the first on. Not thread-safe."""

    def __init__(self, agreement_digest: bytes, service: KeyService) -> None:
        """`service`: where the key of every state under the agreement is."""
        self._agreement_digest = agreement_digest
        self._service = service
        self.records: list[StateRecord] = []

    def add_untrusted(self, message: bytes) -> bool:
        """Take the next record, or the first of another state; whether that changed anything.

        Raises `RefusedError` or `FormatError`.
        """
        record = StateRecord.decode_untrusted(message)
        if record.agreement_digest != self._agreement_digest:
            raise RefusedError(Refusal.WRONG_PLACE, "a record of another agreement")
        self._service.require_key_arn(record.kms_key)
        if record in self.records[record.sequence - 1 : record.sequence]:
            return False
        if record.sequence == 1:
            self.records = []
        expected = len(self.records) + 1
        if record.sequence != expected:
            raise RefusedError(Refusal.OUT_OF_ORDER, f"record {record.sequence}", next_chunk=expected)
        if self.records and _of_state(record) != _of_state(self.records[0]):
            raise RefusedError(Refusal.STATE_FORKED, "a record of another state than those before")
        self.records.append(record)
        return True

    @property
    def offered(self) -> OfferedState | None:
        """What is offered; None: nothing, so that a state begins."""
        if not self.records:
            return None
        last = self.records[-1]
        return OfferedState(last.enclave_id, last.life, last.sequence)

    def require_not_behind(self, known: KnownState | None) -> None:
        """Raises `RefusedError` when what a witness knows cannot be part of what is offered."""
        offered = self.offered
        if offered is None:
            if known is not None:
                raise RefusedError(Refusal.STATE_BEHIND, "a witness knows a state, and none was offered")
            return
        if known is None or known.enclave_id != offered.enclave_id:
            raise RefusedError(Refusal.STATE_FORKED, "a witness does not know this state")
        if known.sequence > offered.sequence:
            raise RefusedError(Refusal.STATE_BEHIND, "a witness has seen later entries")
        if all(record.life != known.life for record in self.records):
            raise RefusedError(Refusal.STATE_BEHIND, "a witness made a statement for a later life")


def require_known(known: KnownState, heads: Sequence[bytes]) -> None:
    """Raises `RefusedError` when the opened ledger is not the one that a witness has seen."""
    if known.sequence and heads[known.sequence - 1] != known.head:
        raise RefusedError(Refusal.STATE_FORKED, "a witness has seen another entry in its place")


def _of_state(record: StateRecord) -> tuple[bytes, str, bytes]:
    return record.enclave_id, record.kms_key, record.wrapped_key
