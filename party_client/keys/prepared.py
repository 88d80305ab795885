"""A use of a key that is signed but not sent: what is approved, sent, and sent again.

Whoever has a prepared use can read its input; only the enclave it names and the parties that approve it need
to. Its file is private to its owner (mode 0600) and is handed to approvers as they see fit. Sending it again
is the same use. Followed: protos/README.md, "Keys". Raises `KeyNotAgreedError`, `KeyInputError`,
`KeyFileError`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from party_client import files
from party_client.attestation import VerifiedEnclave
from party_client.identity import Identity
from party_client.keys.errors import KeyFileError, KeyInputError, KeyNotAgreedError
from protos.formats import cose, limits
from protos.formats.agreement import Agreement
from protos.formats.canonical import decode_untrusted, encode, require_bytes, require_fields, require_list
from protos.formats.errors import FormatError, SignatureError
from protos.formats.identifiers import RUN_ID_BYTES
from protos.formats.key_ring import AgreedKey
from protos.formats.key_use import (
    KEY_REQUEST_LABEL,
    SALT_BYTES,
    KeyCall,
    KeyRequest,
    input_digest,
    seal_input,
)

FILE_MAX_BYTES: Final = 256 * limits.MIB
USES_MAX: Final = 1_000


@dataclass(frozen=True)
class PreparedUse:
    """One signed request with its input in clear."""

    request: KeyRequest
    signed_request: bytes
    salt: bytes = field(repr=False)
    content: bytes = field(repr=False)

    def call(self, enclave: VerifiedEnclave, approvals: Sequence[bytes]) -> bytes:
        """What is sent: the input sealed to this enclave, which has to be the one that was signed for."""
        if enclave.keys.enclave_id != self.request.enclave_id:
            raise KeyNotAgreedError(
                f"this use was prepared for enclave {self.request.enclave_id.hex()}, "
                f"the job's is {enclave.keys.enclave_id.hex()}"
            )
        sealed = seal_input(
            self.content, salt=self.salt, request=self.request, public_key=enclave.keys.hpke_public_key
        )
        return KeyCall(self.signed_request, tuple(approvals), sealed).encode()


def require_usable(agreement: Agreement, key_id: str, use: str, participant: str) -> AgreedKey:
    """The key, if `participant` may have it do this; the enclave decides by the same rules."""
    try:
        key = agreement.key(key_id)
    except KeyError:
        known = ", ".join(key.id for key in agreement.keys) or "none at all"
        raise KeyNotAgreedError(f"the agreement has no key {key_id!r}, expected one of {known}") from None
    if use not in key.uses:
        raise KeyNotAgreedError(f"key {key_id} is for {', '.join(sorted(key.uses))}, not to {use}")
    if participant not in key.used_by:
        raise KeyNotAgreedError(
            f"key {key_id}: {participant} may not use it, the agreement lets {', '.join(key.used_by)}"
        )
    return key


def prepare(
    agreement: Agreement,
    key_id: str,
    use: str,
    content: bytes,
    *,
    enclave: VerifiedEnclave,
    identity: Identity,
) -> PreparedUse:
    """A new use of `key_id` in this enclave, signed by `identity`."""
    require_usable(agreement, key_id, use, identity.id)
    if len(content) > limits.KEY_INPUT_MAX_BYTES:
        raise KeyInputError(
            f"input: got {len(content):,} bytes, expected at most {limits.KEY_INPUT_MAX_BYTES:,}",
            hint="of something larger, sign or code a statement that has its SHA-256 in it",
        )
    salt = secrets.token_bytes(SALT_BYTES)
    request = KeyRequest(
        request_id=secrets.token_bytes(RUN_ID_BYTES),
        agreement_digest=agreement.digest(),
        enclave_id=enclave.keys.enclave_id,
        key=key_id,
        use=use,
        requested_by=identity.id,
        input_digest=input_digest(salt, content),
    )
    signed = cose.sign(request.encode(), typ=KEY_REQUEST_LABEL, key=identity.signing_key)
    return PreparedUse(request, signed, salt, content)


def save_prepared(path: Path, uses: Sequence[PreparedUse]) -> None:
    """Writes a new file, for its owner alone."""
    listed = [{"request": use.signed_request, "salt": use.salt, "input": use.content} for use in uses]
    files.create(path, encode({"uses": listed}))


def load_prepared(path: Path, agreement: Agreement) -> list[PreparedUse]:
    """The uses in a file, which may come from another organisation: each signed, for this agreement.

    That the input is the one that was signed for is checked here, so that approvers see what they approve.
    """
    data = files.read(path, max_bytes=FILE_MAX_BYTES, private=False)
    try:
        fields = require_fields(
            decode_untrusted(data, max_bytes=FILE_MAX_BYTES, what="prepared uses"),
            frozenset({"uses"}),
            what="prepared uses",
        )
        listed = require_list(fields["uses"], what="uses", max_items=USES_MAX, min_items=1)
        return [_use_untrusted(item, agreement) for item in listed]
    except (FormatError, SignatureError) as error:
        raise KeyFileError(
            f"{path}: {error.message}", hint="ask whoever prepared it for the file again"
        ) from error


def _use_untrusted(item: object, agreement: Agreement) -> PreparedUse:
    fields = require_fields(item, frozenset({"request", "salt", "input"}), what="use")
    most = limits.KEY_REQUEST_MAX_BYTES
    signed = require_bytes(fields["request"], what="request", max_length=most)
    salt = require_bytes(fields["salt"], what="salt", length=SALT_BYTES)
    content = require_bytes(fields["input"], what="input")
    kid = cose.signer_untrusted(signed, max_bytes=most, what="request")
    people = {cose.key_id(one.signing_key): one for one in (*agreement.parties, *agreement.analysts)}
    if kid not in people:
        raise FormatError("a use that is signed by nobody of this agreement")
    asker = people[kid]
    payload = cose.verify_untrusted(
        signed, typ=KEY_REQUEST_LABEL, public_key=asker.signing_key, max_bytes=most
    )
    request = KeyRequest.decode_untrusted(payload)
    if (request.requested_by, request.agreement_digest) != (asker.id, agreement.digest()):
        raise FormatError("a use in another name or under another agreement than this one")
    if request.input_digest != input_digest(salt, content):
        raise FormatError("a use whose input is not the one that was signed for")
    return PreparedUse(request, signed, salt, content)
