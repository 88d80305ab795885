"""Who asks: a message signed by a participant of the agreement, and by nobody else.

Reads what the coordinator carried. The key comes from the agreement, never from the message. Raises
`RefusedError`, or `FormatError` for what is no signed message at all.
"""

from __future__ import annotations

from enclave_compute.errors import RefusedError
from protos.formats import cose, limits
from protos.formats.agreement import Agreement
from protos.formats.calls import Refusal
from protos.formats.errors import SignatureError
from protos.formats.participants import Participant


def verify_asker_untrusted(
    agreement: Agreement, message: bytes, *, typ: str, what: str
) -> tuple[Participant, bytes]:
    """(who signed `message` as a `typ`, its payload)."""
    most = limits.RUN_REQUEST_MAX_BYTES
    kid = cose.signer_untrusted(message, max_bytes=most, what=what)
    people = {cose.key_id(person.signing_key): person for person in (*agreement.parties, *agreement.analysts)}
    if kid not in people:
        raise RefusedError(Refusal.BAD_SIGNATURE, "signed by nobody of the agreement")
    asker = people[kid]
    try:
        payload = cose.verify_untrusted(message, typ=typ, public_key=asker.signing_key, max_bytes=most)
    except SignatureError as error:
        raise RefusedError(Refusal.BAD_SIGNATURE, error.message) from error
    return asker, payload
