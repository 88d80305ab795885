"""Agreements and approvals as files and as bytes that somebody handed over.

A file has the agreement alone, or with the changes of its releases that enough parties signed. Parsing is
strict, changes are verified, and the digest is always computed here, from the bytes: an agreement is never
what a file name or a coordinator calls it. Raises `FileAccessError`, `FormatError`, `SplitViewError` and, for
changes, `ReleaseChangeError` and `SignatureError`.
"""

from __future__ import annotations

from pathlib import Path

from party_client import files
from party_client.agreements.errors import AgreementFileError, SplitViewError
from protos.formats import limits
from protos.formats.agreement import Agreement
from protos.formats.canonical import decode_untrusted
from protos.formats.errors import FormatError
from protos.formats.identifiers import agreement_digest
from protos.release.history import (
    CHANGED_AGREEMENT_LABEL,
    CHANGED_AGREEMENT_MAX_BYTES,
    AgreedReleases,
    agreed_releases,
    read_changed_agreement_untrusted,
    verify_changes_untrusted,
)


def load_agreed(path: Path | str) -> AgreedReleases:
    """The agreement in a file and the releases that count under it, with the changes that are in the file."""
    path = Path(path)
    data = files.read(path, max_bytes=CHANGED_AGREEMENT_MAX_BYTES, private=False)
    try:
        if _has_changes(data):
            return verify_changes_untrusted(*read_changed_agreement_untrusted(data))
        return agreed_releases(Agreement.decode_untrusted(data))
    except FormatError as error:
        hint = error.hint
        if path.suffix == ".toml":
            hint = f"this is the text that people write; first `concordat agreement compile {path}`"
        raise AgreementFileError(
            f"{path}: is not a compiled agreement: {error.message}", hint=hint
        ) from error


def load_agreement(path: Path | str) -> Agreement:
    """The agreement in a file that `concordat agreement compile` or `fetch` wrote.

    Raises `AgreementFileError` for one with changes of its releases, which would be lost here.
    """
    agreed = load_agreed(path)
    if agreed.changes:
        raise AgreementFileError(
            f"{path}: got an agreement with {len(agreed.changes)} release changes, expected one without",
            hint="in Python, read it with `load_agreed` and hand that on; or give the file without changes",
        )
    return agreed.agreement


def save_agreement(path: Path, agreement: Agreement) -> None:
    """Writes the canonical bytes."""
    files.replace(path, agreement.encode())


def load_approval(path: Path) -> bytes:
    """The bytes of an approval; nothing is verified."""
    return files.read(path, max_bytes=limits.APPROVAL_MAX_BYTES, private=False)


def require_digest_untrusted(data: bytes, digest: bytes) -> Agreement:
    """The agreement in `data`, if `digest` names it; whoever handed it over is not believed."""
    got = agreement_digest(data)
    if got != digest:
        raise SplitViewError(
            f"asked for agreement {digest.hex()[:16]}…, got {got.hex()[:16]}…",
            hint="do not sign it; get the file from another party, and tell them what happened here",
        )
    return Agreement.decode_untrusted(data)


def _has_changes(data: bytes) -> bool:
    value = decode_untrusted(data, max_bytes=CHANGED_AGREEMENT_MAX_BYTES, what="agreement")
    return isinstance(value, dict) and value.get("label") == CHANGED_AGREEMENT_LABEL
