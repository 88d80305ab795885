"""Agreements and approvals as files and as bytes that somebody handed over.

Parsing is strict and the digest is always computed here, from the bytes: an agreement is never what a file
name or a coordinator calls it. Raises `FileAccessError`, `FormatError` and `SplitViewError`.
"""

from __future__ import annotations

from pathlib import Path

from party_client import files
from party_client.agreements.errors import AgreementFileError, SplitViewError
from protos.formats import limits
from protos.formats.agreement import Agreement
from protos.formats.errors import FormatError
from protos.formats.identifiers import agreement_digest


def load_agreement(path: Path | str) -> Agreement:
    """The agreement in a file that `concordat agreement compile` or `fetch` wrote."""
    path = Path(path)
    data = files.read(path, max_bytes=limits.AGREEMENT_MAX_BYTES, private=False)
    try:
        return Agreement.decode_untrusted(data)
    except FormatError as error:
        hint = error.hint
        if path.suffix == ".toml":
            hint = f"this is the text that people write; first `concordat agreement compile {path}`"
        raise AgreementFileError(
            f"{path}: is not a compiled agreement: {error.message}", hint=hint
        ) from error


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
