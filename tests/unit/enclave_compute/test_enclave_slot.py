"""A dataset counts when it is whole, of the agreed shape and size, and what its owner says it sent."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from enclave_compute.clock import NsmClock
from enclave_compute.engine import Engine
from enclave_compute.errors import RefusedError
from enclave_compute.keys import EnclaveKeys
from enclave_compute.kms.errands import Errands
from enclave_compute.slot import Slot
from protos.formats import cose, hpke, limits, sealed
from protos.formats.agreement import Agreement
from protos.formats.calls import Op, Refusal
from protos.formats.receipt import Claims, Receipt
from tests import world
from tests.chunk_tables import chunk
from tests.enclave_fixtures import refused
from tests.world import PUBLISHER, PURCHASES, VISITS, Enclave, SealedUpload

OTHER_VISITS = pa.table({"email": ["dee@x.org", "zoe@x.org"], "segment": ["news", "news"]})
SPORT = [{"segment": "sport", "purchases": 3, "total": 60}]
NEWS = [{"segment": "news", "purchases": 2, "total": 90}]


def begin(enclave: Enclave, upload: SealedUpload) -> int:
    names = {"dataset": upload.header.context.dataset, "upload": upload.upload_id}
    return int(enclave.call(Op.BEGIN, upload.signed_header, **names).header["next"])


def finish(enclave: Enclave, upload: SealedUpload) -> bytes:
    return enclave.call(Op.FINISH, upload.signed_manifest, upload=upload.upload_id).body


def visits_of(enclave: Enclave, agreed: Agreement, *tables: pa.Table) -> SealedUpload:
    return world.seal(agreed, enclave.keys(), "visits", tables or [VISITS])


def result_with_purchases(enclave: Enclave, agreed: Agreement) -> list[dict[str, Any]]:
    """What the query gives over the visits that were accepted."""
    enclave.upload(world.seal(agreed, enclave.keys(), "purchases", [PURCHASES]))
    run_id = os.urandom(16)
    enclave.call(Op.RUN, world.run_request(agreed, enclave.keys(), run_id=run_id))
    rows: list[dict[str, Any]] = enclave.result(run_id).to_pylist()
    return rows


def is_complete(enclave: Enclave, dataset: str = "visits") -> bool:
    slots = enclave.call(Op.STATUS).header["slots"]
    return bool({slot["dataset"]: slot["complete"] for slot in slots}[dataset])


# --- coming again -----------------------------------------------------------------------------------------


def test_an_interrupted_upload_goes_on_where_it_was(bound: Enclave, agreed: Agreement) -> None:
    upload = visits_of(bound, agreed, VISITS.slice(0, 2), VISITS.slice(2))
    assert begin(bound, upload) == 0
    assert bound.chunk(upload, 0, upload.chunks[0]) == 1
    assert begin(bound, upload) == 1
    assert bound.chunk(upload, 0, b"not even a chunk") == 1, "below next: acknowledged, not opened"
    assert bound.chunk(upload, 1, upload.chunks[1]) == 2
    finish(bound, upload)
    assert result_with_purchases(bound, agreed) == SPORT


def test_everything_may_come_again_after_acceptance(bound: Enclave, agreed: Agreement) -> None:
    upload = visits_of(bound, agreed)
    acceptance = bound.upload(upload)
    assert begin(bound, upload) == 1
    assert bound.chunk(upload, 0, upload.chunks[0]) == 1
    assert finish(bound, upload) == acceptance
    assert result_with_purchases(bound, agreed) == SPORT


def test_a_complete_slot_takes_nothing_else(bound: Enclave, agreed: Agreement) -> None:
    upload, other = visits_of(bound, agreed), visits_of(bound, agreed, OTHER_VISITS)
    bound.upload(upload)
    with refused(Refusal.SLOT_TAKEN):
        begin(bound, other)
    with refused(Refusal.UNKNOWN):
        bound.chunk(other, 0, other.chunks[0])
    with refused(Refusal.SLOT_TAKEN):  # another manifest for the upload that is there
        finish(bound, replace(upload, signed_manifest=other.signed_manifest))
    with refused(Refusal.DOES_NOT_OPEN):  # one more chunk
        bound.chunk(upload, 1, upload.chunks[0], last=True)
    assert result_with_purchases(bound, agreed) == SPORT


def test_a_new_header_begins_anew_and_the_old_rows_are_gone(bound: Enclave, agreed: Agreement) -> None:
    old = visits_of(bound, agreed, VISITS, VISITS.slice(0, 0))
    new = visits_of(bound, agreed, OTHER_VISITS)
    begin(bound, old)
    bound.chunk(old, 0, old.chunks[0])
    assert begin(bound, new) == 0
    with refused(Refusal.UNKNOWN):
        bound.chunk(old, 1, old.chunks[1])
    bound.upload(new)
    assert result_with_purchases(bound, agreed) == NEWS


def test_finishing_before_anything_began(bound: Enclave, agreed: Agreement) -> None:
    with refused(Refusal.UNKNOWN):
        finish(bound, visits_of(bound, agreed))


def test_a_slot_whose_upload_has_just_ended_knows_no_upload(enclave: Enclave, agreed: Agreement) -> None:
    # Another connection can end an upload between the question whose it is and the chunk.
    dataset = agreed.dataset("visits")
    engine = Engine(memory_mib=512, threads=1)
    engine.create(dataset)
    keys, digest = EnclaveKeys.make(enclave.nsm), agreed.digest()
    errands = Errands(enclave.nsm, NsmClock(enclave.nsm), agreement_digest=digest, enclave_id=keys.enclave_id)
    slot = Slot(
        dataset,
        agreed.participant("publisher"),
        agreement_digest=digest,
        keys=keys,
        engine=engine,
        errands=errands,
    )
    for late in (lambda: slot.chunk(bytes(17), number=0, last=True), lambda: slot.finish(b"manifest")):
        with pytest.raises(RefusedError, match="unknown: "):
            late()


# --- sizes ------------------------------------------------------------------------------------------------


def bind_with_visits(enclave: Enclave, agreed: Agreement, **changes: int) -> Agreement:
    """Bound to an agreement in which the slot for visits is another."""
    small = replace(agreed, datasets=(replace(world.visits(), **changes), world.purchases()))  # type: ignore[arg-type]
    enclave.bind(small)
    return small


def test_as_many_rows_and_bytes_as_agreed(enclave: Enclave, agreed: Agreement) -> None:
    size_bytes = len(chunk(VISITS))
    small = bind_with_visits(enclave, agreed, max_rows=VISITS.num_rows, max_bytes=size_bytes)
    enclave.upload(visits_of(enclave, small))
    assert is_complete(enclave)


@pytest.mark.parametrize(
    "changes",
    [{"max_rows": VISITS.num_rows - 1}, {"max_bytes": len(chunk(VISITS)) - 1}],
    ids=["rows", "bytes"],
)
def test_one_more_than_agreed_ends_the_upload(
    enclave: Enclave, agreed: Agreement, changes: dict[str, int]
) -> None:
    small = bind_with_visits(enclave, agreed, **changes)
    upload = visits_of(enclave, small)
    begin(enclave, upload)
    with refused(Refusal.OVER_LIMIT):
        enclave.chunk(upload, 0, upload.chunks[0])
    with refused(Refusal.UNKNOWN):
        finish(enclave, upload)
    enclave.upload(visits_of(enclave, small, OTHER_VISITS))
    assert result_with_purchases(enclave, small) == NEWS


def test_rows_are_counted_over_all_chunks(enclave: Enclave, agreed: Agreement) -> None:
    small = bind_with_visits(enclave, agreed, max_rows=4)
    upload = visits_of(enclave, small, VISITS.slice(0, 3), VISITS.slice(3))
    begin(enclave, upload)
    enclave.chunk(upload, 0, upload.chunks[0])
    with refused(Refusal.OVER_LIMIT):
        enclave.chunk(upload, 1, upload.chunks[1])


@pytest.mark.parametrize("n_bytes", [0, limits.AEAD_TAG_BYTES, limits.CHUNK_CIPHERTEXT_MAX_BYTES + 1])
def test_a_chunk_that_cannot_be_one_is_not_opened(bound: Enclave, agreed: Agreement, n_bytes: int) -> None:
    upload = visits_of(bound, agreed)
    begin(bound, upload)
    with refused(Refusal.OVER_LIMIT):
        bound.chunk(upload, 0, bytes(n_bytes))
    bound.upload(upload)  # as if nothing had come


# --- shape ------------------------------------------------------------------------------------------------

MISSHAPEN = {
    "one column less": VISITS.select(["email"]),
    "one column more": VISITS.append_column("more", pa.array(range(5))),
    "another type": VISITS.set_column(1, "segment", pa.array(range(5))),
}


@pytest.mark.parametrize("misshapen", MISSHAPEN.values(), ids=MISSHAPEN.keys())
def test_another_shape_ends_the_upload(bound: Enclave, agreed: Agreement, misshapen: pa.Table) -> None:
    upload = visits_of(bound, agreed, VISITS, misshapen)
    begin(bound, upload)
    bound.chunk(upload, 0, upload.chunks[0])
    with refused(Refusal.SCHEMA_MISMATCH):
        bound.chunk(upload, 1, upload.chunks[1])
    with refused(Refusal.UNKNOWN):
        bound.chunk(upload, 1, upload.chunks[1])
    bound.upload(visits_of(bound, agreed, OTHER_VISITS))
    assert result_with_purchases(bound, agreed) == NEWS


def test_a_value_that_was_not_agreed_ends_the_upload_at_its_end_at_the_latest(
    bound: Enclave, agreed: Agreement
) -> None:
    nobody = VISITS.set_column(0, "email", pa.array([None] * 5, pa.string()))
    with refused(Refusal.SCHEMA_MISMATCH):
        bound.upload(visits_of(bound, agreed, VISITS, nobody))
    assert not is_complete(bound)
    bound.upload(visits_of(bound, agreed, OTHER_VISITS))
    assert result_with_purchases(bound, agreed) == NEWS


def test_a_key_that_stands_twice_ends_the_upload_at_its_end(bound: Enclave, agreed: Agreement) -> None:
    upload = visits_of(bound, agreed, VISITS, VISITS.slice(0, 1))
    with refused(Refusal.SCHEMA_MISMATCH):
        bound.upload(upload)
    assert not is_complete(bound)
    with refused(Refusal.UNKNOWN):
        finish(bound, upload)
    bound.upload(visits_of(bound, agreed, OTHER_VISITS))
    assert result_with_purchases(bound, agreed) == NEWS


def test_bytes_that_are_no_columns_end_the_upload(bound: Enclave, agreed: Agreement) -> None:
    upload = visits_of(bound, agreed)
    key = os.urandom(sealed.KEY_BYTES)
    wrapped = hpke.seal(key, public_key=bound.keys().hpke_public_key, info=upload.header.context.info())
    header = replace(upload.header, wrapped_key=wrapped)
    signed = cose.sign(header.encode(), typ=sealed.HEADER_LABEL, key=PUBLISHER.signing_key)
    bad = replace(upload, header=header, signed_header=signed)
    begin(bound, bad)
    with refused(Refusal.SCHEMA_MISMATCH):
        bound.chunk(
            bad, 0, sealed.ChunkSealer(key, header.digest()).seal(b"no columns", last=True), last=True
        )
    with refused(Refusal.UNKNOWN):
        finish(bound, bad)


# --- signatures -------------------------------------------------------------------------------------------


def test_a_header_under_another_name_or_in_another_place(bound: Enclave, agreed: Agreement) -> None:
    upload = visits_of(bound, agreed)
    with refused(Refusal.WRONG_PLACE):
        bound.call(Op.BEGIN, upload.signed_header, dataset="visits", upload=os.urandom(16))
    with refused(Refusal.UNKNOWN):
        bound.call(Op.BEGIN, upload.signed_header, dataset="another", upload=upload.upload_id)
    with refused(Refusal.BAD_SIGNATURE):  # the owner of that slot did not sign this
        bound.call(Op.BEGIN, upload.signed_header, dataset="purchases", upload=upload.upload_id)


def test_what_one_message_says_is_not_taken_for_another(bound: Enclave, agreed: Agreement) -> None:
    upload = visits_of(bound, agreed)
    with refused(Refusal.BAD_SIGNATURE):
        bound.call(Op.BEGIN, upload.signed_manifest, dataset="visits", upload=upload.upload_id)
    begin(bound, upload)
    bound.chunk(upload, 0, upload.chunks[0])
    with refused(Refusal.BAD_SIGNATURE):
        bound.call(Op.FINISH, upload.signed_header, upload=upload.upload_id)
    finish(bound, upload)


def test_one_changed_bit_of_a_header_or_manifest(bound: Enclave, agreed: Agreement) -> None:
    upload = visits_of(bound, agreed)
    with refused(Refusal.BAD_SIGNATURE):
        begin(bound, replace(upload, signed_header=flipped(upload.signed_header)))
    begin(bound, upload)
    bound.chunk(upload, 0, upload.chunks[0])
    with refused(Refusal.BAD_SIGNATURE):
        finish(bound, replace(upload, signed_manifest=flipped(upload.signed_manifest)))


def flipped(message: bytes) -> bytes:
    """`message` with the last bit of its signature changed."""
    return message[:-1] + bytes([message[-1] ^ 1])


def test_a_manifest_that_says_no_chunks_is_malformed(bound: Enclave, agreed: Agreement) -> None:
    upload = visits_of(bound, agreed)
    begin(bound, upload)
    none = replace(upload.manifest, chunks=0)
    with refused(Refusal.MALFORMED):
        signed = cose.sign(none.encode(), typ=sealed.MANIFEST_LABEL, key=PUBLISHER.signing_key)
        finish(bound, replace(upload, signed_manifest=signed))


def test_a_dataset_without_rows_counts(bound: Enclave, agreed: Agreement) -> None:
    bound.upload(visits_of(bound, agreed, VISITS.slice(0, 0)))
    assert result_with_purchases(bound, agreed) == []


# --- acceptance -------------------------------------------------------------------------------------------


def test_the_acceptance_is_the_enclaves_word_on_this_manifest(bound: Enclave, agreed: Agreement) -> None:
    upload, keys = visits_of(bound, agreed), bound.keys()
    acceptance = bound.upload(upload)
    payload = cose.verify_untrusted(
        acceptance, typ=sealed.ACCEPTANCE_LABEL, public_key=keys.signing_key, max_bytes=4096
    )
    assert payload == sealed.acceptance_payload(upload.manifest.digest(), keys.enclave_id)


def test_receipts_name_the_datasets_that_were_used(bound: Enclave, agreed: Agreement) -> None:
    uploads = {
        name: world.seal(agreed, bound.keys(), name, [table])
        for name, table in {"visits": VISITS, "purchases": PURCHASES}.items()
    }
    for upload in uploads.values():
        bound.upload(upload)
    run_id = os.urandom(16)
    bound.call(Op.RUN, world.run_request(agreed, bound.keys(), run_id=run_id))
    receipt = Receipt.decode_untrusted(bound.call(Op.RECEIPT, run=run_id).body)
    used = Claims.decode_untrusted(receipt.claims).datasets
    assert {(one.dataset, one.party, one.upload_id, one.manifest_digest) for one in used} == {
        ("visits", "publisher", uploads["visits"].upload_id, uploads["visits"].manifest.digest()),
        ("purchases", "advertiser", uploads["purchases"].upload_id, uploads["purchases"].manifest.digest()),
    }
