"""Opens CiphertextForRecipient: CMS EnvelopedData, in the forms that AWS KMS writes and no others.

Reads bytes that came over TLS from a party's KMS, which is trusted with that party's key and with nothing
else. One recipient, named by the SHA-256 of this enclave's public key; RSAES-OAEP with SHA-256 twice;
AES-256-CBC; lengths definite or indefinite, contents in one piece or in several; not a byte left over.
CBC has no authentication: from the RSA step on all failures are one failure, found at the end, so that
nobody learns from trying which byte was wrong. (RFC 5652 section 6, RFC 4055 section 4.1, X.690 section
8.)
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from enclave_compute.errors import RefusedError
from enclave_compute.kms.recipient import RSA_BYTES, Recipient
from protos.formats import limits
from protos.formats.calls import Refusal

_BLOCK_BYTES: Final = 16
_KEY_BYTES: Final = 32
_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_OCTET_STRING: Final = 0x04
_PRIMITIVE_0: Final = 0x80
_CONSTRUCTED_0: Final = 0xA0
_INDEFINITE: Final = 0x80
_END: Final = bytes(2)
_VERSION_2: Final = bytes.fromhex("020102")
_ENVELOPED_DATA: Final = bytes.fromhex("06092a864886f70d010703")
_DATA: Final = bytes.fromhex("06092a864886f70d010701")
_OAEP_SHA256: Final = bytes.fromhex(
    "303c06092a864886f70d010107302fa00f300d06096086480165030402010500"
    "a11c301a06092a864886f70d010108300d06096086480165030402010500"
)
"""rsaesOaep with SHA-256, and MGF1 with SHA-256: the whole AlgorithmIdentifier in its one encoding."""
_AES256_CBC: Final = bytes.fromhex("060960864801650304012a")


@dataclass(frozen=True)
class Enveloped:
    """What a message consists of."""

    key_identifier: bytes
    encrypted_key: bytes
    iv: bytes
    ciphertext: bytes


def open_enveloped(message: bytes, recipient: Recipient) -> bytes:
    """What stands in `message` for `recipient`. Raises `RefusedError`."""
    parts = parse_enveloped_untrusted(message)
    if parts.key_identifier != recipient.identifier:
        raise _failed("for another key than this enclave's")
    try:
        key = recipient.private_key.decrypt(
            parts.encrypted_key, OAEP(MGF1(hashes.SHA256()), hashes.SHA256(), None)
        )
    except ValueError:
        key = b""
    opens = len(key) == _KEY_BYTES
    # With a key of nobody's if there is none: the work, the time and the refusal are the same.
    decryptor = Cipher(AES256(key if opens else os.urandom(_KEY_BYTES)), CBC(parts.iv)).decryptor()
    padded = decryptor.update(parts.ciphertext) + decryptor.finalize()
    unpadder = PKCS7(8 * _BLOCK_BYTES).unpadder()
    try:
        plaintext = unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        opens, plaintext = False, b""
    if not opens:
        raise _failed("does not open")
    return plaintext


def parse_enveloped_untrusted(message: bytes) -> Enveloped:
    """The parts of `message`. Raises `RefusedError`."""
    if len(message) > limits.KMS_MESSAGE_MAX_BYTES:
        raise _failed(f"got {len(message)} bytes, expected at most {limits.KMS_MESSAGE_MAX_BYTES}")
    reader = _Reader(message)
    reader.enter(_SEQUENCE)
    reader.expect(_ENVELOPED_DATA)
    reader.enter(_CONSTRUCTED_0)
    reader.enter(_SEQUENCE)
    reader.expect(_VERSION_2)
    reader.enter(_SET)
    reader.enter(_SEQUENCE)
    reader.expect(_VERSION_2)
    key_identifier = reader.primitive(_PRIMITIVE_0)
    reader.expect(_OAEP_SHA256)
    encrypted_key = reader.primitive(_OCTET_STRING)
    reader.leave()
    reader.leave()
    reader.enter(_SEQUENCE)
    reader.expect(_DATA)
    reader.enter(_SEQUENCE)
    reader.expect(_AES256_CBC)
    iv = reader.primitive(_OCTET_STRING)
    reader.leave()
    ciphertext = _content(reader)
    for _ in range(4):
        reader.leave()
    reader.require_end()
    sizes = (len(encrypted_key), len(iv), len(ciphertext) % _BLOCK_BYTES)
    if sizes != (RSA_BYTES, _BLOCK_BYTES, 0) or not ciphertext:
        raise _failed("a key, an initialisation vector or contents of another size than the algorithms have")
    return Enveloped(key_identifier, encrypted_key, iv, ciphertext)


def _content(reader: _Reader) -> bytes:
    """[0] IMPLICIT OCTET STRING: in one piece, or in several."""
    if reader.next_is(_PRIMITIVE_0):
        return reader.primitive(_PRIMITIVE_0)
    reader.enter(_CONSTRUCTED_0)
    pieces = bytearray()
    while reader.next_is(_OCTET_STRING):
        pieces += reader.primitive(_OCTET_STRING)
    reader.leave()
    return bytes(pieces)


class _Reader:
    """Reads BER front to back, one expected element after the other; whatever else comes is refused."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._ends: list[int | None] = []
        """Where what has been entered ends, the innermost last; `None` for indefinite lengths."""

    def next_is(self, tag: int) -> bool:
        return self._data[self._at : self._at + 1] == bytes([tag])

    def expect(self, encoded: bytes) -> None:
        """Exactly these bytes."""
        if self._take(len(encoded)) != encoded:
            raise _failed("another type, version or algorithm than KMS's")

    def primitive(self, tag: int) -> bytes:
        """The contents of an element of definite length."""
        length = self._header(tag)
        if length is None:
            raise _failed("an indefinite length where none may be")
        return self._take(length)

    def enter(self, tag: int) -> None:
        """Go inside a constructed element."""
        length = self._header(tag)
        self._ends.append(None if length is None else self._at + length)

    def leave(self) -> None:
        """Go out again, at the very end of what was entered last: so nothing is longer than what it is in."""
        end = self._ends.pop()
        if end is None:
            self.expect(_END)
        elif self._at != end:
            raise _failed("more in it than expected")

    def require_end(self) -> None:
        if self._at != len(self._data):
            raise _failed("bytes behind the end")

    def _take(self, count: int) -> bytes:
        start, self._at = self._at, self._at + count
        if self._at > len(self._data):
            raise _failed("cut off")
        return self._data[start : self._at]

    def _header(self, tag: int) -> int | None:
        """Passes the tag; the length, which is as short as it can be. `None` is indefinite."""
        if self._take(1)[0] != tag:
            raise _failed("another element than KMS writes there")
        first = self._take(1)[0]
        if first < _INDEFINITE:
            return first
        if first == _INDEFINITE:
            return None
        digits = self._take(first & 0x7F)
        length = int.from_bytes(digits)
        if digits[0] == 0 or length < _INDEFINITE:
            raise _failed("a length that is not as short as it can be")
        return length


def _failed(what: str) -> RefusedError:
    return RefusedError(Refusal.KMS_FAILED, f"CiphertextForRecipient: {what}")
