"""GenerateDataKeyPair, GenerateDataKeyPairWithoutPlaintext, DeriveSharedSecret, GetPublicKey."""

from __future__ import annotations

from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)

from scenarios.kms import blobs
from scenarios.kms.errors import ParameterError
from scenarios.kms.keys import CURVES
from scenarios.kms.operations.call import Call, answer_secret, encoded
from scenarios.kms.parameters import PUBLIC_KEY_MAX_BYTES, blob, encryption_context, text

_RSA_BITS: Final = {"RSA_2048": 2048, "RSA_3072": 3072, "RSA_4096": 4096}
_AGREEMENT: Final = "ECDH"
_PAIR_PARAMETERS: Final = ("EncryptionContext", "KeyId", "KeyPairSpec", "GrantTokens", "DryRun")


def generate_data_key_pair(call: Call) -> dict[str, Any]:
    """A new key pair: its private half as a blob and for the caller."""
    call.expect(*_PAIR_PARAMETERS, "Recipient")
    return _data_key_pair(call, shown=True)


def generate_data_key_pair_without_plaintext(call: Call) -> dict[str, Any]:
    """A new key pair: its private half as a blob only."""
    call.expect(*_PAIR_PARAMETERS)
    return _data_key_pair(call, shown=False)


def derive_shared_secret(call: Call) -> dict[str, Any]:
    """What the key and somebody's public key agree on (SP 800-56A: the x coordinate)."""
    call.expect("KeyId", "KeyAgreementAlgorithm", "PublicKey", "GrantTokens", "DryRun", "Recipient")
    if text(call.members, "KeyAgreementAlgorithm") != _AGREEMENT:
        raise ParameterError(f"KeyAgreementAlgorithm: expected {_AGREEMENT}")
    key, recipient = call.key(), call.recipient()
    spki = blob(call.members, "PublicKey", max_bytes=PUBLIC_KEY_MAX_BYTES)
    conditions = {"kms:keyagreementalgorithm": (_AGREEMENT,)}
    call.permit(key, recipient=recipient, conditions=conditions)
    private = call.usable(key).agreement_key()
    shared = private.exchange(ec.ECDH(), _public_key(spki, private.curve))
    return {
        **answer_secret(shared, recipient, plaintext_name="SharedSecret"),
        "KeyId": key.arn,
        "KeyAgreementAlgorithm": _AGREEMENT,
        "KeyOrigin": "AWS_KMS",
    }


def get_public_key(call: Call) -> dict[str, Any]:
    """The public half of a key for agreement."""
    call.expect("KeyId", "GrantTokens")
    key = call.key()
    call.permit(key)
    public = call.usable(key).agreement_key().public_key()
    return {
        "KeyId": key.arn,
        "PublicKey": encoded(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
        "KeySpec": key.spec,
        "KeyUsage": key.usage,
        "KeyAgreementAlgorithms": [_AGREEMENT],
    }


def _data_key_pair(call: Call, *, shown: bool) -> dict[str, Any]:
    key, context, recipient = call.key(), encryption_context(call.members), call.recipient()
    spec = text(call.members, "KeyPairSpec")
    if spec not in _RSA_BITS and spec not in CURVES:
        raise ParameterError(f"KeyPairSpec: expected one of {', '.join([*_RSA_BITS, *CURVES])}")
    conditions = {"kms:datakeypairspec": (spec,), "kms:encryptionalgorithm": ("SYMMETRIC_DEFAULT",)}
    call.permit(key, encryption_context=context, recipient=recipient, conditions=conditions)
    material = call.usable(key).symmetric_material()
    pair = _make(spec)
    private = pair.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    public = pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    secret = answer_secret(private, recipient, plaintext_name="PrivateKeyPlaintext") if shown else {}
    return {
        **secret,
        "PrivateKeyCiphertextBlob": encoded(blobs.seal(material, key.key_id, private, context)),
        "PublicKey": encoded(public),
        "KeyId": key.arn,
        "KeyPairSpec": spec,
    }


def _make(spec: str) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    if spec in _RSA_BITS:
        return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS[spec])
    return ec.generate_private_key(CURVES[spec])


def _public_key(spki: bytes, curve: ec.EllipticCurve) -> ec.EllipticCurvePublicKey:
    try:
        key = load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ParameterError("PublicKey: no key in DER") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != curve.name:
        raise ParameterError(f"PublicKey: expected a key on {curve.name}, as the KMS key")
    return key
