"""Writes CiphertextForRecipient: CMS EnvelopedData, to the byte in the form that AWS KMS has.

BER with indefinite lengths outside and definite ones inside; one KeyTransRecipientInfo, version 2, whose
recipient is the SHA-256 of the key's SPKI; RSAES-OAEP with SHA-256 twice; AES-256-CBC. Contents of a single
block stand in a primitive [0], longer ones in a constructed [0] of OCTET STRINGs of at most 1,000 bytes:
both forms are in the test data of AWS's SDK for enclaves. (RFC 5652 section 6, RFC 4055 section 4.1, X.690
section 8.)
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from scenarios.kms.recipient import Recipient

_BLOCK_BYTES: Final = 16
_SEGMENT_BYTES: Final = 1000
_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_OCTET_STRING: Final = 0x04
_PRIMITIVE_0: Final = 0x80
_CONSTRUCTED_0: Final = 0xA0
_CONSTRUCTED_1: Final = 0xA1
_VERSION_2: Final = bytes.fromhex("020102")
_ENVELOPED_DATA: Final = bytes.fromhex("06092a864886f70d010703")
_DATA: Final = bytes.fromhex("06092a864886f70d010701")
_RSAES_OAEP: Final = bytes.fromhex("06092a864886f70d010107")
_MGF1: Final = bytes.fromhex("06092a864886f70d010108")
_SHA256: Final = bytes.fromhex("300d06096086480165030402010500")
_AES256_CBC: Final = bytes.fromhex("060960864801650304012a")


def envelop(plaintext: bytes, recipient: Recipient) -> bytes:
    """`plaintext` for the enclave that `recipient` is."""
    key, iv = secrets.token_bytes(32), secrets.token_bytes(_BLOCK_BYTES)
    oaep = OAEP(mgf=MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    encrypted_key = recipient.public_key.encrypt(key, oaep)
    padder, encryptor = PKCS7(8 * _BLOCK_BYTES).padder(), Cipher(AES256(key), CBC(iv)).encryptor()
    padded = padder.update(plaintext) + padder.finalize()
    ciphertext = encryptor.update(padded) + encryptor.finalize()
    return assemble(
        key_identifier=hashlib.sha256(recipient.spki).digest(),
        encrypted_key=encrypted_key,
        iv=iv,
        ciphertext=ciphertext,
    )


def assemble(*, key_identifier: bytes, encrypted_key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    """The message that has these parts."""
    recipients = _der(_SET, _recipient_info(key_identifier, encrypted_key))
    enveloped = _VERSION_2 + recipients + _content(iv, ciphertext)
    return _ber(_SEQUENCE, _ENVELOPED_DATA + _ber(_CONSTRUCTED_0, _ber(_SEQUENCE, enveloped)))


def _recipient_info(key_identifier: bytes, encrypted_key: bytes) -> bytes:
    parameters = _der(_CONSTRUCTED_0, _SHA256) + _der(_CONSTRUCTED_1, _der(_SEQUENCE, _MGF1 + _SHA256))
    algorithm = _der(_SEQUENCE, _RSAES_OAEP + _der(_SEQUENCE, parameters))
    identifier = _der(_PRIMITIVE_0, key_identifier)
    return _der(_SEQUENCE, _VERSION_2 + identifier + algorithm + _der(_OCTET_STRING, encrypted_key))


def _content(iv: bytes, ciphertext: bytes) -> bytes:
    algorithm = _der(_SEQUENCE, _AES256_CBC + _der(_OCTET_STRING, iv))
    if len(ciphertext) == _BLOCK_BYTES:
        content = _der(_PRIMITIVE_0, ciphertext)
    else:
        starts = range(0, len(ciphertext), _SEGMENT_BYTES)
        segments = (_der(_OCTET_STRING, ciphertext[at : at + _SEGMENT_BYTES]) for at in starts)
        content = _ber(_CONSTRUCTED_0, b"".join(segments))
    return _ber(_SEQUENCE, _DATA + algorithm + content)


def _der(tag: int, body: bytes) -> bytes:
    """With its length in as few bytes as it needs."""
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + body


def _ber(tag: int, body: bytes) -> bytes:
    """Of indefinite length, closed by two zeros."""
    return bytes([tag, 0x80]) + body + bytes(2)
