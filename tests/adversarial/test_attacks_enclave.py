"""Attacks on the enclave by its parent: every request here is one that a hostile coordinator could send."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from enclave_compute import server as server_module
from enclave_compute.calls import answer_untrusted
from enclave_compute.server import Server
from party_client.attestation import AttestationError
from protos.formats import cose, hpke, sealed
from protos.formats.agreement import Agreement
from protos.formats.approvals import sign_approval
from protos.formats.calls import Op, Refusal
from protos.formats.canonical import digest, encode
from protos.formats.errors import SealError
from protos.formats.frames import Frame, read_frame_untrusted
from protos.formats.receipt import CLAIMS_LABEL, Claims, Receipt
from protos.formats.result import SealedResult, open_result
from tests import world
from tests.world import (
    ADVERTISER,
    ANALYST,
    PUBLISHER,
    PURCHASES,
    STRANGER,
    VISITS,
    Enclave,
    RefusedByEnclaveError,
)


@pytest.fixture
def enclave(tmp_path: Path) -> Iterator[Enclave]:
    with world.simulated_enclave(tmp_path) as enclave:
        yield enclave


@pytest.fixture
def agreed(enclave: Enclave) -> Agreement:
    (root,) = enclave.roots
    return world.agreement(root.sha256)


@pytest.fixture
def ready(enclave: Enclave, agreed: Agreement) -> Enclave:
    enclave.bind(agreed)
    enclave.upload(world.seal(agreed, enclave.keys(), "visits", [VISITS]))
    enclave.upload(world.seal(agreed, enclave.keys(), "purchases", [PURCHASES]))
    return enclave


def refused(code: Refusal) -> Any:
    return pytest.raises(RefusedByEnclaveError, match=f"^{code}$")


def test_the_honest_run_releases_the_agreed_result(ready: Enclave, agreed: Agreement) -> None:
    run_id = os.urandom(16)
    request = world.run_request(agreed, ready.keys(), run_id=run_id)
    answer = ready.call(Op.RUN, request, run=run_id)
    assert answer.header["receivers"] == ["analyst"]
    # "news" has one purchaser, below the threshold of two; Ann and Bob remain.
    assert ready.result(run_id).to_pylist() == [{"segment": "sport", "purchases": 3, "total": 60}]


def test_attack_10_genuine_image_under_another_agreement(enclave: Enclave, agreed: Agreement) -> None:
    rewritten = replace(agreed, queries=(world.query(max_runs=1000),))
    enclave.bind(rewritten)
    with pytest.raises(AttestationError) as caught:
        enclave.verify(agreed)
    assert caught.value.code == "attestation/agreement-mismatch"


def test_attack_10_bound_for_life(ready: Enclave, agreed: Agreement) -> None:
    with refused(Refusal.ALREADY_BOUND):
        ready.bind(replace(agreed, title="Another"))
    ready.bind(agreed)


def test_attack_11_injected_dataset(enclave: Enclave, agreed: Agreement) -> None:
    enclave.bind(agreed)
    forged = world.seal(agreed, enclave.keys(), "visits", [VISITS], signer=STRANGER)
    with refused(Refusal.BAD_SIGNATURE):
        enclave.upload(forged)
    # A party may not fill another party's slot either.
    with refused(Refusal.BAD_SIGNATURE):
        enclave.upload(world.seal(agreed, enclave.keys(), "visits", [VISITS], signer=ADVERTISER))


def test_attack_11_manifest_by_a_stranger(enclave: Enclave, agreed: Agreement) -> None:
    enclave.bind(agreed)
    upload = world.seal(agreed, enclave.keys(), "visits", [VISITS])
    forged = world.seal(agreed, enclave.keys(), "visits", [VISITS], signer=STRANGER)
    with refused(Refusal.BAD_SIGNATURE):
        enclave.upload(replace(upload, signed_manifest=forged.signed_manifest))


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 4},
        {"plaintext_bytes": 1},
        {"chunks": 1},
        {"tags_digest": bytes(48)},
        {"header_digest": bytes(48)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_attack_11_dataset_that_is_not_its_manifest(
    enclave: Enclave, agreed: Agreement, change: dict[str, Any]
) -> None:
    enclave.bind(agreed)
    upload = world.seal(agreed, enclave.keys(), "visits", [VISITS.slice(0, 3), VISITS.slice(3)])
    other = replace(upload.manifest, **change)
    signed = cose.sign(other.encode(), typ=sealed.MANIFEST_LABEL, key=PUBLISHER.signing_key)
    with refused(Refusal.MANIFEST_MISMATCH):
        enclave.upload(replace(upload, signed_manifest=signed))


def test_attack_12_reordered_truncated_and_spliced_chunks(enclave: Enclave, agreed: Agreement) -> None:
    enclave.bind(agreed)
    thirds = [VISITS.slice(0, 2), VISITS.slice(2, 2), VISITS.slice(4)]
    upload = world.seal(agreed, enclave.keys(), "visits", thirds)
    other = world.seal(agreed, enclave.keys(), "visits", thirds)
    enclave.call(Op.BEGIN, upload.signed_header, dataset="visits", upload=upload.upload_id)
    with refused(Refusal.OUT_OF_ORDER):
        enclave.chunk(upload, 1, upload.chunks[1])
    with refused(Refusal.DOES_NOT_OPEN):  # reordered under a false number
        enclave.chunk(upload, 0, upload.chunks[1])
    with refused(Refusal.DOES_NOT_OPEN):  # spliced from another upload of the same party
        enclave.chunk(upload, 0, other.chunks[0])
    with refused(Refusal.DOES_NOT_OPEN):  # said to be the last
        enclave.chunk(upload, 0, upload.chunks[0], last=True)
    assert enclave.chunk(upload, 0, upload.chunks[0]) == 1
    assert enclave.chunk(upload, 0, upload.chunks[0]) == 1, "a repeated chunk is acknowledged, not counted"
    with refused(Refusal.MANIFEST_MISMATCH):  # truncated
        enclave.call(Op.FINISH, upload.signed_manifest, upload=upload.upload_id)
    for number in (1, 2):
        enclave.chunk(upload, number, upload.chunks[number])
    enclave.call(Op.FINISH, upload.signed_manifest, upload=upload.upload_id)


def test_attack_13_dataset_replayed_to_a_later_job(
    enclave: Enclave, agreed: Agreement, tmp_path: Path
) -> None:
    enclave.bind(agreed)
    upload = world.seal(agreed, enclave.keys(), "visits", [VISITS])
    enclave.upload(upload)
    with world.simulated_enclave(tmp_path) as later:
        later.bind(agreed)
        with refused(Refusal.WRONG_PLACE):
            later.upload(upload)
        with refused(Refusal.DOES_NOT_OPEN):  # even with a header that names the later enclave
            forged = world.seal(
                agreed, enclave.keys(), "visits", [VISITS], enclave_id=later.keys().enclave_id
            )
            later.upload(forged)


@pytest.mark.parametrize(
    "change",
    [
        {"agreement_digest": bytes(48)},
        {"enclave_id": bytes(16)},
        {"dataset": "purchases"},
        {"schema_digest": bytes(48)},
        {"party": "advertiser"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_attack_13_header_for_another_place(
    enclave: Enclave, agreed: Agreement, change: dict[str, Any]
) -> None:
    enclave.bind(agreed)
    upload = world.seal(agreed, enclave.keys(), "visits", [VISITS], **change)
    with refused(Refusal.WRONG_PLACE):
        enclave.call(Op.BEGIN, upload.signed_header, dataset="visits", upload=upload.upload_id)


def test_attack_14_wrapped_key_made_by_a_stranger(enclave: Enclave, agreed: Agreement) -> None:
    # Anybody can wrap a key for the enclave: HPKE says nothing about the sender. The header's signature does.
    enclave.bind(agreed)
    upload = world.seal(agreed, enclave.keys(), "visits", [VISITS])
    key = hpke.seal(
        os.urandom(32), public_key=enclave.keys().hpke_public_key, info=upload.header.context.info()
    )
    swapped = replace(upload.header, wrapped_key=key)
    by_stranger = cose.sign(swapped.encode(), typ=sealed.HEADER_LABEL, key=STRANGER.signing_key)
    with refused(Refusal.BAD_SIGNATURE):
        enclave.upload(replace(upload, header=swapped, signed_header=by_stranger))


def test_attack_16_charged_run_can_be_fetched_again(ready: Enclave, agreed: Agreement) -> None:
    run_id = os.urandom(16)
    request = world.run_request(agreed, ready.keys(), run_id=run_id)
    for _ in range(5):  # more often than the query may run
        ready.call(Op.RUN, request, run=run_id)
    first = ready.call(Op.RESULT, run=run_id, receiver="analyst").body
    assert ready.call(Op.RESULT, run=run_id, receiver="analyst").body == first
    other = world.run_request(agreed, ready.keys(), run_id=run_id, parameters={"least": 1})
    with refused(Refusal.WRONG_PLACE):
        ready.call(Op.RUN, other, run=run_id)


def test_attack_16_runs_are_counted_and_refused_runs_cost_nothing(ready: Enclave, agreed: Agreement) -> None:
    keys = ready.keys()
    with refused(Refusal.NOT_ALLOWED):
        ready.call(Op.RUN, world.run_request(agreed, keys, parameters={"least": 101}))
    for _ in range(3):
        ready.call(Op.RUN, world.run_request(agreed, keys))
    with refused(Refusal.NO_RUNS_LEFT):
        ready.call(Op.RUN, world.run_request(agreed, keys))


def test_claims_are_chained(ready: Enclave, agreed: Agreement) -> None:
    claims = []
    for run_id in (os.urandom(16), os.urandom(16)):
        ready.call(Op.RUN, world.run_request(agreed, ready.keys(), run_id=run_id))
        receipt = Receipt.decode_untrusted(ready.call(Op.RECEIPT, run=run_id).body)
        claims.append(Claims.decode_untrusted(receipt.claims))
    assert [item.sequence for item in claims] == [1, 2]
    assert [item.runs_left for item in claims] == [2, 1]
    assert claims[0].previous == bytes(48)
    assert claims[1].previous == digest(CLAIMS_LABEL, claims[0].encode())


def test_attack_11_run_request_by_somebody_else(ready: Enclave, agreed: Agreement) -> None:
    keys = ready.keys()
    with refused(Refusal.BAD_SIGNATURE):
        ready.call(Op.RUN, world.run_request(agreed, keys, signer=STRANGER))
    with refused(Refusal.NOT_ALLOWED):  # a party that the query does not name in run_by
        ready.call(Op.RUN, world.run_request(agreed, keys, signer=PUBLISHER))
    with refused(Refusal.NOT_ALLOWED):  # signed by one, in the name of another
        ready.call(Op.RUN, world.run_request(agreed, keys, signer=PUBLISHER, requested_by="analyst"))
    with refused(Refusal.WRONG_PLACE):
        ready.call(Op.RUN, world.run_request(agreed, keys, enclave_id=bytes(16)))
    with refused(Refusal.WRONG_PLACE):
        ready.call(Op.RUN, world.run_request(agreed, keys, agreement_digest=bytes(48)))
    with refused(Refusal.UNKNOWN):
        ready.call(Op.RUN, world.run_request(agreed, keys, query="another"))


def test_run_before_all_datasets_are_accepted(enclave: Enclave, agreed: Agreement) -> None:
    enclave.bind(agreed)
    enclave.upload(world.seal(agreed, enclave.keys(), "visits", [VISITS]))
    with refused(Refusal.NOT_READY):
        enclave.call(Op.RUN, world.run_request(agreed, enclave.keys()))


@pytest.mark.parametrize("op", [op for op in Op if op not in (Op.STATUS, Op.BIND, Op.CLOSE)])
def test_nothing_but_bind_before_bind(enclave: Enclave, op: Op) -> None:
    fields = {"nonce": bytes(32), "dataset": "visits", "upload": bytes(16), "number": 0, "last": False}
    with refused(Refusal.WRONG_PHASE):
        enclave.call(op, b"", **fields, run=bytes(16), receiver="analyst")


@pytest.mark.parametrize(
    "signers",
    [[PUBLISHER], [PUBLISHER, PUBLISHER], [PUBLISHER, ADVERTISER, STRANGER], [PUBLISHER, STRANGER], []],
    ids=["one missing", "signed twice", "a stranger as well", "a stranger instead", "nobody"],
)
def test_attack_34_agreement_that_not_all_signed(
    enclave: Enclave, agreed: Agreement, signers: list[Any]
) -> None:
    with refused(Refusal.NOT_IN_FORCE):
        enclave.bind(agreed, world.approve(agreed, signers))
    enclave.bind(agreed)  # a refused binding changed nothing


def test_attack_34_parties_shown_different_agreements(enclave: Enclave, agreed: Agreement) -> None:
    other = replace(agreed, purpose="Something else")
    mixed = [*world.approve(agreed, [PUBLISHER]), *world.approve(other, [ADVERTISER])]
    for version in (agreed, other):
        with refused(Refusal.NOT_IN_FORCE):
            enclave.bind(version, mixed)


def test_attack_35_member_added_after_approval(enclave: Enclave, agreed: Agreement) -> None:
    approvals = world.approve(agreed)
    joined = replace(agreed, parties=(*agreed.parties, STRANGER.public.participant()))
    own = sign_approval(joined.digest(), party="stranger", key=STRANGER.signing_key, signed_at_s=0)
    with refused(Refusal.NOT_IN_FORCE):
        enclave.bind(joined, [*approvals, own])


def test_attack_39_clock_outside_the_validity(enclave: Enclave, agreed: Agreement, tmp_path: Path) -> None:
    for moment_s in (world.VALID_FROM_S - 86_400, world.VALID_UNTIL_S):
        clock = datetime.fromtimestamp(moment_s, UTC)
        with world.simulated_enclave(tmp_path, clock=clock) as other, refused(Refusal.NOT_VALID_NOW):
            other.bind(agreed)


def test_attack_40_keys_without_kernel_entropy(
    tmp_path: Path, agreed: Agreement, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A parent that starves the kernel's pool at boot: two enclaves then differ by the module's bytes alone.
    bundles = set()
    for _ in range(2):
        with world.simulated_enclave(tmp_path) as enclave:
            monkeypatch.setattr("enclave_compute.nsm.client.os.urandom", bytes)
            enclave.bind(agreed)
            bundles.add(enclave.keys())
            monkeypatch.undo()
    assert len(bundles) == 2


def test_attack_42_result_for_the_wrong_analyst(ready: Enclave, agreed: Agreement) -> None:
    run_id = os.urandom(16)
    ready.call(Op.RUN, world.run_request(agreed, ready.keys(), run_id=run_id))
    with refused(Refusal.UNKNOWN):
        ready.call(Op.RESULT, run=run_id, receiver="publisher")
    body = ready.call(Op.RESULT, run=run_id, receiver="analyst").body
    with pytest.raises(SealError):
        open_result(SealedResult.decode_untrusted(body), key=PUBLISHER.receiving_key)
    other = replace(SealedResult.decode_untrusted(body).context, receiver="publisher")
    with pytest.raises(SealError):  # passed off as another result
        open_result(replace(SealedResult.decode_untrusted(body), context=other), key=ANALYST.receiving_key)


@pytest.fixture
def parent(enclave: Enclave, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Connects to a served enclave as its parent would."""
    monkeypatch.setattr(server_module, "FRAME_DEADLINE_S", 1)
    monkeypatch.setattr(server_module, "_POLL_S", 0.05)
    path = f"\0concordat-test-{os.getpid()}-{os.urandom(4).hex()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=Server(enclave.life, listener, parent_cid=3).serve)
        thread.start()

        def connect() -> socket.socket:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(10)
            connection.connect(path)
            return connection

        yield connect
        enclave.life.close()
        thread.join(timeout=10)
        assert not thread.is_alive()


