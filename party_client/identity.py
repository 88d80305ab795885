"""Who a party or an analyst is: one secret seed, and the two key pairs that are made from it.

The seed is 32 random bytes. HKDF-SHA512 (RFC 5869) makes two independent keys of it, told apart by their
labels: an Ed25519 key that signs, and a hybrid HPKE key (see `protos.formats.hpke`) to which results are
sealed. `NAME.key` holds the seed and is its owner's alone; `NAME.pub` holds the public half, for the
agreement. Raises `IdentityFileError`, `PassphraseError` and the errors of `files`.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from party_client import files, identity_file
from party_client.identity_file import PRIVATE_LABEL, PUBLIC_LABEL, Fields, IdentityFileError
from party_client.passphrase import (
    KDF,
    NONCE_BYTES,
    SALT_BYTES,
    TAG_BYTES,
    Locked,
    PassphraseError,
    lock,
    unlock,
)
from protos.formats import canonical, hpke, limits
from protos.formats.errors import FormatError
from protos.formats.participants import Participant

FINGERPRINT_LABEL: Final = "concordat/identity-fingerprint/v1"
SEED_BYTES: Final = 32
_SIGNING_INFO: Final = b"concordat/identity/v1 signing key"
_RECEIVING_INFO: Final = b"concordat/identity/v1 receiving key"
_PURPOSE_INFO: Final = b"concordat/identity/v1 secret for "
_FINGERPRINT_BYTES: Final = 20
_HEAD: Final = ("id", "name", "fingerprint")


def fingerprint(participant: Participant) -> str:
    """160 bits in eight groups of four, over id, name and both keys: short enough to read over the phone.

    The letters are those of base32, which has no 0, 1, 8 or 9 to be taken for a letter.
    """
    digest = canonical.digest(FINGERPRINT_LABEL, canonical.encode(participant.to_value()))
    letters = base64.b32encode(digest[:_FINGERPRINT_BYTES]).decode().lower()
    return "-".join(letters[start : start + 4] for start in range(0, len(letters), 4))


@dataclass(frozen=True)
class PublicIdentity:
    """The half of an identity that everybody may know and that an agreement pins."""

    id: str
    name: str
    signing_key: bytes
    """Raw Ed25519 public key, 32 bytes."""
    receiving_key: bytes
    """HPKE public key, `hpke.PUBLIC_KEY_BYTES`."""

    def __post_init__(self) -> None:
        self.participant()  # which checks itself when it is made

    def participant(self) -> Participant:
        """The entry of an agreement for this identity."""
        return Participant(self.id, self.name, self.signing_key, self.receiving_key)

    def fingerprint(self) -> str:
        """What two people compare before they rely on this file."""
        return fingerprint(self.participant())

    def save(self, path: Path) -> None:
        """Writes a new `NAME.pub`."""
        fields = {
            "label": PUBLIC_LABEL,
            "id": self.id,
            "name": self.name,
            "signing_key": base64.b64encode(self.signing_key).decode(),
            "receiving_key": base64.b64encode(self.receiving_key).decode(),
        }
        files.create(path, identity_file.to_json(fields), mode=files.PUBLIC)

    @classmethod
    def load(cls, path: Path | str) -> PublicIdentity:
        """The public identity in `path`, which may come from another organisation."""
        path = Path(path)
        data = files.read(path, max_bytes=identity_file.FILE_MAX_BYTES, private=False)
        fields = identity_file.fields_untrusted(data, path=path, label=PUBLIC_LABEL)
        identity_file.require_keys(fields, ("id", "name", "signing_key", "receiving_key"), path=path)
        try:
            return cls(
                id=identity_file.text_field(fields, "id", path=path),
                name=identity_file.text_field(fields, "name", path=path),
                signing_key=identity_file.base64_field(fields, "signing_key", path=path),
                receiving_key=identity_file.base64_field(fields, "receiving_key", path=path),
            )
        except FormatError as error:
            raise IdentityFileError(f"{path}: {error.message}", hint=error.hint) from error


class Identity:
    """A whole identity, with its private keys. Its text form shows none of them."""

    def __init__(self, id: str, name: str, seed: bytes) -> None:
        """`seed` is `SEED_BYTES` of secret randomness; `generate` draws one."""
        if len(seed) != SEED_BYTES:
            raise FormatError(f"identity seed: got {len(seed)} bytes, expected {SEED_BYTES}")
        self._seed: Final = seed
        self.id: Final = id
        self.name: Final = name
        self.signing_key: Final = Ed25519PrivateKey.from_private_bytes(_derive(seed, _SIGNING_INFO, 32))
        self.receiving_key: Final = hpke.PrivateKey(_derive(seed, _RECEIVING_INFO, hpke.SEED_BYTES))
        self.public: Final = PublicIdentity(
            id, name, self.signing_key.public_key().public_bytes_raw(), self.receiving_key.public_key
        )

    def __repr__(self) -> str:
        return f"Identity({self.id!r}, {self.public.fingerprint()})"

    @classmethod
    def generate(cls, id: str, name: str) -> Identity:
        """A new identity from the operating system's randomness."""
        return cls(id, name, secrets.token_bytes(SEED_BYTES))

    def secret_for(self, purpose: str, length: int) -> bytes:
        """A secret for `purpose` that this identity alone can make, and always makes alike."""
        return _derive(self._seed, _PURPOSE_INFO + purpose.encode(), length)

    def save(self, path: Path, passphrase: str | None = None) -> None:
        """Writes a new `NAME.key`, readable by its owner only, and locked if there is a passphrase."""
        head: Fields = {"id": self.id, "name": self.name, "fingerprint": self.public.fingerprint()}
        if passphrase is None:
            secret: Fields = {"seed": self._seed.hex()}
        else:
            locked = lock(self._seed, passphrase, context=_context(head))
            parts = {"salt": locked.salt, "nonce": locked.nonce, "sealed": locked.sealed}
            secret = {"locked": {"kdf": KDF, **{key: part.hex() for key, part in parts.items()}}}
        files.create(path, identity_file.to_json({"label": PRIVATE_LABEL, **head, **secret}))

    @classmethod
    def load(cls, path: Path | str, passphrase: str | None = None) -> Identity:
        """The identity in `path`. `PassphraseError` when it is locked and `passphrase` does not open it."""
        path = Path(path)
        fields = _private_fields(path)
        head = {key: identity_file.text_field(fields, key, path=path) for key in _HEAD}
        try:
            for key, value in head.items():
                canonical.require_text(value, what=key, max_characters=limits.TEXT_MAX_CHARACTERS)
            if "locked" in fields:
                seed = _unlocked(fields["locked"], passphrase, head=head, path=path)
            else:
                seed = identity_file.hex_field(fields, "seed", length=SEED_BYTES, path=path)
            identity = cls(head["id"], head["name"], seed)
        except FormatError as error:
            raise IdentityFileError(f"{path}: {error.message}", hint=error.hint) from error
        if identity.public.fingerprint() != head["fingerprint"]:
            raise IdentityFileError(
                f"{path}: id, name or seed were changed after the file was written",
                hint="restore the file from a backup, or make a new identity",
            )
        return identity


