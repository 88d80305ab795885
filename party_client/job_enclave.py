"""Challenges the enclave of a job with a fresh nonce and verifies its answer: all eleven steps.

The answer comes through the coordinator, which is trusted by nobody. Raises `AttestationError`, or
`TransportError` where none came. Followed: docs/protocol.md, section 3.
"""

from __future__ import annotations

import secrets
from datetime import datetime

from party_client.attestation import Anchors, VerifiedEnclave, verify_enclave
from party_client.transport import Coordinator
from protos.formats.limits import NONCE_BYTES
from protos.release.history import AgreedReleases


def verify_job_enclave(
    coordinator: Coordinator, job_id: str, agreed: AgreedReleases, *, roots: Anchors, now: datetime
) -> VerifiedEnclave:
    """The job's enclave, of an agreed release, bound to the agreement."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    document, key_bundle = coordinator.attest(job_id, nonce)
    return _verified(document, key_bundle, nonce, agreed, roots=roots, now=now)


def verify_waiting_enclave(
    coordinator: Coordinator, job_id: str, agreed: AgreedReleases, *, roots: Anchors, now: datetime
) -> tuple[VerifiedEnclave, bytes]:
    """The job's enclave while it waits for its state, and what it proposes, signed and not verified."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    proposed = coordinator.get_state_proposal(job_id, nonce)
    enclave = _verified(proposed.document, proposed.key_bundle, nonce, agreed, roots=roots, now=now)
    return enclave, proposed.signed_proposal


def _verified(
    document: bytes, key_bundle: bytes, nonce: bytes, agreed: AgreedReleases, *, roots: Anchors, now: datetime
) -> VerifiedEnclave:
    return verify_enclave(
        document,
        key_bundle,
        roots=roots,
        nonce=nonce,
        agreement_digest=agreed.agreement.digest(),
        releases=agreed.releases,
        now=now,
    )
