"""An agreement as facts for machines: everything the digest covers, with names and keys made readable."""

from __future__ import annotations

from typing import Any

from party_client.identity import fingerprint
from party_client.times import time_text
from protos.formats import canonical, limits
from protos.formats.agreement import Agreement
from protos.release.roots import is_unsigned_emulator


def facts(agreement: Agreement) -> dict[str, Any]:
    """The agreement's own fields, complete, and beside them its digest, fingerprints and dates.

    Bytes stay bytes; whoever prints them chooses hexadecimal.
    """
    fields = canonical.decode_untrusted(
        agreement.encode(), max_bytes=limits.AGREEMENT_MAX_BYTES, what="agreement"
    )
    for key, people in (("parties", agreement.parties), ("analysts", agreement.analysts)):
        for entry, person in zip(fields[key], people, strict=True):
            entry["fingerprint"] = fingerprint(person)
    return {
        "digest": agreement.digest(),
        "unsigned_emulator": any(is_unsigned_emulator(release) for release in agreement.releases),
        "valid_from": time_text(agreement.valid_from_s),
        "valid_until": time_text(agreement.valid_until_s),
        **fields,
    }
