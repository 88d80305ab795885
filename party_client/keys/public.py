"""Public halves of the enclave's keys: believed when a verified document binds exactly these bytes.

Reads what the coordinator carried, or a file of evidence that was kept. A `VerifiedPublicKeys` has passed the
steps of attestation with `user_data` over these keys, and names exactly the keys of the agreement that have a
public half, each of its kind. Followed: protos/README.md, "Keys".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from party_client import files
from party_client.attestation import (
    AgreementInPcr16,
    AllOf,
    AllowedReleases,
    Anchors,
    Binding,
    verify_now,
    verify_replay,
)
from party_client.attestation.emulator import require_fitting
from party_client.attestation.evidence import VerifiedAttestation
from party_client.keys.errors import KeyFileError, KeyNotAgreedError, PublicKeysError
from protos.formats.agreement import Agreement
from protos.formats.binding import public_keys_user_data
from protos.formats.canonical import decode_untrusted, encode, require_bytes, require_fields
from protos.formats.errors import FormatError
from protos.formats.key_answer import PublicKeys
from protos.formats.key_ring import RSA_BITS
from protos.formats.limits import ATTESTATION_DOCUMENT_MAX_BYTES, KIB, PUBLIC_KEYS_MAX_BYTES
from protos.release.history import AgreedReleases

EVIDENCE_MAX_BYTES: Final = ATTESTATION_DOCUMENT_MAX_BYTES + PUBLIC_KEYS_MAX_BYTES + KIB
_CURVES: Final = {"ecdsa-p256": "secp256r1", "ecdsa-p384": "secp384r1"}
_MINT: Final = object()


@dataclass(frozen=True, kw_only=True)
class VerifiedPublicKeys:
    """Public keys whose private halves are in an enclave of the agreement, and nowhere else."""

    attestation: VerifiedAttestation
    keys: PublicKeys
    evidence: bytes
    """Document and keys, for others to verify: the content of an evidence file."""
    mint: InitVar[object]

    def __post_init__(self, mint: object) -> None:
        if mint is not _MINT:
            raise TypeError("VerifiedPublicKeys come from verifying a document, and from nowhere else")

    def pem(self, key_id: str) -> bytes:
        """SubjectPublicKeyInfo in PEM, as other programs read it. Raises `KeyNotAgreedError`."""
        halves: Mapping[str, bytes] = {half.key: half.spki for half in self.keys.keys}
        if key_id not in halves:
            raise KeyNotAgreedError(
                f"key {key_id!r} has no public half, expected one of {', '.join(halves) or 'none at all'}"
            )
        return serialization.load_der_public_key(halves[key_id]).public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


def verify_public_keys(
    document: bytes,
    public_keys: bytes,
    *,
    agreed: AgreedReleases,
    roots: Anchors,
    nonce: bytes,
    now: datetime,
) -> VerifiedPublicKeys:
    """The keys of an enclave that has just answered `nonce`. Raises `AttestationError`, `PublicKeysError`."""
    require_fitting(agreed.releases, roots)
    policy = _policy(agreed, public_keys)
    attestation = verify_now(document, roots=roots, nonce=nonce, policy=policy, now=now)
    return _verified(attestation, document, public_keys, agreed)


def verify_evidence(evidence: bytes, *, agreed: AgreedReleases, roots: Anchors) -> VerifiedPublicKeys:
    """The keys in a file of evidence, as they were when its document was signed.

    Raises `KeyFileError`, `AttestationError` or `PublicKeysError`.
    """
    require_fitting(agreed.releases, roots)
    try:
        value = decode_untrusted(evidence, max_bytes=EVIDENCE_MAX_BYTES, what="evidence")
        fields = require_fields(value, frozenset({"document", "public_keys"}), what="evidence")
        document = require_bytes(fields["document"], what="document")
        public_keys = require_bytes(fields["public_keys"], what="public keys")
    except FormatError as error:
        raise KeyFileError(f"evidence: {error.message}") from error
    attestation = verify_replay(document, roots=roots, policy=_policy(agreed, public_keys))
    return _verified(attestation, document, public_keys, agreed)


def load_evidence(path: Path) -> bytes:
    """The bytes of an evidence file, of which nothing is verified yet."""
    return files.read(path, max_bytes=EVIDENCE_MAX_BYTES, private=False)


def _policy(agreed: AgreedReleases, public_keys: bytes) -> AllOf:
    return AllOf(
        [
            AllowedReleases(agreed.releases),
            AgreementInPcr16(agreed.agreement.digest()),
            Binding(public_keys_user_data(public_keys)),
        ]
    )


def _verified(
    attestation: VerifiedAttestation, document: bytes, public_keys: bytes, agreed: AgreedReleases
) -> VerifiedPublicKeys:
    try:
        keys = PublicKeys.decode_untrusted(public_keys)
        _require_agreed(keys, agreed.agreement)
    except FormatError as error:
        raise PublicKeysError(
            f"public keys: {error.message}",
            hint="are this client and the enclave of releases that go together?",
        ) from error
    evidence = encode({"document": document, "public_keys": public_keys})
    return VerifiedPublicKeys(attestation=attestation, keys=keys, evidence=evidence, mint=_MINT)


def _require_agreed(keys: PublicKeys, agreement: Agreement) -> None:
    if keys.agreement_digest != agreement.digest():
        raise FormatError("of another agreement")
    expected = [(key.id, key.kind) for key in agreement.keys if key.has_public_half]
    if [(half.key, half.kind) for half in keys.keys] != expected:
        raise FormatError("other keys than those of the agreement")
    for half in keys.keys:
        _require_kind(half.spki, half.kind)


def _require_kind(spki: bytes, kind: str) -> None:
    try:
        key = serialization.load_der_public_key(spki)
    except ValueError as error:
        raise FormatError("not a SubjectPublicKeyInfo") from error
    if kind in _CURVES:
        fits = isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == _CURVES[kind]
    elif kind in RSA_BITS:
        fits = isinstance(key, rsa.RSAPublicKey) and key.key_size == RSA_BITS[kind]
    else:
        fits = isinstance(key, Ed25519PublicKey)
    if not fits:
        raise FormatError(f"a key that is not {kind}")
