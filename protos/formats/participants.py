"""Who takes part and on which enclave code they rely: the keys and measurements an agreement pins.

Pure values that check themselves. Raises `FormatError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protos.formats import cose, hpke, limits
from protos.formats.canonical import Value, require_bytes, require_fields, require_int, require_text
from protos.formats.errors import FormatError
from protos.formats.identifiers import DIGEST_BYTES, require_slug

FINGERPRINT_BYTES: Final = 32


@dataclass(frozen=True)
class Participant:
    """A party (owns data, signs the agreement) or an analyst (receives results)."""

    id: str
    name: str
    """For people; nothing is decided by it."""
    signing_key: bytes
    """Raw Ed25519 public key (32 bytes): signs approvals, datasets and run requests."""
    receiving_key: bytes
    """HPKE public key (`hpke.PUBLIC_KEY_BYTES`): results are sealed to it."""

    def __post_init__(self) -> None:
        require_slug(self.id, what="participant id")
        require_text(self.name, what=f"name of {self.id}", max_characters=limits.TEXT_MAX_CHARACTERS)
        require_bytes(self.signing_key, what=f"signing key of {self.id}", length=cose.PUBLIC_KEY_BYTES)
        require_bytes(self.receiving_key, what=f"receiving key of {self.id}", length=hpke.PUBLIC_KEY_BYTES)

    def to_value(self) -> Value:
        """The participant as it stands in the agreement."""
        return {
            "id": self.id,
            "name": self.name,
            "signing_key": self.signing_key,
            "receiving_key": self.receiving_key,
        }

    @classmethod
    def from_value_untrusted(cls, value: Value) -> Participant:
        """Inverse of `to_value`."""
        fields = require_fields(
            value, frozenset({"id", "name", "signing_key", "receiving_key"}), what="participant"
        )
        return cls(**fields)


@dataclass(frozen=True)
class Release:
    """One build of the enclave that the parties accept, and the root that must vouch for it.

    PCR0 covers the whole image; PCR1 and PCR2 are checked too, because none of the three stands by itself.
    Times are whole seconds since 1970-01-01T00:00:00Z; None: no bound but the agreement's own.
    """

    name: str
    pcr0: bytes
    pcr1: bytes
    pcr2: bytes
    root_sha256: bytes
    """SHA-256 of the root certificate's DER bytes; parties know which (`protos.release.roots`)."""
    valid_from_s: int | None = None
    valid_until_s: int | None = None
    """Exclusive."""

    def is_valid_at(self, time_s: float) -> bool:
        """Whether the release may be relied on at this time, as far as its own validity goes."""
        begun = self.valid_from_s is None or self.valid_from_s <= time_s
        return begun and (self.valid_until_s is None or time_s < self.valid_until_s)

    def __post_init__(self) -> None:
        require_text(self.name, what="release name", max_characters=limits.NAME_MAX_CHARACTERS)
        for index, pcr in enumerate((self.pcr0, self.pcr1, self.pcr2)):
            require_bytes(pcr, what=f"release {self.name}: pcr{index}", length=DIGEST_BYTES)
            if not any(pcr):
                raise FormatError(
                    f"release {self.name}: pcr{index} is all zero, which is what a debug-mode enclave reports"
                )
        require_bytes(self.root_sha256, what=f"release {self.name}: root_sha256", length=FINGERPRINT_BYTES)
        for what, time_s in (("valid_from_s", self.valid_from_s), ("valid_until_s", self.valid_until_s)):
            if time_s is not None:
                require_int(time_s, what=f"release {self.name}: {what}")
        begin, end = self.valid_from_s, self.valid_until_s
        if begin is not None and end is not None and begin >= end:
            raise FormatError(f"release {self.name}: its validity ends before it begins")

    def to_value(self) -> Value:
        """The release as it stands in the agreement."""
        return {
            "name": self.name,
            "pcr0": self.pcr0,
            "pcr1": self.pcr1,
            "pcr2": self.pcr2,
            "root_sha256": self.root_sha256,
            "valid_from_s": self.valid_from_s,
            "valid_until_s": self.valid_until_s,
        }

    @classmethod
    def from_value_untrusted(cls, value: Value) -> Release:
        """Inverse of `to_value`."""
        return cls(**require_fields(value, _RELEASE_KEYS, what="release"))


_RELEASE_KEYS: Final = frozenset(
    {"name", "pcr0", "pcr1", "pcr2", "root_sha256", "valid_from_s", "valid_until_s"}
)
