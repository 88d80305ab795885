"""Fuzz target: an approval is a party's word on this agreement, whoever wrote the bytes, parties included.

Beside genuine ones it keeps nothing from being in force.
"""

from __future__ import annotations

from protos.formats import cose
from protos.formats.approvals import (
    APPROVAL_LABEL,
    genuine_approvals_untrusted,
    verify_approval_untrusted,
    verify_approvals_untrusted,
)
from protos.formats.canonical import decode_untrusted
from protos.formats.errors import FormatError, SignatureError
from protos.formats.limits import MIB
from tests.conformance.formats.refused import messages_of
from tests.conformance.formats.samples import AIRLINE, agreement, approvals
from tests.fuzz.runner import run

AGREEMENT = agreement()
PAYLOADS = [decode_untrusted(message, max_bytes=MIB, what="sample")[2] for message in approvals()]
SEEDS = [*messages_of("approval"), *PAYLOADS]


def one_input(data: bytes) -> None:
    """Reads `data` as an approval, and as what a party with its key has signed."""
    for message in (data, cose.sign(data, typ=APPROVAL_LABEL, key=AIRLINE.signing)):
        found = genuine_approvals_untrusted(AGREEMENT, [message, *approvals()])
        assert verify_approvals_untrusted(AGREEMENT, found).digest == AGREEMENT.digest()
        try:
            approval = verify_approval_untrusted(AGREEMENT, message)
        except (FormatError, SignatureError):
            continue
        assert approval.agreement_digest == AGREEMENT.digest()
        assert approval.party == "airline" or message in approvals()


if __name__ == "__main__":
    run(one_input, seeds=SEEDS)
