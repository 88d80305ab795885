"""Whose KMS the agreement of the test vectors names, and a key there."""

from __future__ import annotations

from protos.formats.kms import KeyService, StateTerms

KEY_SERVICE = KeyService(
    account="111122223333",
    region="eu-central-1",
    role="concordat-enclave",
    endpoint="kms.eu-central-1.amazonaws.com:443",
    authorities=(b"a certificate (DER) stands here", b"and another one here"),
)
KMS_KEY = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
STATE_TERMS = StateTerms("airline", KEY_SERVICE, witnesses=("airline", "weather"))
