"""What an operator can make with keys of its own: whole datasets, well-formed, signed by nobody who counts.

It uses the parties' own code, as anybody may: an enclave lets everybody attest it and seal to it. What is
missing is only the key that the agreement names.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

import pandas as pd

from party_client.attestation import TrustedRoots, VerifiedEnclave, verify_enclave
from party_client.datasets import Reading, encode_chunks, open_source
from party_client.identity import Identity
from party_client.sealing import DatasetSealer, begin_sealing
from protos.formats.limits import NONCE_BYTES
from scenarios.hostile.holdings import Holdings, Job
from scenarios.hostile.recordings import Part, SealedUpload
from scenarios.machine.pki import root_path


def attested(at: Holdings, job: Job) -> VerifiedEnclave:
    """The job's enclave, verified as its parties do it."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    evidence = job.enclave.attest(nonce)
    return verify_enclave(
        evidence.document,
        evidence.key_bundle,
        roots=TrustedRoots.from_pem(root_path(at.simulator).read_bytes(), name="simulated"),
        nonce=nonce,
        agreement_digest=at.agreement.digest(),
        releases=at.agreement.releases,
        now=datetime.now(UTC),
    )


def sealed_dataset(
    at: Holdings, job: Job, dataset_id: str, rows: pd.DataFrame, *, by: Identity
) -> SealedUpload:
    """`rows` as a dataset of the agreement, sealed to the job's enclave and signed `by` somebody."""
    dataset = at.agreement.dataset(dataset_id)
    enclave = attested(at, job)
    upload = begin_sealing(enclave, dataset=dataset, identity=by, compression="none")
    sealer = DatasetSealer(enclave, upload, by)
    source = open_source(rows)
    chunks = list(encode_chunks(Reading(source, dataset), dataset, compression="none", source=source))
    parts = []
    for number, chunk in enumerate(chunks):
        last = number == len(chunks) - 1
        parts.append(Part(number, sealer.seal(chunk.plaintext, rows=chunk.rows, last=last), last))
    manifest = sealer.sign(sealer.manifest())
    return SealedUpload(dataset_id, upload.upload_id, upload.signed_header, tuple(parts), manifest)
