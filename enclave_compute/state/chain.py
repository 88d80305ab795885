"""Whether opened entries are one ledger: each names its place and the head before it.

Every entry was sealed by this code; but records of two lives that went on from the same state, each genuine,
could be put together. They do not fit: an entry's `previous` is the head that its own life saw.
"""

from __future__ import annotations

from collections.abc import Sequence

from enclave_compute.errors import RefusedError
from enclave_compute.state.content import Content
from protos.formats.calls import Refusal
from protos.formats.errors import FormatError
from protos.formats.receipt import Claims
from protos.formats.state import NOTHING_YET, LedgerEvent

Entry = Claims | LedgerEvent


def entry_untrusted(data: bytes) -> Entry:
    """The claims or the event that `data` encodes. Raises `FormatError`."""
    try:
        return LedgerEvent.decode_untrusted(data)
    except FormatError:
        return Claims.decode_untrusted(data)


def verified_heads(
    contents: Sequence[Content], *, agreement_digest: bytes, enclave_id: bytes
) -> tuple[list[Entry], list[bytes]]:
    """(entries, head after each) of the ledger in `contents`. Raises `RefusedError` or `FormatError`."""
    entries: list[Entry] = []
    heads = [NOTHING_YET]
    for number, content in enumerate(contents, start=1):
        entry = entry_untrusted(content.entry)
        place = (entry.agreement_digest, entry.enclave_id, entry.sequence, entry.previous)
        if place != (agreement_digest, enclave_id, number, heads[-1]):
            raise RefusedError(Refusal.STATE_FORKED, f"entry {number} follows another than the one before")
        entries.append(entry)
        heads.append(entry.head())
    return entries, heads[1:]
