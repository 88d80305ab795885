"""Names of things that travel between the roles: how each is derived and how it is written for people.

The coordinator may know these and nothing else of what it carries: an agreement's digest, an enclave's id, a
run's id. Pure; raises `FormatError` on text that is not such a name.
"""

from __future__ import annotations

import re
from typing import Final

from protos.formats.canonical import digest
from protos.formats.errors import FormatError

AGREEMENT_LABEL: Final = "concordat/agreement/v1"
DIGEST_BYTES: Final = 48
ENCLAVE_ID_BYTES: Final = 16
RUN_ID_BYTES: Final = 16
UPLOAD_ID_BYTES: Final = 16
_SLUG = re.compile(r"[a-z][a-z0-9_]{0,62}")


def agreement_digest(agreement: bytes) -> bytes:
    """*The* digest of an agreement: 48 bytes over its canonical bytes, under the agreement label."""
    return digest(AGREEMENT_LABEL, agreement)


def require_slug(value: object, *, what: str) -> str:
    """A lower-case identifier: a letter, then letters, digits and underscores, 63 characters at most.

    Participants, datasets, columns, queries and parameters are named so; it is also a plain SQL identifier.
    """
    if not isinstance(value, str) or not _SLUG.fullmatch(value):
        raise FormatError(
            f"{what}: got {str(value)[:70]!r}, expected a name like 'flight_id' "
            "(lower-case letters, digits and underscores, a letter first, at most 63)"
        )
    return value


def from_hex(text: str, *, length: int, what: str) -> bytes:
    """`text` as exactly `length` bytes of lower-case hexadecimal."""
    if len(text) != 2 * length or not re.fullmatch(r"[0-9a-f]*", text):
        raise FormatError(f"{what}: got {text[:100]!r}, expected {2 * length} lower-case hexadecimal digits")
    return bytes.fromhex(text)
