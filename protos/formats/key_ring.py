"""Keys that an enclave makes and never gives away: what each is for, for whom, how often, with whose consent.

A key serves one purpose: what signs never decrypts, what makes tokens makes no other codes, so that nobody
can have through one use what the bounds of another keep from him. Values check themselves; an empty list
means deny. Raises `FormatError`. Follows `protos/README.md`, "Keys".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from protos.formats import limits
from protos.formats.canonical import (
    Value,
    encode,
    require_fields,
    require_int,
    require_list,
    require_sorted_texts,
    require_text,
)
from protos.formats.errors import FormatError
from protos.formats.identifiers import require_slug
from protos.formats.query import RUNS_MAX
from protos.formats.schema import NORMALISERS, Column

RING_KEY_LABEL: Final = "concordat/ring-key/v1"
TOKEN_BYTES: Final = 16
KEYS_MAX: Final = 32
RSA_KEYS_MAX: Final = 4
"""Of one agreement: making one takes seconds, and an enclave makes all of them when it is bound."""
VALUES_MAX: Final = 10**12
VALUES_IN_USE_MAX: Final = 60_000
"""Identifiers in one use: their tokens fill no more than a bucket of 1 MiB."""

SIGN, DECRYPT, ENCRYPT, HMAC, TOKENISE = "sign", "decrypt", "encrypt", "hmac", "tokenise"
USES: Final = frozenset({SIGN, DECRYPT, ENCRYPT, HMAC, TOKENISE})
RSA_BITS: Final = {"rsa-2048": 2048, "rsa-3072": 3072, "rsa-4096": 4096}
_SIGNING, _OPENING = frozenset({SIGN}), frozenset({DECRYPT})
_PURPOSES: Final[dict[str, tuple[frozenset[str], ...]]] = {
    "ecdsa-p256": (_SIGNING,),
    "ecdsa-p384": (_SIGNING,),
    "ed25519": (_SIGNING,),
    **dict.fromkeys(RSA_BITS, (_SIGNING, _OPENING)),
    "aes-256": (frozenset({ENCRYPT, DECRYPT}), frozenset({ENCRYPT}), _OPENING),
    "hmac-sha256": (frozenset({HMAC}), frozenset({TOKENISE})),
}
"""Kind of key → what one key of it may be for, one of these."""
KINDS: Final = frozenset(_PURPOSES)
PUBLIC_KINDS: Final = KINDS - {"aes-256", "hmac-sha256"}
"""Those that have a public half."""


@dataclass(frozen=True)
class AgreedKey:
    """One key of the ring, as agreed. Counts are for one enclave life, or for state that outlives it."""

    id: str
    kind: str
    uses: frozenset[str]
    used_by: tuple[str, ...]
    """Participants, in ascending order; any one of them may ask for any of `uses`."""
    max_uses: int
    approved_by: tuple[str, ...] = ()
    """Parties each of whom has to sign every single use; none: whoever may use it needs nobody."""
    per_day: int | None = None
    per_week: int | None = None
    per_month: int | None = None
    max_values: int | None = None
    """Identifiers in all uses together, repeated ones counted again; always and only of a key for tokens."""
    normalise: str = "none"
    """What is done to an identifier before its token is made."""

    def __post_init__(self) -> None:
        require_slug(self.id, what="key id")
        where = f"key {self.id}"
        kind = require_text(self.kind, what=f"{where}: kind", max_characters=limits.NAME_MAX_CHARACTERS)
        if kind not in _PURPOSES:
            raise FormatError(f"{where}: got kind {kind!r}, expected one of {sorted(KINDS)}")
        if self.uses not in _PURPOSES[kind]:
            purposes = " or ".join("+".join(sorted(uses)) for uses in _PURPOSES[kind])
            raise FormatError(
                f"{where}: got uses {sorted(self.uses)}, expected for {kind}: {purposes} "
                "(a key serves one purpose; an empty list means deny)"
            )
        if not self.used_by:
            raise FormatError(f"{where}: used_by must name somebody (empty means nobody)")
        for what, names in (("used_by", self.used_by), ("approved_by", self.approved_by)):
            require_sorted_texts(list(names), what=f"{where}: {what}", max_items=limits.PARTIES_MAX)
        require_int(self.max_uses, what=f"{where}: max_uses", low=1, high=RUNS_MAX)
        for what, uses in (("day", self.per_day), ("week", self.per_week), ("month", self.per_month)):
            if uses is not None:
                require_int(uses, what=f"{where}: per_{what}", low=1, high=RUNS_MAX)
        self._require_values(where)

    def _require_values(self, where: str) -> None:
        if self.normalise not in NORMALISERS:
            raise FormatError(
                f"{where}: got normalise {self.normalise!r}, expected one of {sorted(NORMALISERS)}"
            )
        if TOKENISE in self.uses:
            if self.max_values is None:
                raise FormatError(f"{where}: max_values is missing: how many identifiers in all")
            require_int(self.max_values, what=f"{where}: max_values", low=1, high=VALUES_MAX)
        elif self.max_values is not None or self.normalise != "none":
            raise FormatError(f"{where}: max_values and normalise are for keys that tokenise only")

    @property
    def has_public_half(self) -> bool:
        """Whether there is something of it that everybody may have."""
        return self.kind in PUBLIC_KINDS

    def to_value(self) -> Value:
        """The key as it stands in the agreement."""
        return {
            "id": self.id,
            "kind": self.kind,
            "uses": sorted(self.uses),
            "used_by": list(self.used_by),
            "approved_by": list(self.approved_by),
            "max_uses": self.max_uses,
            "per_day": self.per_day,
            "per_week": self.per_week,
            "per_month": self.per_month,
            "max_values": self.max_values,
            "normalise": self.normalise,
        }

    @classmethod
    def from_value_untrusted(cls, value: Value) -> AgreedKey:
        """Inverse of `to_value`."""
        fields = require_fields(value, _KEYS, what="key")
        return cls(
            id=fields["id"],
            kind=fields["kind"],
            uses=frozenset(require_sorted_texts(fields["uses"], what="uses", max_items=len(USES))),
            used_by=tuple(require_list(fields["used_by"], what="used_by", max_items=limits.PARTIES_MAX)),
            approved_by=tuple(
                require_list(fields["approved_by"], what="approved_by", max_items=limits.PARTIES_MAX)
            ),
            max_uses=fields["max_uses"],
            per_day=fields["per_day"],
            per_week=fields["per_week"],
            per_month=fields["per_month"],
            max_values=fields["max_values"],
            normalise=require_text(
                fields["normalise"], what="normalise", max_characters=limits.NAME_MAX_CHARACTERS
            ),
        )

    def info(self, agreement_digest: bytes) -> bytes:
        """What tells this key's secret apart from all others that are made of the same seed."""
        return encode([RING_KEY_LABEL, agreement_digest, self.id, self.kind])


def require_key_references(keys: Sequence[AgreedKey], *, parties: set[str], people: Iterable[str]) -> None:
    """Everybody whom a key names is there, and there are not too many that take long to make."""
    everybody = set(people)
    for key in keys:
        if strangers := sorted(set(key.used_by) - everybody):
            raise FormatError(f"key {key.id}: used_by names {strangers}, who are neither party nor analyst")
        if strangers := sorted(set(key.approved_by) - parties):
            raise FormatError(f"key {key.id}: approved_by names {strangers}, who are no parties")
    if (count := sum(key.kind in RSA_BITS for key in keys)) > RSA_KEYS_MAX:
        raise FormatError(f"keys: got {count} RSA keys, expected at most {RSA_KEYS_MAX}")


def identifier_column(normalise: str) -> Column:
    """The one column of what is tokenised, laid out as in a chunk of a dataset."""
    return Column("identifier", "text", nullable=False, uses=frozenset(), normalise=normalise)


_KEYS: Final = frozenset(
    {
        *("id", "kind", "uses", "used_by", "approved_by", "max_uses", "per_day", "per_week", "per_month"),
        *("max_values", "normalise"),
    }
)
