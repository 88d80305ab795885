"""Decides whether a dataset may be sealed under a key: only if it opens for the agreed code and nobody else.

Nothing is encrypted to an enclave here, so no attestation stands in front of it: what the party relies on is
its key's policy, which KMS holds against an enclave's document later. So the policy is looked at before, as
far as it was read, and a `SealingKey` exists only for a key that passed, or whose owner said that it looked
itself. Pure. Followed: docs/kms.md, "Seal a dataset".
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from typing import Final

from party_client.kms.checking import KeyReport, check_key
from party_client.kms.errors import KeyServiceError, UnsoundKeyError
from party_client.kms.findings import Finding
from party_client.kms.snapshot import Snapshot
from party_client.kms.terms import KeyTerms
from protos.formats.kms import KeyService

OPENS_FOR_NOBODY: Final = frozenset(
    {
        *("alias-elsewhere", "alias-missing", "deletable", "key-state", "release-refused", "rotation-off"),
    }
)
"""Findings after which data sealed under the key stays closed: they are told, and do not stop it."""
_MINT: Final = object()


@dataclass(frozen=True, kw_only=True)
class SealingKey:
    """A key under which a dataset may be sealed. Made by `checked_key` or `unchecked_key` alone."""

    arn: str
    service: KeyService
    report: KeyReport | None
    """What the check found that does not open the key to anybody; None: nobody checked."""
    mint: InitVar[object]

    def __post_init__(self, mint: object) -> None:
        if mint is not _MINT:
            raise TypeError("a SealingKey comes from checked_key or unchecked_key, and from nowhere else")


def checked_key(arn: str, service: KeyService, *, terms: KeyTerms, snapshot: Snapshot) -> SealingKey:
    """The key `arn` at `service`, whose policy in `snapshot` keeps `terms`.

    Raises `UnsoundKeyError` when it opens for somebody else, `KeyServiceError` when the snapshot is of
    another key, `FormatError` when the key is not in the agreed account and region.
    """
    service.require_key_arn(arn)
    if snapshot.access.arn != arn:
        raise KeyServiceError(f"got what was read of {snapshot.access.arn}, expected it of {arn}")
    report = check_key(terms, snapshot)
    if opening := [one for one in report.findings if one.code not in OPENS_FOR_NOBODY]:
        raise UnsoundKeyError(
            f"{arn}: nothing was sealed, because the key does not keep the agreed code and agreement: "
            f"{'; '.join(map(_sentence, opening))}",
            hint="`concordat kms check` says where, why and what to change; put the policy of "
            "`concordat kms plan` in place, then seal again",
        )
    return SealingKey(arn=arn, service=service, report=report, mint=_MINT)


def unchecked_key(arn: str, service: KeyService) -> SealingKey:
    """The key `arn` at `service`, taken on its owner's word. Raises `FormatError` for a key elsewhere."""
    return SealingKey(arn=service.require_key_arn(arn), service=service, report=None, mint=_MINT)


def _sentence(finding: Finding) -> str:
    return f"{finding.kind.what} [{finding.code}]"
