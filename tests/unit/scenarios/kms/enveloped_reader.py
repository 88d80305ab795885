"""Opens CiphertextForRecipient with a parser and code that share nothing with the server's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from asn1crypto import cms
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from tests.kms_world import spki_of


@dataclass(frozen=True)
class Enveloped:
    """What stands in a message of AWS's shape."""

    key_identifier: bytes
    encrypted_key: bytes
    iv: bytes
    ciphertext: bytes


def parse(message: bytes) -> Enveloped:
    """The parts of `message`; every identifier is the one that AWS uses, or this raises."""
    content = cms.ContentInfo.load(message, strict=True)
    assert content["content_type"].native == "enveloped_data"
    data = content["content"]
    assert data["version"].native == "v2"
    (info,) = data["recipient_infos"]
    info = info.chosen
    assert info["version"].native == "v2"
    assert info["rid"].name == "subject_key_identifier"
    assert info["key_encryption_algorithm"].native == {
        "algorithm": "rsaes_oaep",
        "parameters": {
            "hash_algorithm": {"algorithm": "sha256", "parameters": None},
            "mask_gen_algorithm": {
                "algorithm": "mgf1",
                "parameters": {"algorithm": "sha256", "parameters": None},
            },
            "p_source_algorithm": {"algorithm": "p_specified", "parameters": b""},
        },
    }
    encrypted = data["encrypted_content_info"]
    assert encrypted["content_type"].native == "data"
    algorithm = encrypted["content_encryption_algorithm"]
    assert algorithm["algorithm"].native == "aes256_cbc"
    return Enveloped(
        key_identifier=info["rid"].native,
        encrypted_key=info["encrypted_key"].native,
        iv=algorithm["parameters"].native,
        ciphertext=encrypted["encrypted_content"].native,
    )


def open_enveloped(message: bytes, key: rsa.RSAPrivateKey) -> bytes:
    """The plaintext of `message`. Raises `ValueError` if it is for somebody else."""
    found = parse(message)
    if found.key_identifier != hashlib.sha256(spki_of(key)).digest():
        raise ValueError("another recipient")
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    content_key = key.decrypt(found.encrypted_key, oaep)
    decryptor = Cipher(algorithms.AES256(content_key), modes.CBC(found.iv)).decryptor()
    unpadder = PKCS7(128).unpadder()
    padded = decryptor.update(found.ciphertext) + decryptor.finalize()
    return unpadder.update(padded) + unpadder.finalize()
