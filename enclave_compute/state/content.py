"""One entry of a ledger with what is kept beside it, and the seal around both.

The key has a part from KMS and one from each witness, and differs from life to life: two lives that go on
from the same state never seal two entries under one key and nonce. The seal is tied to everything in the
record that is readable. What does not open says nothing about why. Follows `protos/README.md`, "State".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from enclave_compute.errors import RefusedError
from protos.formats import limits
from protos.formats.calls import Refusal
from protos.formats.canonical import (
    decode_map_untrusted,
    encode,
    require_bytes,
    require_int,
)
from protos.formats.errors import FormatError
from protos.formats.state import CONTENT_LABEL, KEY_LABEL, StateRecord

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_SECRETS_MAX: Final = 128


@dataclass(frozen=True)
class Content:
    """What is sealed in a record."""

    entry: bytes
    """The claims of a release, or an event."""
    at_s: int
    """When it was charged, by the security module's clock."""
    request: bytes | None = None
    """The signed request of a release; the request of a use of a key, as it is encoded."""
    values: int = 0
    """Identifiers in a use of a key."""
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """What the enclave's keys are made of; in the first record."""

    def encode(self) -> bytes:
        """Canonical bytes."""
        return encode(
            {
                "label": CONTENT_LABEL,
                "entry": self.entry,
                "at_s": self.at_s,
                "request": self.request,
                "values": self.values,
                "secrets": dict(self.secrets),
            }
        )

    @classmethod
    def decode_untrusted(cls, data: bytes) -> Content:
        """Inverse of `encode`."""
        most = limits.STATE_RECORD_MAX_BYTES
        fields = decode_map_untrusted(
            data,
            label=CONTENT_LABEL,
            keys=frozenset({"entry", "at_s", "request", "values", "secrets"}),
            max_bytes=most,
        )
        secrets, request = fields["secrets"], fields["request"]
        if not isinstance(secrets, dict) or len(secrets) > _SECRETS_MAX:
            raise FormatError(f"state content: secrets: expected a map of at most {_SECRETS_MAX}")
        for secret in secrets.values():
            require_bytes(secret, what="state content: a secret", max_length=most)
        return cls(
            entry=require_bytes(fields["entry"], what="entry", max_length=most),
            at_s=require_int(fields["at_s"], what="at_s"),
            request=None
            if request is None
            else require_bytes(request, what="request", max_length=limits.RUN_REQUEST_MAX_BYTES),
            values=require_int(fields["values"], what="values"),
            secrets=secrets,
        )


class StateKey:
    """The key of one state, from its parts."""

    def __init__(self, data_key: bytes, shares: Sequence[bytes]) -> None:
        """`data_key` is KMS's, `shares` are the witnesses', in the order of the agreement."""
        self._parts: Final = data_key + b"".join(shares)

    def seal(self, record: StateRecord, content: Content) -> StateRecord:
        """`record` with `content` sealed in it. Once for each life and sequence."""
        return replace(record, sealed=self._aead(record).encrypt(*_places(record, content.encode())))

    def open_untrusted(self, record: StateRecord) -> Content:
        """What is sealed in `record`. Raises `RefusedError` or `FormatError`."""
        try:
            return Content.decode_untrusted(self._aead(record).decrypt(*_places(record, record.sealed)))
        except InvalidTag as error:
            raise RefusedError(Refusal.DOES_NOT_OPEN, f"state record {record.sequence}") from error

    def _aead(self, record: StateRecord) -> AESGCM:
        info = encode([KEY_LABEL, record.agreement_digest, record.enclave_id, record.life])
        return AESGCM(HKDF(hashes.SHA384(), _KEY_BYTES, salt=None, info=info).derive(self._parts))


def _places(record: StateRecord, data: bytes) -> tuple[bytes, bytes, bytes]:
    """(nonce, `data`, associated data)."""
    return record.sequence.to_bytes(_NONCE_BYTES, "big"), data, record.head()
