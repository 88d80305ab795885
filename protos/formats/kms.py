"""Whose key service may let go of a key to the enclave, and what that key is bound to.

A party names it in the agreement; which key of its account it is, it says where the key is used, under its
own signature. The enclave believes an endpoint by the certificates that stand here and by nothing else. Pure
values that check themselves; raises `FormatError`. (AWS KMS API Reference: `Recipient`, `EncryptionContext`.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from protos.formats.canonical import Value, require_bytes, require_fields, require_list, require_text
from protos.formats.errors import FormatError
from protos.formats.identifiers import require_slug

AUTHORITIES_MAX: Final = 8
AUTHORITY_MAX_BYTES: Final = 2048
WITNESSES_MAX: Final = 64
KEY_ARN_MAX_CHARACTERS: Final = 256
STATE_SUBJECT: Final = "#state"
"""What stands for the enclave's own state where data has the id of its dataset: no id begins like this."""
_ENDPOINT_MAX_CHARACTERS: Final = 260
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
_ROLE: Final = re.compile(r"[A-Za-z0-9+=,.@_-]{1,64}")
_KEY_ID: Final = re.compile(r"[A-Za-z0-9-]{1,128}")
_ENDPOINT: Final = re.compile(r"(?P<host>[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?):(?P<port>[1-9][0-9]{0,4})")


@dataclass(frozen=True)
class KeyService:
    """KMS in one account and region of a party."""

    account: str
    """Twelve digits."""
    region: str
    role: str
    """Name of the role in that account under which the enclave's requests come."""
    endpoint: str
    """`host:port`, in lower case. The host is what the endpoint's certificate has to be for."""
    authorities: tuple[bytes, ...]
    """Certificates (DER) of those who may vouch for the endpoint; nobody else may."""

    def __post_init__(self) -> None:
        for what, value, form, example in (
            ("account", self.account, _ACCOUNT, "111122223333"),
            ("region", self.region, _REGION, "eu-central-1"),
            ("role", self.role, _ROLE, "concordat-enclave"),
            ("endpoint", self.endpoint, _ENDPOINT, "kms.eu-central-1.amazonaws.com:443"),
        ):
            text = require_text(value, what=f"kms: {what}", max_characters=_ENDPOINT_MAX_CHARACTERS)
            if not form.fullmatch(text):
                raise FormatError(f"kms: {what}: got {text[:80]!r}, expected one like {example!r}")
        if self.host.rpartition(".")[2].isdigit():
            raise FormatError(
                f"kms: endpoint: got {self.host}, expected a name: addresses have no certificate"
            )
        if self.port >= 2**16:
            raise FormatError(f"kms: endpoint: got port {self.port}, expected at most {2**16 - 1}")
        items: list[Value] = list(self.authorities)
        require_list(items, what="kms: authorities", max_items=AUTHORITIES_MAX, min_items=1)
        for authority in self.authorities:
            require_bytes(authority, what="kms: authority", max_length=AUTHORITY_MAX_BYTES)
        if len(set(self.authorities)) != len(self.authorities):
            raise FormatError("kms: authorities: a certificate stands twice")

    @property
    def host(self) -> str:
        """Name of the endpoint."""
        return self.endpoint.rpartition(":")[0]

    @property
    def port(self) -> int:
        """Port of the endpoint."""
        return int(self.endpoint.rpartition(":")[2])

    @property
    def role_arn(self) -> str:
        """Of the enclave's role."""
        return f"arn:aws:iam::{self.account}:role/{self.role}"

    def alias_arn(self, name: str) -> str:
        """Of an alias, without `alias/`, in this account and region."""
        return f"arn:aws:kms:{self.region}:{self.account}:alias/{name}"

    def require_key_arn(self, arn: str) -> str:
        """`arn`, if it is one of a key in this account and region. Raises `FormatError`."""
        prefix = f"arn:aws:kms:{self.region}:{self.account}:key/"
        if not arn.startswith(prefix) or not _KEY_ID.fullmatch(arn.removeprefix(prefix)):
            raise FormatError(f"kms key: got {arn[:120]!r}, expected one like '{prefix}1234abcd-…'")
        return arn

    def to_value(self) -> Value:
        """The service as it stands in the agreement."""
        return {
            "account": self.account,
            "region": self.region,
            "role": self.role,
            "endpoint": self.endpoint,
            "authorities": list(self.authorities),
        }

    @classmethod
    def from_value_untrusted(cls, value: Value) -> KeyService:
        """Inverse of `to_value`."""
        fields = require_fields(value, _SERVICE_KEYS, what="kms")
        listed = require_list(fields["authorities"], what="kms: authorities", max_items=AUTHORITIES_MAX)
        return cls(**{**fields, "authorities": tuple(listed)})


@dataclass(frozen=True)
class StateTerms:
    """How the state of an enclave may outlive it: sealed under a party's key, and witnessed by parties."""

    party: str
    """Whose key it is sealed under; the key has an alias (`state_alias`)."""
    kms: KeyService
    witnesses: tuple[str, ...]
    """Parties each of whom has to say which state is the latest it knows before an enclave takes one up."""

    def __post_init__(self) -> None:
        require_slug(self.party, what="state: party")
        items: list[Value] = list(self.witnesses)
        require_list(items, what="state: witnesses", max_items=WITNESSES_MAX, min_items=1)
        if list(self.witnesses) != sorted({require_slug(one, what="state: witness") for one in items}):
            raise FormatError("state: witnesses: expected distinct ids in ascending order")

    def to_value(self) -> Value:
        """The terms as they stand in the agreement."""
        return {"party": self.party, "kms": self.kms.to_value(), "witnesses": list(self.witnesses)}

    @classmethod
    def from_value_untrusted(cls, value: Value) -> StateTerms:
        """Inverse of `to_value`."""
        fields = require_fields(value, frozenset({"party", "kms", "witnesses"}), what="state")
        listed = require_list(fields["witnesses"], what="state: witnesses", max_items=WITNESSES_MAX)
        return cls(
            party=fields["party"],
            kms=KeyService.from_value_untrusted(fields["kms"]),
            witnesses=tuple(listed),
        )


def encryption_context(agreement_digest: bytes, party: str, subject: str) -> dict[str, str]:
    """What KMS binds a data key to: `subject` is a dataset's id, or `STATE_SUBJECT`."""
    return {"agreement": agreement_digest.hex(), "party": party, "dataset": subject}


_SERVICE_KEYS: Final = frozenset({"account", "region", "role", "endpoint", "authorities"})
