"""One party, in a process of its own: verifies the enclave, waits for the word, sends its file.

Prints one line of JSON when it is ready and one when the enclave has accepted the dataset.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from party_client.agreements import load_agreement
from party_client.attestation import TrustedRoots
from party_client.client import Client, UploadOptions
from party_client.datasets import open_source
from party_client.identity import Identity
from tests.bench.measuring import peak_mib


def main() -> None:
    """`python -m tests.bench.party WORLD ADDRESS JOB DATASET FILE COMPRESSION`."""
    world, address, job, dataset, file, compression = sys.argv[1:]
    folder = Path(world)
    agreement = load_agreement(folder / "bench.agreement")
    client = Client.connect(
        address,
        identity=Identity.load(folder / f"{dataset}.key"),
        tls=folder / "tls",
        roots=TrustedRoots.from_pem((folder / "root.pem").read_bytes(), name="simulated"),
        state=folder / f"state-{dataset}",
    )
    client.verify(job, agreement)
    open_source(Path(file))  # imports the reader: starting up is not measured, nor is the baseline's
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.readline()
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    client.upload(job, agreement, dataset, Path(file), UploadOptions(compression=compression))
    took = {"wall_s": time.perf_counter() - began_s, "cpu_s": time.process_time() - began_cpu_s}
    print(json.dumps({**took, "peak_mib": peak_mib("self")}), flush=True)


if __name__ == "__main__":
    main()
