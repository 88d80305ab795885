"""One use of a key of the ring: who asks for what, who approves it, and the input on its way to the enclave.

The request commits to its input, salted, so that it can be signed, approved and counted without showing it:
`open_input` opens only what the request was signed for. An approval is over the digest of one request, and so
of one input to one key in one enclave. Pure; whether a use is allowed is the enclave's check. Follows
`protos/README.md`, "Keys". Raises `FormatError`, `SealError` and `SignatureError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protos.formats import cose, hpke, limits
from protos.formats.canonical import (
    Value,
    decode_map_untrusted,
    decode_untrusted,
    digest,
    encode,
    require_bytes,
    require_fields,
    require_int,
    require_list,
)
from protos.formats.errors import FormatError, LimitExceededError, SealError, SignatureError
from protos.formats.identifiers import DIGEST_BYTES, ENCLAVE_ID_BYTES, RUN_ID_BYTES, require_slug
from protos.formats.key_ring import USES
from protos.formats.participants import Participant
from protos.formats.result import pad, unpad

KEY_REQUEST_LABEL: Final = "concordat/key-request/v1"
KEY_APPROVAL_LABEL: Final = "concordat/key-approval/v1"
KEY_INPUT_LABEL: Final = "concordat/key-input/v1"
SALT_BYTES: Final = 32
_SEALED_INPUT_MAX_BYTES: Final = limits.MIB + hpke.OVERHEAD_BYTES


@dataclass(frozen=True)
class KeyRequest:
    """Which key, for what, over which input, in which enclave life, asked for by whom."""

    request_id: bytes
    """16 random bytes; asking again with the same is one use."""
    agreement_digest: bytes
    enclave_id: bytes
    key: str
    use: str
    requested_by: str
    input_digest: bytes
    """`input_digest` of the input and its salt."""

    def encode(self) -> bytes:
        """Canonical bytes, signed as COSE type `KEY_REQUEST_LABEL`."""
        return encode(
            {
                "label": KEY_REQUEST_LABEL,
                "request": self.request_id,
                "agreement": self.agreement_digest,
                "enclave": self.enclave_id,
                "key": self.key,
                "use": self.use,
                "requested_by": self.requested_by,
                "input": self.input_digest,
            }
        )

    def digest(self) -> bytes:
        """48 bytes that name this request in approvals, seals and answers."""
        return digest(KEY_REQUEST_LABEL, self.encode())

    @classmethod
    def decode_untrusted(cls, data: bytes) -> KeyRequest:
        """Parse the payload of a signed request."""
        fields = decode_map_untrusted(
            data,
            label=KEY_REQUEST_LABEL,
            keys=frozenset({"request", "agreement", "enclave", "key", "use", "requested_by", "input"}),
            max_bytes=limits.KEY_REQUEST_MAX_BYTES,
        )
        use = require_slug(fields["use"], what="use")
        if use not in USES:
            raise FormatError(f"use: got {use!r}, expected one of {sorted(USES)}")
        return cls(
            request_id=require_bytes(fields["request"], what="request id", length=RUN_ID_BYTES),
            agreement_digest=require_bytes(fields["agreement"], what="agreement digest", length=DIGEST_BYTES),
            enclave_id=require_bytes(fields["enclave"], what="enclave id", length=ENCLAVE_ID_BYTES),
            key=require_slug(fields["key"], what="key"),
            use=use,
            requested_by=require_slug(fields["requested_by"], what="requested_by"),
            input_digest=require_bytes(fields["input"], what="input digest", length=DIGEST_BYTES),
        )


def input_digest(salt: bytes, content: bytes) -> bytes:
    """What a request says of its input; without the salt nobody can try inputs against it."""
    return digest(KEY_INPUT_LABEL, salt, content)


def seal_input(content: bytes, *, salt: bytes, request: KeyRequest, public_key: bytes) -> bytes:
    """The input, padded and sealed to the enclave's HPKE key for this request and no other."""
    if len(content) > limits.KEY_INPUT_MAX_BYTES:
        raise LimitExceededError(
            f"key input: got {len(content)} bytes, expected at most {limits.KEY_INPUT_MAX_BYTES}"
        )
    padded = pad(salt + content)
    return hpke.seal(padded, public_key=public_key, info=_input_info(request))


def open_input(sealed: bytes, *, request: KeyRequest, key: hpke.PrivateKey) -> bytes:
    """The input for which `request` was signed. Raises `SealError` for any other, `FormatError` for none."""
    opened = unpad(key.open(sealed, info=_input_info(request)))
    salt, content = opened[:SALT_BYTES], opened[SALT_BYTES:]
    if len(salt) != SALT_BYTES or input_digest(salt, content) != request.input_digest:
        raise SealError("key input: not the one that the request was signed for")
    return content


def _input_info(request: KeyRequest) -> bytes:
    return encode({"label": KEY_INPUT_LABEL, "request": request.digest()})


def sign_key_approval(
    request_digest: bytes, *, party: str, key: Ed25519PrivateKey, signed_at_s: int
) -> bytes:
    """The message with which `party` lets the request with this digest have its answer."""
    payload = encode(
        {"label": KEY_APPROVAL_LABEL, "request": request_digest, "party": party, "signed_at_s": signed_at_s}
    )
    return cose.sign(payload, typ=KEY_APPROVAL_LABEL, key=key)


def verify_key_approval_untrusted(message: bytes, *, request_digest: bytes, party: Participant) -> None:
    """Raises `FormatError` or `SignatureError` unless `party` approved exactly this request."""
    payload = cose.verify_untrusted(
        message,
        typ=KEY_APPROVAL_LABEL,
        public_key=party.signing_key,
        max_bytes=limits.KEY_REQUEST_MAX_BYTES,
    )
    fields = decode_map_untrusted(
        payload,
        label=KEY_APPROVAL_LABEL,
        keys=frozenset({"request", "party", "signed_at_s"}),
        max_bytes=limits.KEY_REQUEST_MAX_BYTES,
    )
    require_int(fields["signed_at_s"], what="signed_at_s")
    if (fields["request"], fields["party"]) != (request_digest, party.id):
        raise SignatureError(
            f"approval of {party.id}: is of another use than this one",
            hint="an approval holds for one request only: have this one approved",
        )


@dataclass(frozen=True)
class KeyCall:
    """Everything that an enclave is given for one use; the body of the call."""

    signed_request: bytes
    approvals: tuple[bytes, ...]
    sealed_input: bytes

    def encode(self) -> bytes:
        """Canonical bytes."""
        return encode(
            {
                "request": self.signed_request,
                "approvals": list(self.approvals),
                "input": self.sealed_input,
            }
        )

    @classmethod
    def decode_untrusted(cls, body: bytes) -> KeyCall:
        """Parse; nothing of it is verified."""
        value = decode_untrusted(body, max_bytes=limits.KEY_CALL_MAX_BYTES, what="key use")
        fields = require_fields(value, frozenset({"request", "approvals", "input"}), what="key use")
        return cls(
            signed_request=require_bytes(
                fields["request"], what="signed request", max_length=limits.KEY_REQUEST_MAX_BYTES
            ),
            approvals=_approvals(fields["approvals"]),
            sealed_input=require_bytes(
                fields["input"], what="sealed input", max_length=_SEALED_INPUT_MAX_BYTES
            ),
        )


def _approvals(value: Value) -> tuple[bytes, ...]:
    items: Sequence[Value] = require_list(value, what="approvals", max_items=limits.PARTIES_MAX)
    most = limits.KEY_REQUEST_MAX_BYTES
    return tuple(require_bytes(item, what="approval", max_length=most) for item in items)
