"""What an enclave wants from a key service, in the enclave's words, as far as the coordinator needs them.

Reads an enclave's answer, which may be anything: texts are bounded and printable, and nothing is believed.
Whether the endpoint may be reached from here is the operator's list to say (`kms.allowlist`), what the role
may do is the key owner's. Followed: `protos/README.md`, "Frames and calls".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protos.formats.canonical import Value, require_fields
from protos.formats.errors import FormatError
from protos.formats.identifiers import require_slug
from protos.formats.limits import DATASETS_MAX

STATE_SUBJECT: Final = "#state"
_ERRANDS_MAX: Final = DATASETS_MAX + 1
"""One for each dataset, one for what the enclave keeps."""
_KEYS: Final = frozenset({"subject", "endpoint", "role", "region", "party"})
_ENDPOINT_MAX_CHARACTERS: Final = 253 + 6
_ROLE_MAX_CHARACTERS: Final = 2048
_REGION_MAX_CHARACTERS: Final = 64


@dataclass(frozen=True)
class Errand:
    """One call to one key service that an enclave wants to make."""

    subject: str
    """A dataset, or `STATE_SUBJECT`."""
    endpoint: str
    """HOST:PORT."""
    role: str
    """In the key owner's account, as the agreement names it."""
    region: str
    party: str
    """Whose key it is."""

    def address(self) -> tuple[str, int]:
        """(host, port) of the endpoint."""
        host, _, port = self.endpoint.rpartition(":")
        return host, int(port)


def errand_untrusted(value: Value) -> Errand:
    """An errand out of an enclave's answer. Raises `FormatError`."""
    fields = require_fields(value, _KEYS, what="errand")
    subject = fields["subject"]
    if subject != STATE_SUBJECT:
        subject = require_slug(subject, what="errand's subject")
    return Errand(
        subject=subject,
        endpoint=_require_endpoint(_require_text(fields["endpoint"], "endpoint", _ENDPOINT_MAX_CHARACTERS)),
        role=_require_text(fields["role"], "role", _ROLE_MAX_CHARACTERS),
        region=_require_text(fields["region"], "region", _REGION_MAX_CHARACTERS),
        party=require_slug(fields["party"], what="errand's party"),
    )


def errands_untrusted(value: Value) -> list[Errand]:
    """All that an enclave wants: at most one errand a subject. Raises `FormatError`."""
    if not isinstance(value, list) or len(value) > _ERRANDS_MAX:
        raise FormatError(f"errands: expected a list of at most {_ERRANDS_MAX}")
    errands = [errand_untrusted(item) for item in value]
    if len({errand.subject for errand in errands}) != len(errands):
        raise FormatError("errands: two with one subject")
    return errands


def _require_text(value: Value, what: str, max_characters: int) -> str:
    """A text that fits into a line of a log and a word of a command."""
    if not isinstance(value, str) or not 0 < len(value) <= max_characters:
        raise FormatError(f"errand's {what}: expected a text of 1 to {max_characters} characters")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise FormatError(f"errand's {what}: expected printable ASCII without spaces")
    return value


def _require_endpoint(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise FormatError("errand's endpoint: expected HOST:PORT")
    return value
