"""Decides whether an attestation document is genuine, fresh, and of the enclave that was agreed on.

    verified = verify_now(document, roots=TrustedRoots.aws(), nonce=nonce, now=datetime.now(UTC),
                          policy=AllowedMeasurements([Measurements(pcr0, pcr1, pcr2)]))

raises a named `AttestationError` or returns a `VerifiedAttestation`. General layout: one module per concept
(`cbor`, `cose_sign1`, `document`, `roots`, `chain`, `measurements`,
`policy`, `expectations`), put in order by `verifier`;
`enclave` adds what an agreement demands; `emulator` is for documents that nobody signs, and unsafe by name;
`explain` shows a document to people and verifies nothing.
"""

from party_client.attestation.document import AttestationDocument
from party_client.attestation.emulator import Anchor, Anchors, EmulatorUnsafe
from party_client.attestation.enclave import VerifiedEnclave, verify_enclave
from party_client.attestation.errors import AttestationError
from party_client.attestation.evidence import VerifiedAttestation
from party_client.attestation.expectations import (
    AgreementInPcr16,
    AllowedMeasurements,
    AllowedReleases,
    Binding,
)
from party_client.attestation.explain import Explanation, explain
from party_client.attestation.measurements import Measurements
from party_client.attestation.policy import AllOf, AllowDebugUnsafe, AnyMeasurementUnsafe, AnyOf, Policy
from party_client.attestation.roots import TrustedRoot, TrustedRoots
from party_client.attestation.verifier import AnyNonceUnsafe, verify_now, verify_replay

__all__ = [
    "AgreementInPcr16",
    "AllOf",
    "AllowDebugUnsafe",
    "AllowedMeasurements",
    "AllowedReleases",
    "Anchor",
    "Anchors",
    "AnyMeasurementUnsafe",
    "AnyNonceUnsafe",
    "AnyOf",
    "AttestationDocument",
    "AttestationError",
    "Binding",
    "EmulatorUnsafe",
    "Explanation",
    "Measurements",
    "Policy",
    "TrustedRoot",
    "TrustedRoots",
    "VerifiedAttestation",
    "VerifiedEnclave",
    "explain",
    "verify_enclave",
    "verify_now",
    "verify_replay",
]
