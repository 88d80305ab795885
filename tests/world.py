"""A small world for tests: two parties, an analyst, one agreement, and a real enclave under a simulated NSM.

The enclave here is the shipped code (`enclave_compute.life` behind `enclave_compute.calls`) in this process,
with the simulated security module at the other end of a socket. The parent is the test: it may send anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pyarrow as pa

from enclave_compute.calls import answer_untrusted
from enclave_compute.life import Life
from enclave_compute.nsm import Nsm, NsmStreamDevice
from party_client.attestation import TrustedRoots, VerifiedEnclave, verify_enclave
from party_client.identity import Identity
from protos.formats import cose, hpke, sealed
from protos.formats.agreement import Agreement, Limits
from protos.formats.approvals import sign_approval
from protos.formats.binding import KeyBundle
from protos.formats.calls import Op
from protos.formats.canonical import Value, decode_untrusted, encode
from protos.formats.frames import Frame, read_frame_untrusted
from protos.formats.participants import Release
from protos.formats.query import Parameter, Query
from protos.formats.result import SealedResult, open_result
from protos.formats.run_request import RUN_REQUEST_LABEL, RunRequest
from protos.formats.schema import Column, Dataset
from scenarios.machine.documents import DocumentSigner, ModuleId
from scenarios.machine.nsm import SimulatedNsm, serve
from scenarios.machine.pcrs import PcrBank
from scenarios.machine.pki import load_or_create_root
from tests.chunk_tables import chunk

VALID_FROM_S = 1_600_000_000
VALID_UNTIL_S = 4_000_000_000
PCRS = tuple(hashlib.sha384(name).digest() for name in (b"image", b"boot", b"application"))

PUBLISHER = Identity.generate("publisher", "A publisher")
ADVERTISER = Identity.generate("advertiser", "An advertiser")
ANALYST = Identity.generate("analyst", "An analyst")
STRANGER = Identity.generate("stranger", "Somebody else")

SQL = """
SELECT v.segment AS segment, COUNT(*) AS purchases, SUM(p.amount) AS total
FROM visits AS v JOIN purchases AS p ON v.email = p.email
WHERE p.amount >= $least
GROUP BY v.segment
"""


def visits(threshold: int = 2) -> Dataset:
    """The publisher's slot: who saw which segment."""
    columns = (
        Column("email", "text", nullable=False, uses=frozenset({"join"}), normalise="email/v1"),
        Column("segment", "text", nullable=True, uses=frozenset({"group"})),
    )
    return Dataset("visits", "publisher", columns, "email", threshold, ("email",), 1000, 1_000_000)


def purchases(threshold: int = 2) -> Dataset:
    """The advertiser's slot: who bought for how much."""
    columns = (
        Column("email", "text", nullable=False, uses=frozenset({"join"}), normalise="email/v1"),
        Column("amount", "int64", nullable=True, uses=frozenset({"filter", "sum"})),
    )
    return Dataset("purchases", "advertiser", columns, "email", threshold, (), 1000, 1_000_000)


