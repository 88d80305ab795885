"""A hostile parent that calls whatever it likes in whatever order (row 38): what holds after every call.

Its pieces are good ones, good ones in the wrong place, forged ones, stale ones and noise. Whatever it does:
an answer is a code of the closed list or what the specification says; the life goes forward through its
phases; nothing is released before every owner's dataset is whole, nor more often than agreed; and what is
released is what a few lines of Python make of the datasets that were accepted.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from protos.formats import hpke
from protos.formats.agreement import Agreement
from protos.formats.binding import KeyBundle
from protos.formats.calls import Op, Refusal
from protos.formats.canonical import encode
from protos.formats.frames import Frame
from protos.formats.result import SealedResult, open_result
from tests import world
from tests.world import ANALYST, PUBLISHER, PURCHASES, STRANGER, VISITS, SealedUpload

TABLES = {
    "visits": [VISITS.slice(0, 2), VISITS.slice(2)],
    "other visits": [pa.table({"email": ["dee@x.org", "zoe@x.org", "bob@x.org"], "segment": ["news"] * 3})],
    "visits with a key twice": [VISITS, VISITS.slice(4)],
    "purchases": [PURCHASES],
    "other purchases": [PURCHASES.slice(1), PURCHASES.slice(0, 2)],
}
GOOD = sorted(TABLES)
UPLOADS = [*GOOD, "by a stranger", "for another enclave"]
NEVER_ACCEPTED = {"visits with a key twice", "by a stranger", "for another enclave"}
REQUESTS: dict[str, dict[str, Any]] = {
    "a": {"run_id": b"a" * 16},
    "b": {"run_id": b"b" * 16, "parameters": {"least": 20}},
    "c": {"run_id": b"c" * 16, "parameters": {"least": 35}},
    "d": {"run_id": b"d" * 16},
    "another under the id of a": {"run_id": b"a" * 16, "parameters": {"least": 1}},
    "too much": {"run_id": b"e" * 16, "parameters": {"least": 101}},
    "by a stranger": {"run_id": b"f" * 16, "signer": STRANGER},
    "by the publisher": {"run_id": b"g" * 16, "signer": PUBLISHER},
    "for another enclave": {"run_id": b"h" * 16, "enclave_id": bytes(16)},
}
ALLOWED = {"a", "b", "c", "d", "another under the id of a"}
RUNS_MAX = 3

STEPS = {
    ("empty", "bound"),
    ("bound", "collecting"),
    ("collecting", "bound"),  # the only upload so far turned out to be misshapen
    ("collecting", "ready"),
    ("ready", "released"),
}


def expected_rows(visits: list[pa.Table], purchases: list[pa.Table], least: int) -> list[dict[str, Any]]:
    """The query of the world in the clear, less the segments with fewer than two people."""
    segments = {row["email"]: row["segment"] for row in pa.concat_tables(visits).to_pylist()}
    found: dict[str, list[tuple[str, int]]] = {}
    for row in pa.concat_tables(purchases).to_pylist():
        email = row["email"].strip().lower()
        if email in segments and row["amount"] >= least:
            found.setdefault(segments[email], []).append((email, row["amount"]))
    return [
        {"segment": segment, "purchases": len(bought), "total": sum(amount for _, amount in bought)}
        for segment, bought in sorted(found.items())
        if len({email for email, _ in bought}) >= 2
    ]


class HostileParent(RuleBasedStateMachine):
    """One enclave and all that its parent may try."""

    def __init__(self) -> None:
        super().__init__()
        self.held = ExitStack()
        state = Path(self.held.enter_context(tempfile.TemporaryDirectory()))
        self.enclave = self.held.enter_context(world.simulated_enclave(state))
        (root,) = self.enclave.roots
        self.agreed = world.agreement(root.sha256)
        self.uploads: dict[str, SealedUpload] = {}
        self.requests: dict[str, bytes] = {}
        self.accepted: dict[str, str] = {}
        """Dataset → which upload."""
        self.released: dict[bytes, tuple[str, bytes]] = {}
        """Run id → which request, and its sealed result."""
        self.make_pieces(KeyBundle(bytes(16), hpke.PrivateKey(bytes(hpke.SEED_BYTES)).public_key, bytes(32)))

    def teardown(self) -> None:
        self.ask(Op.CLOSE)
        self.held.close()

    def phase(self) -> str:
        return str(self.enclave.answer(Frame({"op": "status", "id": 0})).header["phase"])

    def ask(self, op: object, body: bytes = b"", **fields: Any) -> Frame | Refusal:
        """The answer, or the code of the refusal; checked as any answer has to be."""
        before = self.phase()
        answer = self.enclave.answer(Frame({"op": op, "id": 1, **fields}, body))
        after = self.phase()
        assert after in (before, "closed") or (before, after) in STEPS
        assert answer.header["id"] == 1
        if "error" not in answer.header:
            assert answer.header["ok"] is True
            return answer
        refusal = Refusal(answer.header["error"])
        assert refusal is not Refusal.INTERNAL
        assert answer.header.keys() == {"id", "error"} | (
            {"next"} if refusal is Refusal.OUT_OF_ORDER else set()
        )
        assert answer.body == b""
        return refusal

    def make_pieces(self, keys: KeyBundle) -> None:
        """All that anybody has sealed or signed for an enclave with these keys."""
        for name, tables in TABLES.items():
            dataset = "visits" if "visits" in name else "purchases"
            self.uploads[name] = world.seal(self.agreed, keys, dataset, tables)
        self.uploads["by a stranger"] = world.seal(
            self.agreed, keys, "visits", TABLES["visits"], signer=STRANGER
        )
        self.uploads["for another enclave"] = world.seal(
            self.agreed, keys, "visits", TABLES["visits"], enclave_id=bytes(16)
        )
        for name, changes in REQUESTS.items():
            self.requests[name] = world.run_request(self.agreed, keys, **changes)

    @initialize(done=st.sampled_from([3, 3, 3, 2, 1, 0]))
    def begin_well(self, done: int) -> None:
        """An honest beginning: nothing, bound, one dataset, or both."""
        if done > 0:
            self.bind("agreed")
        for name in ("visits", "purchases")[: max(0, done - 1)]:
            self.send(name)

    # What it may do.

    @rule(which=st.sampled_from(["agreed", "agreed", "rewritten", "unsigned", "noise"]))
    def bind(self, which: str) -> None:
        agreed: Agreement = self.agreed if which != "rewritten" else replace(self.agreed, title="Another")
        approvals = [] if which == "unsigned" else world.approve(agreed)
        body = {"agreement": agreed.encode() if which != "noise" else b"noise", "approvals": approvals}
        was = self.phase()
        answer = self.ask("bind", encode(body))
        if was == "empty":
            # A rewritten agreement that all parties signed is in force as well: parties find it in PCR16.
            if which == "rewritten":
                assert isinstance(answer, Frame)
                self.agreed = agreed
            assert isinstance(answer, Frame) == (which in {"agreed", "rewritten"})
            if isinstance(answer, Frame):
                self.make_pieces(self.enclave.keys())

    @rule(nonce=st.sampled_from([bytes(32), bytes(31), b"", "text", None]))
    def attest(self, nonce: Any) -> None:
        answer = self.ask("attest", nonce=nonce)
        assert isinstance(answer, Refusal) or nonce == bytes(32)

    @rule(
        name=st.sampled_from(UPLOADS),
        slot=st.sampled_from(["visits", "purchases", "none"]),
        under=st.sampled_from(UPLOADS),
    )
    def begin(self, name: str, slot: str, under: str) -> None:
        self.ask(
            "begin", self.uploads[name].signed_header, dataset=slot, upload=self.uploads[under].upload_id
        )

    @rule(
        name=st.sampled_from(UPLOADS),
        number=st.integers(0, 2),
        chunk_of=st.sampled_from(UPLOADS),
        chunk=st.integers(0, 1),
        last=st.booleans(),
    )
    def chunk(self, name: str, number: int, chunk_of: str, chunk: int, last: bool) -> None:
        chunks = self.uploads[chunk_of].chunks
        sealed = chunks[min(chunk, len(chunks) - 1)]
        self.ask("chunk", sealed, upload=self.uploads[name].upload_id, number=number, last=last)

    @rule(name=st.sampled_from(UPLOADS), manifest_of=st.sampled_from(UPLOADS))
    def finish(self, name: str, manifest_of: str) -> None:
        upload = self.uploads[name]
        answer = self.ask("finish", self.uploads[manifest_of].signed_manifest, upload=upload.upload_id)
        if isinstance(answer, Frame):
            assert name == manifest_of
            assert name not in NEVER_ACCEPTED
            assert self.accepted.setdefault(upload.header.context.dataset, name) == name

    @rule(name=st.sampled_from(UPLOADS))
    def send(self, name: str) -> None:
        """A whole upload, as its owner would send it."""
        upload = self.uploads[name]
        self.ask(
            "begin",
            upload.signed_header,
            dataset=upload.header.context.dataset,
            upload=upload.upload_id,
        )
        for number, chunk in enumerate(upload.chunks):
            last = number == len(upload.chunks) - 1
            self.ask("chunk", chunk, upload=upload.upload_id, number=number, last=last)
        self.finish(name, name)

    @rule(which=st.sampled_from(sorted(REQUESTS)))
    def run(self, which: str) -> None:
        run_id = REQUESTS[which]["run_id"]
        earlier = self.released.get(run_id)
        answer = self.ask("run", self.requests[which], run=run_id)
        is_new = which in ALLOWED and earlier is None and len(self.released) < RUNS_MAX
        is_due = is_new and len(self.accepted) == 2 and self.phase() != "closed"
        is_repeated = earlier is not None and earlier[0] == which and self.phase() != "closed"
        assert isinstance(answer, Frame) == (is_due or is_repeated), answer
        if is_due:
            self.released[run_id] = (which, self.sealed_result(run_id))
            self.require_expected(run_id)

    @rule(run_id=st.sampled_from([bytes([letter]) * 16 for letter in b"abcdefgh"]), who=st.data())
    def fetch(self, run_id: bytes, who: st.DataObject) -> None:
        receiver = who.draw(st.sampled_from(["analyst", "publisher", "stranger"]))
        is_there = run_id in self.released and self.phase() != "closed"
        result = self.ask("result", run=run_id, receiver=receiver)
        assert isinstance(result, Frame) == (is_there and receiver == "analyst")
        if isinstance(result, Frame):
            assert result.body == self.released[run_id][1]
        assert isinstance(self.ask("receipt", run=run_id), Frame) == is_there

    @rule(
        op=st.sampled_from([*(str(op) for op in Op if op is not Op.CLOSE), "none"]),
        fields=st.dictionaries(
            st.sampled_from(["nonce", "dataset", "upload", "number", "last", "run", "receiver", "more"]),
            st.none()
            | st.booleans()
            | st.integers(-1, 2**24 + 1)
            | st.binary(max_size=33)
            | st.text(max_size=9),
        ),
        body=st.binary(max_size=100),
    )
    def anything(self, op: str, fields: dict[str, Any], body: bytes) -> None:
        self.ask(op, body, **fields)

    @rule(sure=st.sampled_from([False] * 19 + [True]))
    def close(self, sure: bool) -> None:
        if sure:
            self.ask("close")

    def sealed_result(self, run_id: bytes) -> bytes:
        answer = self.ask("result", run=run_id, receiver="analyst")
        assert isinstance(answer, Frame)
        return answer.body

    def require_expected(self, run_id: bytes) -> None:
        """The result is that of the accepted uploads, for its receiver."""
        which, sealed = self.released[run_id]
        opened = open_result(SealedResult.decode_untrusted(sealed), key=ANALYST.receiving_key)
        rows = pa.ipc.open_stream(opened).read_all().to_pylist()
        least = REQUESTS[which].get("parameters", {"least": 0})["least"]
        visits, purchases = (TABLES[self.accepted[name]] for name in ("visits", "purchases"))
        assert rows == expected_rows(visits, purchases, least)


TestHostileParent = HostileParent.TestCase
TestHostileParent.settings = settings(max_examples=40, stateful_step_count=40)