def status(connection: socket.socket) -> str:
    connection.sendall(Frame({"op": "status", "id": 7}).prefix())
    answer = read_frame_untrusted(lambda n_bytes: connection.recv(n_bytes, socket.MSG_WAITALL))
    return str(answer.header["phase"])


MALFORMED = {
    "a header that is not CBOR": b"\x00\x01\x00\x00\x00\x00\xff",
    "a header that is not a map": b"\x00\x01\x00\x00\x00\x00\x01",
    "a huge header": b"\xff\xff\x00\x00\x00\x00",
    "a huge body": b"\x00\x01\xff\xff\xff\xff",
    "nothing": b"",
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED.keys())
def test_attack_38_malformed_frames_and_slow_senders(parent: Any, sent: bytes) -> None:
    with parent() as hostile:
        hostile.sendall(sent)
        hostile.shutdown(socket.SHUT_WR)
        assert hostile.recv(1) == b"", "the connection is closed"
    with parent() as honest:
        assert status(honest) == "empty"


def test_attack_38_slow_sender_does_not_hold_a_connection(parent: Any) -> None:
    with parent() as slow:
        slow.sendall(b"\x00")
        begun = time.monotonic()
        assert slow.recv(1) == b""
        assert time.monotonic() - begun < 8


def test_attack_38_more_connections_than_are_served(parent: Any) -> None:
    held = [parent() for _ in range(server_module.CONNECTIONS_MAX)]
    assert [status(connection) for connection in held] == ["empty"] * len(held)
    with parent() as one_more:
        assert one_more.recv(1) == b""
    for connection in held:
        connection.close()
    time.sleep(0.5)  # the enclave's threads notice
    with parent() as again:
        assert status(again) == "empty"


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"op": "status "},
        {"op": 1},
        {"op": "attest"},
        {"op": "attest", "nonce": "x" * 32},
        {"op": "attest", "nonce": bytes(31)},
        {"op": "chunk", "upload": bytes(16), "number": -1, "last": False},
        {"op": "chunk", "upload": bytes(16), "number": 0, "last": 0},
        {"op": "begin", "dataset": "No", "upload": bytes(16)},
        {"op": "result", "run": bytes(16), "receiver": None},
        {"op": "bind"},
    ],
    ids=str,
)
def test_attack_38_malformed_requests_get_one_code(enclave: Enclave, agreed: Agreement, header: Any) -> None:
    enclave.bind(agreed)
    answer = answer_untrusted(enclave.life, Frame({"id": 1, **header}, encode({})))
    assert answer.header == {"id": 1, "error": "malformed"}
    assert answer.body == b""