def is_locked(path: Path) -> bool:
    """Whether the `NAME.key` at `path` wants a passphrase. Raises as `Identity.load` does."""
    return "locked" in _private_fields(path)


def _derive(seed: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=hashes.SHA512(), length=length, salt=None, info=info).derive(seed)


def _private_fields(path: Path) -> Fields:
    try:
        data = files.read(path, max_bytes=identity_file.FILE_MAX_BYTES, private=True)
    except files.ExposedFileError:  # to be closed to others only if it is a private key at all
        seen = files.read(path, max_bytes=identity_file.FILE_MAX_BYTES, private=False)
        identity_file.fields_untrusted(seen, path=path, label=PRIVATE_LABEL)
        raise
    fields = identity_file.fields_untrusted(data, path=path, label=PRIVATE_LABEL)
    identity_file.require_keys(fields, (*_HEAD, "locked" if "locked" in fields else "seed"), path=path)
    return fields


def _unlocked(box: object, passphrase: str | None, *, head: Fields, path: Path) -> bytes:
    if not isinstance(box, dict) or box.get("kdf") != KDF:
        raise IdentityFileError(f"{path}: locked in a way this version does not know, expected {KDF}")
    identity_file.require_keys(box, ("kdf", "salt", "nonce", "sealed"), path=path)
    locked = Locked(
        salt=identity_file.hex_field(box, "salt", length=SALT_BYTES, path=path),
        nonce=identity_file.hex_field(box, "nonce", length=NONCE_BYTES, path=path),
        sealed=identity_file.hex_field(box, "sealed", length=SEED_BYTES + TAG_BYTES, path=path),
    )
    if passphrase is None:
        raise PassphraseError(
            f"{path}: is locked with a passphrase",
            hint="give it with --passphrase-file, or at a terminal when asked",
        )
    return unlock(locked, passphrase, context=_context(head))


def _context(head: Fields) -> bytes:
    return canonical.encode({"label": PRIVATE_LABEL, **head})
