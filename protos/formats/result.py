"""A result on its way to one receiver: padded to a size bucket, then sealed to the receiver's key.

The plaintext is an Arrow IPC stream. Padding hides the exact size: a 4-byte big-endian length, the bytes,
then zeros up to a power of two of at least 4 KiB. The coordinator sees which bucket, nothing finer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protos.formats import hpke, limits
from protos.formats.canonical import decode_map_untrusted, digest, encode, require_bytes
from protos.formats.errors import FormatError, LimitExceededError
from protos.formats.identifiers import DIGEST_BYTES, ENCLAVE_ID_BYTES, RUN_ID_BYTES, require_slug

SEALED_RESULT_LABEL: Final = "concordat/sealed-result/v1"
RESULT_LABEL: Final = "concordat/result/v1"
SMALLEST_BUCKET_BYTES: Final = 4 * limits.KIB
_LENGTH_BYTES: Final = 4


@dataclass(frozen=True)
class ResultContext:
    """Which result this is and for whom; HPKE `info`, so a result cannot be passed off as another."""

    agreement_digest: bytes
    enclave_id: bytes
    run_id: bytes
    receiver: str

    def info(self) -> bytes:
        """Canonical bytes of the context."""
        return encode({"label": SEALED_RESULT_LABEL, **self.fields()})

    def fields(self) -> dict[str, str | bytes]:
        """The context as it stands in the sealed result."""
        return {
            "agreement": self.agreement_digest,
            "enclave": self.enclave_id,
            "run": self.run_id,
            "receiver": self.receiver,
        }


@dataclass(frozen=True)
class SealedResult:
    """What the coordinator stores and hands to the receiver."""

    context: ResultContext
    sealed: bytes

    def encode(self) -> bytes:
        """Canonical bytes."""
        return encode({"label": SEALED_RESULT_LABEL, "sealed": self.sealed, **self.context.fields()})

    @classmethod
    def decode_untrusted(cls, data: bytes) -> SealedResult:
        """Parse; nothing is proved until it opens and its digest stands in a verified receipt."""
        most = _largest_bucket() + hpke.OVERHEAD_BYTES
        fields = decode_map_untrusted(
            data,
            label=SEALED_RESULT_LABEL,
            keys=frozenset({"agreement", "enclave", "run", "receiver", "sealed"}),
            max_bytes=most + limits.KIB,
        )
        context = ResultContext(
            agreement_digest=require_bytes(fields["agreement"], what="agreement digest", length=DIGEST_BYTES),
            enclave_id=require_bytes(fields["enclave"], what="enclave id", length=ENCLAVE_ID_BYTES),
            run_id=require_bytes(fields["run"], what="run id", length=RUN_ID_BYTES),
            receiver=require_slug(fields["receiver"], what="receiver"),
        )
        return cls(
            context=context, sealed=require_bytes(fields["sealed"], what="sealed result", max_length=most)
        )


def seal_result(result: bytes, *, context: ResultContext, receiving_key: bytes) -> SealedResult:
    """`result` padded and sealed to `receiving_key`. Raises `LimitExceededError` over `RESULT_MAX_BYTES`."""
    return SealedResult(context, hpke.seal(pad(result), public_key=receiving_key, info=context.info()))


def open_result(sealed: SealedResult, *, key: hpke.PrivateKey) -> bytes:
    """The result's bytes, or `SealError` / `FormatError`."""
    return unpad(key.open(sealed.sealed, info=sealed.context.info()))


def result_digest(result: bytes) -> bytes:
    """48 bytes that name a result's content in the receipt."""
    return digest(RESULT_LABEL, result)


def pad(result: bytes, *, least_bytes: int = 0) -> bytes:
    """Length, bytes and zeros, together a power of two of at least `SMALLEST_BUCKET_BYTES`.

    As large as if it had `least_bytes`, if it has fewer.
    """
    if len(result) > limits.RESULT_MAX_BYTES:
        raise LimitExceededError(
            f"result: got {len(result)} bytes, expected at most {limits.RESULT_MAX_BYTES}"
        )
    needed = _LENGTH_BYTES + max(len(result), least_bytes)
    bucket = max(SMALLEST_BUCKET_BYTES, 1 << (needed - 1).bit_length())
    return (len(result).to_bytes(_LENGTH_BYTES, "big") + result).ljust(bucket, b"\x00")


def unpad(padded: bytes, *, least_bytes: int = 0) -> bytes:
    """Inverse of `pad`; `FormatError` for anything that `pad` would not have made."""
    length = int.from_bytes(padded[:_LENGTH_BYTES], "big")
    result = padded[_LENGTH_BYTES : _LENGTH_BYTES + length]
    if len(result) != length or pad(result, least_bytes=least_bytes) != padded:
        raise FormatError("result: not padded as the specification says")
    return result


def _largest_bucket() -> int:
    return 1 << (limits.RESULT_MAX_BYTES + _LENGTH_BYTES - 1).bit_length()
