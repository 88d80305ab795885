"""What an enclave says about the keys of its ring: their public halves, and outcomes of uses.

An outcome is signed with the key of the attested bundle, because whoever knows a receiving key could seal to
it, and then sealed to the one who asked, so that nobody between them sees whether anything came out. Public
halves are bound by an attestation document with a label of its own. Pure. Follows `protos/README.md`, "Keys".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protos.formats import cose, hpke, limits
from protos.formats.binding import PUBLIC_KEYS_LABEL
from protos.formats.canonical import (
    Value,
    decode_map_untrusted,
    encode,
    require_bytes,
    require_fields,
    require_int,
    require_list,
)
from protos.formats.errors import FormatError
from protos.formats.identifiers import DIGEST_BYTES, ENCLAVE_ID_BYTES, require_slug
from protos.formats.key_ring import KEYS_MAX, PUBLIC_KINDS
from protos.formats.query import RUNS_MAX
from protos.formats.result import pad, unpad

KEY_ANSWER_LABEL: Final = "concordat/key-answer/v1"
SPKI_MAX_BYTES: Final = 1024
ROOM_BYTES: Final = 512
"""More than an answer has beside its output."""


@dataclass(frozen=True)
class PublicKey:
    """The half of a key that everybody may have."""

    key: str
    kind: str
    spki: bytes
    """SubjectPublicKeyInfo, DER."""

    def to_value(self) -> Value:
        """As it stands among the others."""
        return {"key": self.key, "kind": self.kind, "public_key": self.spki}

    @classmethod
    def from_value_untrusted(cls, value: Value) -> PublicKey:
        """Inverse of `to_value`."""
        fields = require_fields(value, frozenset({"key", "kind", "public_key"}), what="public key")
        if fields["kind"] not in PUBLIC_KINDS:
            raise FormatError(f"public key: expected a kind of {sorted(PUBLIC_KINDS)}")
        return cls(
            key=require_slug(fields["key"], what="key"),
            kind=fields["kind"],
            spki=require_bytes(fields["public_key"], what="public key", max_length=SPKI_MAX_BYTES),
        )


@dataclass(frozen=True)
class PublicKeys:
    """Of every key of the agreement that has one, in the order of the agreement."""

    agreement_digest: bytes
    enclave_id: bytes
    keys: tuple[PublicKey, ...]

    def encode(self) -> bytes:
        """Canonical bytes; they mean nothing until an attestation document binds exactly these."""
        return encode(
            {
                "label": PUBLIC_KEYS_LABEL,
                "agreement": self.agreement_digest,
                "enclave": self.enclave_id,
                "keys": [key.to_value() for key in self.keys],
            }
        )

    @classmethod
    def decode_untrusted(cls, data: bytes) -> PublicKeys:
        """Inverse of `encode`."""
        fields = decode_map_untrusted(
            data,
            label=PUBLIC_KEYS_LABEL,
            keys=frozenset({"agreement", "enclave", "keys"}),
            max_bytes=limits.PUBLIC_KEYS_MAX_BYTES,
        )
        keys = require_list(fields["keys"], what="keys", max_items=KEYS_MAX)
        return cls(
            agreement_digest=require_bytes(fields["agreement"], what="agreement digest", length=DIGEST_BYTES),
            enclave_id=require_bytes(fields["enclave"], what="enclave id", length=ENCLAVE_ID_BYTES),
            keys=tuple(map(PublicKey.from_value_untrusted, keys)),
        )


@dataclass(frozen=True)
class KeyAnswer:
    """What came out of one use."""

    request_digest: bytes
    number: int
    """Which use of this key it was, from 1."""
    at_s: int
    """When it was charged, by the security module's clock."""
    output: bytes | None = field(repr=False)
    """None: what was to be decrypted does not decrypt. Why is not told; it was charged all the same."""

    def encode(self) -> bytes:
        """Canonical bytes, signed as COSE type `KEY_ANSWER_LABEL` by the key of the enclave's bundle."""
        return encode(
            {
                "label": KEY_ANSWER_LABEL,
                "request": self.request_digest,
                "number": self.number,
                "at_s": self.at_s,
                "output": self.output,
            }
        )

    @classmethod
    def decode_untrusted(cls, data: bytes) -> KeyAnswer:
        """Parse the payload of a signed answer."""
        fields = decode_map_untrusted(
            data,
            label=KEY_ANSWER_LABEL,
            keys=frozenset({"request", "number", "at_s", "output"}),
            max_bytes=limits.KEY_ANSWER_MAX_BYTES,
        )
        output = fields["output"]
        if output is not None and type(output) is not bytes:
            raise FormatError(f"output: got {type(output).__name__}, expected bytes")
        return cls(
            request_digest=require_bytes(fields["request"], what="request digest", length=DIGEST_BYTES),
            number=require_int(fields["number"], what="number", low=1, high=RUNS_MAX),
            at_s=require_int(fields["at_s"], what="at_s"),
            output=output,
        )


def seal_answer(
    answer: KeyAnswer,
    *,
    signing: Ed25519PrivateKey,
    receiver: str,
    receiving_key: bytes,
    as_if_bytes: int = 0,
) -> bytes:
    """The answer signed, padded and sealed to `receiver`, for its request alone.

    No output of at most `as_if_bytes` makes it larger or smaller than none at all.
    """
    signed = cose.sign(answer.encode(), typ=KEY_ANSWER_LABEL, key=signing)
    padded = pad(signed, least_bytes=as_if_bytes + ROOM_BYTES)
    return hpke.seal(padded, public_key=receiving_key, info=_info(answer.request_digest, receiver))


def open_answer(
    sealed: bytes, *, request_digest: bytes, receiver: str, key: hpke.PrivateKey, signing_key: bytes
) -> KeyAnswer:
    """The answer to exactly this request, by the enclave that has `signing_key`.

    Raises `SealError`, `SignatureError` or `FormatError`.
    """
    padded = key.open(sealed, info=_info(request_digest, receiver))
    # How large the enclave made it is its own choice.
    signed = unpad(padded, least_bytes=len(padded) // 2)
    payload = cose.verify_untrusted(
        signed, typ=KEY_ANSWER_LABEL, public_key=signing_key, max_bytes=limits.KEY_ANSWER_MAX_BYTES
    )
    answer = KeyAnswer.decode_untrusted(payload)
    if answer.request_digest != request_digest:
        raise FormatError("key answer: is to another request")
    return answer


def _info(request_digest: bytes, receiver: str) -> bytes:
    return encode({"label": KEY_ANSWER_LABEL, "request": request_digest, "receiver": receiver})
