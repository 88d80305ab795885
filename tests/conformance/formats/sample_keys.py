"""Keys of the enclave's ring in the computation of `samples`: as agreed, one use of one, and what is left."""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protos.formats import cose
from protos.formats.key_answer import KEY_ANSWER_LABEL, KeyAnswer, PublicKey, PublicKeys
from protos.formats.key_budget import KeyBudget, KeyLeft
from protos.formats.key_ring import AgreedKey
from protos.formats.key_use import (
    KEY_REQUEST_LABEL,
    SALT_BYTES,
    KeyCall,
    KeyRequest,
    input_digest,
    sign_key_approval,
)

AGREED_KEYS = (
    AgreedKey(
        id="seal",
        kind="ecdsa-p256",
        uses=frozenset({"sign"}),
        used_by=("analyst",),
        max_uses=3,
        approved_by=("airline",),
        per_day=1,
    ),
    AgreedKey(
        id="aircraft",
        kind="hmac-sha256",
        uses=frozenset({"tokenise"}),
        used_by=("airline", "weather"),
        max_uses=10,
        max_values=5000,
        normalise="email/v1",
    ),
)
KEY_BUDGETS = (
    KeyBudget("seal", (KeyLeft("uses", 3, 2), KeyLeft("day", 1, 0))),
    KeyBudget("aircraft", (KeyLeft("uses", 10, 10), KeyLeft("values", 5000, 5000))),
)
INPUT = b"what is to be signed"
SALT = bytes(range(SALT_BYTES))
SIGNED_AT_S = 1_767_268_800


def request(agreement_digest: bytes, enclave_id: bytes) -> KeyRequest:
    return KeyRequest(
        request_id=bytes(range(16)),
        agreement_digest=agreement_digest,
        enclave_id=enclave_id,
        key="seal",
        use="sign",
        requested_by="analyst",
        input_digest=input_digest(SALT, INPUT),
    )


def answer(asked: KeyRequest) -> KeyAnswer:
    return KeyAnswer(asked.digest(), number=1, at_s=SIGNED_AT_S, output=b"a signature stands here")


def public_keys(agreement_digest: bytes, enclave_id: bytes) -> PublicKeys:
    half = PublicKey("seal", "ecdsa-p256", b"a SubjectPublicKeyInfo stands here")
    return PublicKeys(agreement_digest, enclave_id, (half,))


def messages(
    agreement_digest: bytes, enclave_id: bytes, signers: Mapping[str, Ed25519PrivateKey]
) -> dict[str, bytes]:
    """One good message of every format that is about keys."""
    asked = request(agreement_digest, enclave_id)
    signed = cose.sign(asked.encode(), typ=KEY_REQUEST_LABEL, key=signers["analyst"])
    approval = sign_key_approval(
        asked.digest(), party="airline", key=signers["airline"], signed_at_s=SIGNED_AT_S
    )
    return {
        "key-request": asked.encode(),
        "signed-key-request": signed,
        "key-approval": approval,
        "key-call": KeyCall(signed, (approval,), b"a sealed input stands here").encode(),
        "key-answer": answer(asked).encode(),
        "signed-key-answer": cose.sign(answer(asked).encode(), typ=KEY_ANSWER_LABEL, key=signers["enclave"]),
        "public-keys": public_keys(agreement_digest, enclave_id).encode(),
    }


def values(agreement_digest: bytes, enclave_id: bytes, good: dict[str, bytes]) -> dict[str, object]:
    """What readers make of `messages`."""
    asked = request(agreement_digest, enclave_id)
    return {
        "key-request": asked,
        "signed-key-request": asked.encode(),
        "key-approval": None,
        "key-call": KeyCall(
            good["signed-key-request"], (good["key-approval"],), b"a sealed input stands here"
        ),
        "key-answer": answer(asked),
        "signed-key-answer": answer(asked).encode(),
        "public-keys": public_keys(agreement_digest, enclave_id),
    }
