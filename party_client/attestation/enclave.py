"""Decides whether this is the enclave that was agreed on, and which keys are its own.

Reads a document and a key bundle from the coordinator. A `VerifiedEnclave` has passed all eleven steps: it
runs one of the agreed releases under the root agreed for it (9), is bound to this agreement (10), and
the keys were named by the enclave itself (11). Sealing takes a `VerifiedEnclave` and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from datetime import datetime, timedelta
from typing import Final

from party_client.attestation.emulator import Anchors, require_fitting
from party_client.attestation.errors import BindingMismatchError
from party_client.attestation.evidence import VerifiedAttestation
from party_client.attestation.expectations import (
    AgreementInPcr16,
    AllowedReleases,
    Binding,
    require_release,
)
from party_client.attestation.policy import AllOf
from party_client.attestation.verifier import MAX_AGE, MAX_SKEW, verify_now
from protos.formats.binding import KeyBundle, attestation_user_data
from protos.formats.errors import FormatError
from protos.formats.participants import Release

_MINT: Final = object()


@dataclass(frozen=True, kw_only=True)
class VerifiedEnclave:
    """An enclave to which data may be sealed. Made by `verify_enclave` and nothing else.

    If `attestation.is_unsigned_emulator`, sealing protects nothing: only made-up data may be sent.
    """

    attestation: VerifiedAttestation
    keys: KeyBundle
    agreement_digest: bytes
    """48 bytes."""
    release_name: str
    mint: InitVar[object]

    def __post_init__(self, mint: object) -> None:
        if mint is not _MINT:
            raise TypeError("a VerifiedEnclave comes from verify_enclave, and from nowhere else")


def verify_enclave(
    document: bytes,
    key_bundle: bytes,
    *,
    roots: Anchors,
    nonce: bytes,
    agreement_digest: bytes,
    releases: Sequence[Release],
    now: datetime,
    max_age: timedelta = MAX_AGE,
    max_skew: timedelta = MAX_SKEW,
) -> VerifiedEnclave:
    """The enclave behind `document`, with the keys in `key_bundle` (the bytes that the enclave sent).

    `nonce` is what was just sent; `releases` are those of the agreement, each with its root. Raises
    `AttestationError` subclasses, nothing else. With `EmulatorUnsafe` in place of roots, whoever runs the
    emulator holds the keys that are named here.
    """
    require_fitting(releases, roots)
    try:
        keys = KeyBundle.decode_untrusted(key_bundle)
    except FormatError as error:
        raise BindingMismatchError(f"key bundle: {error.message}") from error
    attestation = verify_now(
        document,
        roots=roots,
        nonce=nonce,
        now=now,
        max_age=max_age,
        max_skew=max_skew,
        policy=AllOf(
            [
                AllowedReleases(releases),
                AgreementInPcr16(agreement_digest),
                Binding(attestation_user_data(agreement_digest, key_bundle, keys.enclave_id)),
            ]
        ),
    )
    release = require_release(attestation.document, attestation.root, releases, now=now)
    return VerifiedEnclave(
        attestation=attestation,
        keys=keys,
        agreement_digest=agreement_digest,
        release_name=release.name,
        mint=_MINT,
    )