def query(**changes: object) -> Query:
    """The one query of the agreement, with changes."""
    base = Query(
        "totals", SQL, (Parameter("least", low=0, high=100),), ("analyst",), ("analyst",), max_runs=3
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def agreement(root_sha256: bytes, **changes: object) -> Agreement:
    """The agreement of this world, with changes."""
    base = Agreement(
        id="reach",
        title="Reach",
        purpose="Purchases by segment",
        valid_from_s=VALID_FROM_S,
        valid_until_s=VALID_UNTIL_S,
        parties=(PUBLISHER.public.participant(), ADVERTISER.public.participant()),
        analysts=(ANALYST.public.participant(),),
        datasets=(visits(), purchases()),
        queries=(query(),),
        releases=(Release("test", PCRS[0], PCRS[1], PCRS[2], root_sha256),),
        limits=Limits(memory_mib=512, threads=2, max_runs=5),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def approve(agreed: Agreement, signers: Sequence[Identity] = (PUBLISHER, ADVERTISER)) -> list[bytes]:
    """Approvals of `agreed` by `signers`."""
    return [
        sign_approval(agreed.digest(), party=who.id, key=who.signing_key, signed_at_s=VALID_FROM_S)
        for who in signers
    ]


VISITS = pa.table(
    {
        "email": ["ann@x.org", "bob@x.org", "cem@x.org", "dee@x.org", "eve@x.org"],
        "segment": ["sport", "sport", "sport", "news", "news"],
    }
)
PURCHASES = pa.table(
    {
        "email": [" Ann@X.org", "bob@x.org", "bob@x.org", "dee@x.org", "zoe@x.org"],
        "amount": pa.array([10, 20, 30, 40, 50], pa.int64()),
    }
)


class RefusedByEnclaveError(Exception):
    """The enclave's answer was an error; `code` is all it said."""

    def __init__(self, header: dict[str, Value]) -> None:
        super().__init__(header["error"])
        self.code = header["error"]
        self.header = header


@dataclass
class Parent:
    """The hostile parent's end of one enclave: it may send anything."""

    roots: TrustedRoots
    answer: Callable[[Frame], Frame]
    """Brings a request to the enclave and its answer back."""
    _count: int = field(default=0, init=False)

    def call(self, op: Op | str, body: bytes = b"", **fields: Value) -> Frame:
        """Send one request; the answer, or `RefusedByEnclaveError`."""
        self._count += 1
        answer = self.answer(Frame({"op": str(op), "id": self._count, **fields}, body))
        assert answer.header["id"] == self._count
        if "error" in answer.header:
            raise RefusedByEnclaveError(answer.header)
        return answer

    def bind(self, agreed: Agreement, approvals: Sequence[bytes] | None = None) -> None:
        """Bind to `agreed`, signed by both parties unless `approvals` are given."""
        messages = approve(agreed) if approvals is None else list(approvals)
        self.call(Op.BIND, encode({"agreement": agreed.encode(), "approvals": messages}))

    def attest(self, nonce: bytes) -> tuple[bytes, bytes]:
        """(document, key bundle) for `nonce`."""
        answer = self.call(Op.ATTEST, nonce=nonce)
        fields = decode_untrusted(answer.body, max_bytes=2**16, what="attest")
        return fields["document"], fields["key_bundle"]

    def keys(self) -> KeyBundle:
        """The bundle, believed without verification: for tests that are about something else."""
        return KeyBundle.decode_untrusted(self.attest(bytes(32))[1])

    def verify(self, agreed: Agreement) -> VerifiedEnclave:
        """What a party gets after all eleven steps."""
        nonce = os.urandom(32)
        document, bundle = self.attest(nonce)
        return verify_enclave(
            document,
            bundle,
            roots=self.roots,
            nonce=nonce,
            agreement_digest=agreed.digest(),
            releases=agreed.releases,
            now=datetime.now(UTC),
        )

    def upload(self, upload: SealedUpload) -> bytes:
        """Send a whole upload; the signed acceptance."""
        names = {"dataset": upload.header.context.dataset, "upload": upload.upload_id}
        self.call(Op.BEGIN, upload.signed_header, **names)
        for number, sealed_chunk in enumerate(upload.chunks):
            self.chunk(upload, number, sealed_chunk)
        return self.call(Op.FINISH, upload.signed_manifest, upload=upload.upload_id).body

    def chunk(self, upload: SealedUpload, number: int, chunk: bytes, *, last: bool | None = None) -> int:
        """Send one chunk; the next one's number."""
        is_last = number == len(upload.chunks) - 1 if last is None else last
        answer = self.call(Op.CHUNK, chunk, upload=upload.upload_id, number=number, last=is_last)
        return int(answer.header["next"])

    def result(self, run_id: bytes, receiver: Identity = ANALYST) -> pa.Table:
        """The result of a run as its receiver opens it."""
        body = self.call(Op.RESULT, run=run_id, receiver=receiver.id).body
        opened = open_result(SealedResult.decode_untrusted(body), key=receiver.receiving_key)
        return pa.ipc.open_stream(opened).read_all()


@dataclass
class Enclave(Parent):
    """An enclave in this process, with its parent's end."""

    life: Life
    nsm: Nsm
    """Its security module, which no parent can reach."""


@dataclass(frozen=True)
class SealedUpload:
    """A dataset as a party sealed it, whole, so that a test can rearrange it."""

    header: sealed.SealedHeader
    signed_header: bytes
    chunks: list[bytes]
    signed_manifest: bytes
    manifest: sealed.Manifest = field(repr=False)

    @property
    def upload_id(self) -> bytes:
        """16 bytes."""
        return self.header.context.upload_id


def seal(
    agreed: Agreement,
    keys: KeyBundle,
    dataset_id: str,
    batches: Sequence[pa.Table],
    *,
    signer: Identity | None = None,
    data_key: tuple[bytes, bytes] | None = None,
    **context_changes: object,
) -> SealedUpload:
    """`batches`, a chunk each, sealed as the owner would; signer and context can be falsified.

    `data_key` is a key and what it is wrapped in: of KMS, in envelope mode.
    """
    dataset = agreed.dataset(dataset_id)
    owner = signer or {"publisher": PUBLISHER, "advertiser": ADVERTISER}[dataset.owner]
    context = sealed.SealedContext(
        agreement_digest=agreed.digest(),
        enclave_id=keys.enclave_id,
        party=dataset.owner,
        dataset=dataset.id,
        schema_digest=dataset.schema_digest(),
        upload_id=os.urandom(16),
        compression="none",
    )
    context = replace(context, **context_changes)  # type: ignore[arg-type]
    key = os.urandom(sealed.KEY_BYTES)
    wrapped = hpke.seal(key, public_key=keys.hpke_public_key, info=context.info())
    if data_key is not None:
        key, wrapped = data_key
    header = sealed.SealedHeader(context, wrapped)
    sealer = sealed.ChunkSealer(key, header.digest())
    chunks = [
        sealer.seal(chunk(batch), last=number == len(batches) - 1) for number, batch in enumerate(batches)
    ]
    manifest = sealed.Manifest(
        header_digest=header.digest(),
        rows=sum(batch.num_rows for batch in batches),
        plaintext_bytes=sealer.plaintext_bytes,
        chunks=sealer.chunks,
        tags_digest=sealer.tags_digest(),
    )
    return SealedUpload(
        header,
        cose.sign(header.encode(), typ=sealed.HEADER_LABEL, key=owner.signing_key),
        chunks,
        cose.sign(manifest.encode(), typ=sealed.MANIFEST_LABEL, key=owner.signing_key),
        manifest,
    )


def run_request(
    agreed: Agreement, keys: KeyBundle, *, signer: Identity = ANALYST, **changes: object
) -> bytes:
    """A signed request for the query of this world."""
    request = RunRequest(
        run_id=os.urandom(16),
        agreement_digest=agreed.digest(),
        enclave_id=keys.enclave_id,
        query="totals",
        requested_by=signer.id,
        parameters={"least": 0},
    )
    request = replace(request, **changes)  # type: ignore[arg-type]
    return cose.sign(request.encode(), typ=RUN_REQUEST_LABEL, key=signer.signing_key)


def asking(connection: socket.socket) -> Callable[[Frame], Frame]:
    """Brings requests to an enclave that serves at the other end, and its answers back."""
    stream = connection.makefile("rb")

    def answer(request: Frame) -> Frame:
        connection.sendall(request.prefix() + request.body)
        return read_frame_untrusted(stream.read)

    return answer


@contextlib.contextmanager
def simulated_module(
    state: Path,
    *,
    pcrs: tuple[bytes, ...] = PCRS,
    clock: datetime | None = None,
    signer_class: type[DocumentSigner] = DocumentSigner,
) -> Iterator[tuple[socket.socket, TrustedRoots]]:
    """A security module behind a socket, and the root that it signs under, which is kept in `state`."""
    root = load_or_create_root(state)
    module_id = ModuleId.random()
    bank = PcrBank(pcr0=pcrs[0], pcr1=pcrs[1], pcr2=pcrs[2], instance_id=module_id.instance_id)
    signer = signer_class(root, module_id, **({} if clock is None else {"clock": lambda: clock}))
    inside, outside = socket.socketpair()
    with inside:
        thread = threading.Thread(target=serve, args=(outside, SimulatedNsm(bank, signer)), daemon=True)
        thread.start()
        yield inside, TrustedRoots.from_pem((state / "root.pem").read_bytes(), name="simulated")
        inside.shutdown(socket.SHUT_RDWR)
    thread.join(timeout=5)


@contextlib.contextmanager
def simulated_enclave(
    state: Path,
    *,
    pcrs: tuple[bytes, ...] = PCRS,
    clock: datetime | None = None,
    signer_class: type[DocumentSigner] = DocumentSigner,
) -> Iterator[Enclave]:
    """An enclave that has just started; its machine's root is kept in `state`."""
    with simulated_module(state, pcrs=pcrs, clock=clock, signer_class=signer_class) as (stream, roots):
        nsm = Nsm(NsmStreamDevice(stream))
        life = Life(nsm)
        yield Enclave(roots, partial(answer_untrusted, life), life, nsm)
