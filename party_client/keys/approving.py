"""A party's consent to uses of keys: signed over each request, once somebody has looked at what is asked for.

Approvals stand in a file in the order of the uses. Each holds for one request, which names key, use, asker,
enclave and input; for another the enclave takes none of them. Raises `KeyNotAgreedError` and `KeyFileError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from party_client import files
from party_client.identity import Identity
from party_client.keys.errors import KeyFileError, KeyNotAgreedError
from party_client.keys.prepared import USES_MAX, PreparedUse, require_usable
from protos.formats import limits
from protos.formats.agreement import Agreement
from protos.formats.canonical import decode_untrusted, encode, require_bytes, require_fields, require_list
from protos.formats.errors import FormatError
from protos.formats.key_use import sign_key_approval

FILE_MAX_BYTES: Final = USES_MAX * (limits.KEY_REQUEST_MAX_BYTES + 8)


def approve_uses(
    agreement: Agreement, uses: Sequence[PreparedUse], *, identity: Identity, signed_at_s: int
) -> list[bytes]:
    """One approval of each of `uses`, all of which `identity` is asked to approve by the agreement."""
    for use in uses:
        request = use.request
        key = require_usable(agreement, request.key, request.use, request.requested_by)
        if identity.id not in key.approved_by:
            raise KeyNotAgreedError(
                f"key {key.id}: nobody asks for the consent of {identity.id}, the agreement asks for that of "
                f"{', '.join(key.approved_by) or 'nobody'}"
            )
    return [
        sign_key_approval(
            use.request.digest(), party=identity.id, key=identity.signing_key, signed_at_s=signed_at_s
        )
        for use in uses
    ]


def save_approvals(path: Path, approvals: Sequence[bytes]) -> None:
    """Writes a new file, for whoever asked."""
    files.create(path, encode({"approvals": list(approvals)}), mode=files.PUBLIC)


def load_approvals(paths: Sequence[Path], *, uses: int) -> list[list[bytes]]:
    """For each of `uses`, what is in the files for it; nothing of it is verified, which the enclave does."""
    columns = [_load(path) for path in paths]
    for path, column in zip(paths, columns, strict=True):
        if len(column) != uses:
            raise KeyFileError(
                f"{path}: got {len(column)} approvals, expected {uses}, one for each use",
                hint="have exactly the file approved that you are about to send",
            )
    return [[column[number] for column in columns] for number in range(uses)]


def _load(path: Path) -> list[bytes]:
    data = files.read(path, max_bytes=FILE_MAX_BYTES, private=False)
    try:
        value = decode_untrusted(data, max_bytes=FILE_MAX_BYTES, what="approvals")
        fields = require_fields(value, frozenset({"approvals"}), what="approvals")
        listed = require_list(fields["approvals"], what="approvals", max_items=USES_MAX)
        most = limits.KEY_REQUEST_MAX_BYTES
        return [require_bytes(item, what="approval", max_length=most) for item in listed]
    except FormatError as error:
        raise KeyFileError(f"{path}: {error.message}", hint="ask for the approval again") from error
