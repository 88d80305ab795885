"""A party in a process of its own, which keeps a diary: `python -m tests.chaos.party send|run ...`.

Everything is done by the client that ships; only its connection is watched. Ends with one line of JSON on
standard output: what came out, or the error as a person would get it (exit status 1).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from party_client.agreements import load_agreement
from party_client.attestation import TrustedRoots
from party_client.client import Client
from party_client.identity import Identity
from party_client.transport import CallRefusedError, ChunkCall, Coordinator
from protos.formats.errors import ConcordatError
from protos.v1 import concordat_pb2 as wire
from tests.chaos.diary import ACKNOWLEDGED, ASKED, BEGUN, RELEASED, SENT, Diary

LINE_S: Final = 0.01
"""Pause before each chunk, as on a slow line: acknowledgements then come a few at a time."""


class WatchedCall(ChunkCall):
    """A stream of chunks whose acknowledgements are noted before anybody acts on them."""

    def __init__(self, call: ChunkCall, diary: Diary, upload_id: bytes) -> None:
        self._watched = call
        self._diary = diary
        self._upload_id = upload_id

    def __iter__(self) -> Iterator[int]:
        for next_chunk in self._watched:
            self._diary.note(ACKNOWLEDGED, self._upload_id, next_chunk)
            yield next_chunk

    def cancel(self) -> None:
        self._watched.cancel()


class WatchedCoordinator(Coordinator):
    """The connection, with a diary of what goes over it."""

    diary: Diary
    _upload_id = b""

    def begin_upload(self, job_id: str, dataset: str, upload_id: bytes, signed_header: bytes) -> int:
        wanted = super().begin_upload(job_id, dataset, upload_id, signed_header)
        self._upload_id = upload_id
        self.diary.note(BEGUN, upload_id, wanted)
        return wanted

    def upload_chunks(self, chunks: Iterator[wire.Chunk]) -> ChunkCall:
        watched = self._noting(chunks, self._upload_id)
        return WatchedCall(super().upload_chunks(watched), self.diary, self._upload_id)

    def request_run(self, job_id: str, run_id: bytes, signed_request: bytes) -> wire.Run:
        self.diary.note(ASKED, run_id)
        return super().request_run(job_id, run_id, signed_request)

    def _noting(self, chunks: Iterator[wire.Chunk], upload_id: bytes) -> Iterator[wire.Chunk]:
        for chunk in chunks:
            time.sleep(LINE_S)
            self.diary.note(SENT, upload_id, chunk.number)
            yield chunk


def main() -> int:
    """Does what the command line says."""
    asked = _parse()
    try:
        said = _act(asked)
    except ConcordatError as error:
        refusal = error.refusal if isinstance(error, CallRefusedError) else None
        said = {"error": error.code, "refusal": refusal, "message": error.message, "hint": error.hint}
    print(json.dumps(said), flush=True)
    return 1 if "error" in said else 0


def _act(asked: argparse.Namespace) -> dict[str, object]:
    home: Path = asked.home
    identity = Identity.load(home / f"{home.name}.key")
    agreement = load_agreement(asked.agreement)
    roots = TrustedRoots.from_pem(asked.root.read_bytes(), name="simulated")
    with WatchedCoordinator.over_tls(asked.coordinator, home / "tls", identity.id) as coordinator:
        assert isinstance(coordinator, WatchedCoordinator)
        coordinator.diary = Diary(asked.diary)
        client = Client(coordinator, identity, roots=roots, state=home / "state")
        if asked.act == "send":
            acceptance = client.upload(asked.job, agreement, asked.dataset, asked.file)
            return {"chunks": acceptance.manifest.chunks, "resumed_at": acceptance.resumed_at}
        run_id = client.run(asked.job, agreement, asked.query, {}, run_id=bytes.fromhex(asked.run))
        coordinator.diary.note(RELEASED, run_id)
        return {"run": run_id.hex()}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    acts = parser.add_subparsers(dest="act", required=True)
    send, run = acts.add_parser("send"), acts.add_parser("run")
    for act in (send, run):
        act.add_argument("--coordinator", required=True)
        act.add_argument("--job", required=True)
        for name in ("--home", "--agreement", "--root", "--diary"):
            act.add_argument(name, type=Path, required=True)
    send.add_argument("--dataset", required=True)
    send.add_argument("--file", type=Path, required=True)
    run.add_argument("--query", required=True)
    run.add_argument("--run", required=True)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
