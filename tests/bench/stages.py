"""Each stage of the secured path by itself, one after the other in one process: where the time goes.

The path overlaps these stages on two cores, so they add up to more than the joint time. Prints JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from enclave_compute import disclosure
from enclave_compute.engine import Engine
from party_client.agreements import load_agreement
from party_client.datasets import Reading, encode_chunks, open_source
from protos.formats.schema import Dataset
from protos.formats.sealed import ChunkOpener, ChunkSealer
from protos.plan import compile_query

_HEADER: Final = bytes(48)
T = TypeVar("T")


class Stages:
    """Seconds by stage on the clock and of processors, summed over both parties."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu_seconds: dict[str, float] = {}

    def time(self, stage: str, work: Callable[[], T]) -> T:
        """The value of `work`, what it took added to `stage`."""
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        value = work()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - began_s
        self.cpu_seconds[stage] = self.cpu_seconds.get(stage, 0.0) + time.process_time() - began_cpu_s
        return value


def main() -> None:
    """`python -m tests.bench.stages AGREEMENT A-FILE B-FILE MEMORY-MIB`."""
    agreement = load_agreement(Path(sys.argv[1]))
    stages = Stages()
    engine = Engine(int(sys.argv[4]), 2)
    plaintext_bytes = 0
    for dataset_id, file in zip(("a", "b"), sys.argv[2:4], strict=True):
        dataset = agreement.dataset(dataset_id)
        engine.create(dataset)
        key = os.urandom(32)
        sealed = _seal(stages, dataset, Path(file), ChunkSealer(key, _HEADER))
        plaintext_bytes += sum(map(len, sealed))
        _open(stages, engine, dataset_id, sealed, ChunkOpener(key, _HEADER))
    plan = compile_query(agreement, agreement.query("totals"))
    released = stages.time("compute and release", lambda: disclosure.release(engine, plan, {}))
    measured = {"seconds": stages.seconds, "cpu_seconds": stages.cpu_seconds}
    print(json.dumps({**measured, "rows": released.rows, "plaintext": plaintext_bytes}))


def _seal(stages: Stages, dataset: Dataset, file: Path, sealer: ChunkSealer) -> list[bytes]:
    source = open_source(file)
    batches = stages.time("read and check", lambda: list(Reading(source, dataset)))
    cut = encode_chunks(batches, dataset, compression="none", source=source)
    chunks = stages.time("encode", lambda: list(cut))
    last = len(chunks) - 1
    return stages.time(
        "seal", lambda: [sealer.seal(chunk.plaintext, last=n == last) for n, chunk in enumerate(chunks)]
    )


def _open(stages: Stages, engine: Engine, dataset_id: str, sealed: list[bytes], opener: ChunkOpener) -> None:
    last = len(sealed) - 1
    opened = stages.time(
        "open", lambda: [opener.open(chunk, last=n == last) for n, chunk in enumerate(sealed)]
    )
    stages.time("append", lambda: [engine.append_untrusted(dataset_id, chunk) for chunk in opened])
    stages.time("unique", lambda: engine.finish(dataset_id))


if __name__ == "__main__":
    main()
