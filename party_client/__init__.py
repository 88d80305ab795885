"""What an organisation runs on its own machines: it agrees, verifies, seals its data and opens its results.

General layout. One module or package per thing that a party does, each usable alone:

    identity        who we are: one seed, the signing key and the receiving key made from it
    agreements      what was agreed: from TOML to canonical bytes, explained, compared, signed
    attestation     whom we trust: which enclave runs, on which code, under which root
    datasets        what we bring: read, checked against the agreed schema, encoded
    sealing, upload what leaves: chunks sealed to a verified enclave, resumable
    kms             our own key in AWS KMS: planned, checked, and under which a dataset may be sealed
    seal_to_file    what waits: a dataset sealed under that key, in one file (see sealed_files, deposits)
    published       what a version measures: files, and who signed them
    keys            what is used and never seen: keys that the enclave made and keeps
    results         what comes back: opened, with the receipt that proves it
    expected_noise  how far off noisy figures are: before a run, and beside its result
    transport       how it travels: gRPC to the coordinator, which is trusted by nobody
    cli             the `concordat` command; decides nothing, presents everything

The rule: `cli` may import everything here, nothing imports `cli`; `identity`, `agreements` and `attestation`
open no socket; nothing here imports another role. The names below are imported when they are first used, so
that importing this package, as every command does, costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from party_client.agreements import check, compile_toml, load_agreed, load_agreement
    from party_client.attestation import TrustedRoots, VerifiedEnclave, verify_now, verify_replay
    from party_client.client import Client, UploadOptions
    from party_client.identity import Identity, PublicIdentity
    from party_client.receipts import verify_receipt
    from party_client.results import Result
    from party_client.seal_to_file import seal_dataset

__all__ = [
    "Client",
    "Identity",
    "PublicIdentity",
    "Result",
    "TrustedRoots",
    "UploadOptions",
    "VerifiedEnclave",
    "check",
    "compile_toml",
    "load_agreed",
    "load_agreement",
    "seal_dataset",
    "verify_now",
    "verify_receipt",
    "verify_replay",
]

_HOMES: Final = {
    "Client": "client",
    "Identity": "identity",
    "PublicIdentity": "identity",
    "Result": "results",
    "TrustedRoots": "attestation",
    "UploadOptions": "client",
    "VerifiedEnclave": "attestation",
    "check": "agreements",
    "compile_toml": "agreements",
    "load_agreed": "agreements",
    "load_agreement": "agreements",
    "seal_dataset": "seal_to_file",
    "verify_now": "attestation",
    "verify_receipt": "receipts",
    "verify_replay": "attestation",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
