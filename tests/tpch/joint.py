"""One life of an enclave over TPC-H: every party verifies it and seals its tables, and the analyst asks.

The enclave is the shipped code in this process (`tests.world`); reading, chunking and sealing are the party
client's. Nothing is held whole on the way but what the enclave holds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from party_client.attestation import VerifiedEnclave
from party_client.datasets import Reading, encode_chunks, open_source
from party_client.sealing import DatasetSealer, begin_sealing
from protos.formats import cose
from protos.formats.agreement import Agreement
from protos.formats.calls import Op
from protos.formats.run_request import RUN_REQUEST_LABEL, RunRequest
from protos.formats.schema import Dataset
from tests import world
from tests.tpch import tables
from tests.tpch.agreement import ANALYST, PARTIES, agreement


@dataclass
class Joint:
    """An enclave that has all datasets."""

    agreed: Agreement
    enclave: world.Enclave
    verified: VerifiedEnclave

    def ask(self, query: str) -> pa.Table:
        """What one run of `query` releases to the analyst."""
        request = RunRequest(
            run_id=os.urandom(16),
            agreement_digest=self.agreed.digest(),
            enclave_id=self.verified.keys.enclave_id,
            query=query,
            requested_by=ANALYST.id,
            parameters={},
        )
        signed = cose.sign(request.encode(), typ=RUN_REQUEST_LABEL, key=ANALYST.signing_key)
        self.enclave.call(Op.RUN, signed)
        return self.enclave.result(request.run_id, ANALYST)


@contextmanager
def joint_computation(folder: Path, *, scale: float, memory_mib: int = 512) -> Iterator[Joint]:
    """The tables at `scale` in `folder`, sealed to an enclave that all parties verified."""
    tables.generate(folder, scale=scale)
    with world.simulated_enclave(folder / "machine") as enclave:
        (root,) = enclave.roots
        agreed = agreement(folder, root_sha256=root.sha256, memory_mib=memory_mib)
        enclave.bind(agreed, world.approve(agreed, tuple(PARTIES.values())))
        verified = enclave.verify(agreed)
        for dataset in agreed.datasets:
            _send(enclave, verified, dataset, tables.party_file(folder, dataset))
        yield Joint(agreed, enclave, verified)


def _send(enclave: world.Enclave, verified: VerifiedEnclave, dataset: Dataset, file: Path) -> None:
    """What a party client does, with the enclave at the other end of a function call."""
    source, identity = open_source(file), PARTIES[dataset.owner]
    upload = begin_sealing(verified, dataset=dataset, identity=identity, compression="none")
    sealer = DatasetSealer(verified, upload, identity)
    enclave.call(Op.BEGIN, upload.signed_header, dataset=dataset.id, upload=upload.upload_id)
    chunks = encode_chunks(Reading(source, dataset), dataset, compression="none", source=source)
    waiting = next(chunks)
    for chunk in chunks:
        _send_chunk(enclave, upload.upload_id, sealer, waiting.plaintext, rows=waiting.rows, last=False)
        waiting = chunk
    _send_chunk(enclave, upload.upload_id, sealer, waiting.plaintext, rows=waiting.rows, last=True)
    enclave.call(Op.FINISH, sealer.sign(sealer.manifest()), upload=upload.upload_id)


def _send_chunk(
    enclave: world.Enclave,
    upload: bytes,
    sealer: DatasetSealer,
    plaintext: memoryview,
    *,
    rows: int,
    last: bool,
) -> None:
    number = sealer.chunks
    sealed = sealer.seal(plaintext, rows=rows, last=last)
    enclave.call(Op.CHUNK, sealed, upload=upload, number=number, last=last)
