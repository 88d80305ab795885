"""What passes through a coordinator's hands, as it came: bytes to keep, to change and to hand out again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pinned:
    """An agreement on the board, with its approvals in order of arrival."""

    agreement: bytes
    approvals: tuple[bytes, ...]


@dataclass(frozen=True)
class Evidence:
    """A fresh attestation document and the bundle of keys that it vouches for."""

    document: bytes
    key_bundle: bytes


@dataclass(frozen=True)
class Part:
    """One sealed chunk and what it is said to be."""

    number: int
    sealed: bytes
    last: bool


@dataclass(frozen=True)
class SealedUpload:
    """A whole dataset on its way to an enclave."""

    dataset: str
    upload_id: bytes
    signed_header: bytes
    parts: tuple[Part, ...] = ()
    signed_manifest: bytes = b""


@dataclass(frozen=True)
class Delivery:
    """What a receiver gets of a run."""

    receipt: bytes
    sealed: bytes
