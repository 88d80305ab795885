"""Attacks on a dataset by whoever carries it to the enclave (rows 11 to 14).

The carrier is the coordinator. It holds every byte that ever went by, and sends what it likes in any order;
it may know other participants' keys, but not the owner's.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protos.formats import cose, hpke, sealed
from protos.formats.agreement import Agreement
from protos.formats.calls import Op, Refusal
from tests import world
from tests.enclave_fixtures import refused
from tests.world import ADVERTISER, PUBLISHER, STRANGER, VISITS, Enclave


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
