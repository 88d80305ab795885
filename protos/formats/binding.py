"""What an attestation document's `user_data` says, and of which keys: the tie from hardware to agreement.

The hybrid public key (1,216 bytes) does not fit the document's `public_key` field (1,024), so the
document carries a digest over the agreement, the enclave's key bundle and its id. Documents for parties,
for receipts, for KMS and for the public halves of a key ring carry different labels, so that none can ever
stand for another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protos.formats import hpke
from protos.formats.canonical import decode_map_untrusted, digest, encode, require_bytes
from protos.formats.cose import PUBLIC_KEY_BYTES
from protos.formats.identifiers import ENCLAVE_ID_BYTES

KEY_BUNDLE_LABEL: Final = "concordat/key-bundle/v1"
ATTESTATION_LABEL: Final = "concordat/attestation/v1"
RECEIPT_BINDING_LABEL: Final = "concordat/receipt-binding/v1"
KMS_RECIPIENT_LABEL: Final = "concordat/kms-recipient/v1"
PUBLIC_KEYS_LABEL: Final = "concordat/public-keys/v1"
KEY_BUNDLE_MAX_BYTES: Final = 2048


@dataclass(frozen=True)
class KeyBundle:
    """The public halves of the keys that one enclave made after it was bound to its agreement."""

    enclave_id: bytes
    """`ENCLAVE_ID_BYTES` random bytes: which enclave life this is."""
    hpke_public_key: bytes
    """Datasets are sealed to this key (`hpke.PUBLIC_KEY_BYTES`)."""
    signing_key: bytes
    """Ed25519 key with which the enclave signs acceptances (32 bytes)."""

    def encode(self) -> bytes:
        """Canonical bytes; their digest is in the attestation document."""
        return encode(
            {
                "label": KEY_BUNDLE_LABEL,
                "enclave_id": self.enclave_id,
                "hpke_public_key": self.hpke_public_key,
                "signing_key": self.signing_key,
            }
        )

    @classmethod
    def decode_untrusted(cls, data: bytes) -> KeyBundle:
        """Parse a bundle. It means nothing until an attestation document binds exactly these bytes."""
        fields = decode_map_untrusted(
            data,
            label=KEY_BUNDLE_LABEL,
            keys=frozenset({"enclave_id", "hpke_public_key", "signing_key"}),
            max_bytes=KEY_BUNDLE_MAX_BYTES,
        )
        return cls(
            enclave_id=require_bytes(fields["enclave_id"], what="enclave id", length=ENCLAVE_ID_BYTES),
            hpke_public_key=require_bytes(
                fields["hpke_public_key"], what="HPKE public key", length=hpke.PUBLIC_KEY_BYTES
            ),
            signing_key=require_bytes(fields["signing_key"], what="signing key", length=PUBLIC_KEY_BYTES),
        )


def attestation_user_data(agreement_digest: bytes, key_bundle: bytes, enclave_id: bytes) -> bytes:
    """`user_data` of a document made for a party: about 90 bytes."""
    return _labelled(ATTESTATION_LABEL, digest(ATTESTATION_LABEL, agreement_digest, key_bundle, enclave_id))


def receipt_user_data(claims: bytes) -> bytes:
    """`user_data` of the document in a receipt over the canonical bytes of its claims."""
    return _labelled(RECEIPT_BINDING_LABEL, digest(RECEIPT_BINDING_LABEL, claims))


def kms_recipient_user_data(agreement_digest: bytes, public_key: bytes, enclave_id: bytes) -> bytes:
    """`user_data` of a document made for KMS, with `public_key` (DER, also in the document)."""
    return _labelled(
        KMS_RECIPIENT_LABEL, digest(KMS_RECIPIENT_LABEL, agreement_digest, public_key, enclave_id)
    )


def public_keys_user_data(public_keys: bytes) -> bytes:
    """`user_data` of a document over the canonical bytes of the public halves of a key ring."""
    return _labelled(PUBLIC_KEYS_LABEL, digest(PUBLIC_KEYS_LABEL, public_keys))


def _labelled(label: str, value: bytes) -> bytes:
    return encode({"label": label, "digest": value})
