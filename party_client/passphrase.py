"""Locking a short secret with a passphrase: scrypt (RFC 7914), then AES-256-GCM.

The parameters belong to version 1 of the file and are not read from it, so that no file can ask for weaker
ones, or for more memory. One guess costs about half a second and 128 MiB. Raises `PassphraseError`.
"""

from __future__ import annotations

import secrets
import unicodedata
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from protos.formats.errors import ConcordatError

KDF: Final = "scrypt N=131072 r=8 p=1"
SALT_BYTES: Final = 16
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


class PassphraseError(ConcordatError):
    """A passphrase is missing, empty or wrong."""

    code = "identity/passphrase"


@dataclass(frozen=True)
class Locked:
    """A secret that opens with its passphrase and nothing else."""

    salt: bytes
    """`SALT_BYTES`, fresh for every file."""
    nonce: bytes
    """`NONCE_BYTES`."""
    sealed: bytes
    """The secret and a tag of `TAG_BYTES`."""


def lock(secret: bytes, passphrase: str, *, context: bytes) -> Locked:
    """`secret`, locked; `context` is not hidden but cannot be changed without the passphrase."""
    salt, nonce = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
    sealed = AESGCM(_derive(passphrase, salt)).encrypt(nonce, secret, context)
    return Locked(salt, nonce, sealed)


def unlock(locked: Locked, passphrase: str, *, context: bytes) -> bytes:
    """The secret, when both passphrase and `context` are those it was locked with."""
    try:
        return AESGCM(_derive(passphrase, locked.salt)).decrypt(locked.nonce, locked.sealed, context)
    except (InvalidTag, ValueError) as error:
        raise PassphraseError(
            "the passphrase is wrong, or the file was changed after it was written",
            hint="try the passphrase again; there is no other way to open the file",
        ) from error


def _derive(passphrase: str, salt: bytes) -> bytes:
    if not passphrase:
        raise PassphraseError(
            "got an empty passphrase", hint="leave the passphrase out altogether, or use one"
        )
    # The same word typed on two keyboards may come as different code points.
    typed = unicodedata.normalize("NFC", passphrase).encode()
    return Scrypt(salt=salt, length=32, n=2**17, r=8, p=1).derive(typed)
