"""Attacks on what an enclave is bound to, by whoever starts and binds it (rows 10, 34, 35, 39 and 40)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from party_client.attestation import AttestationError
from protos.formats.agreement import Agreement
from protos.formats.approvals import sign_approval
from protos.formats.calls import Op, Refusal
from tests import world
from tests.enclave_fixtures import refused
from tests.world import ADVERTISER, PUBLISHER, STRANGER, Enclave


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


@pytest.mark.parametrize("op", [op for op in Op if op not in (Op.STATUS, Op.BIND, Op.CLOSE)])
def test_nothing_but_bind_before_bind(enclave: Enclave, op: Op) -> None:
    fields = {"nonce": bytes(32), "dataset": "visits", "upload": bytes(16), "number": 0, "last": False}
    fields |= {"subject": "visits", "step": 1, "sequence": 1}
    with refused(Refusal.WRONG_PHASE):
        enclave.call(op, b"", **fields, run=bytes(16), receiver="analyst")


@pytest.mark.parametrize(
    "signers",
    [[PUBLISHER], [PUBLISHER, PUBLISHER], [PUBLISHER, STRANGER], []],
    ids=["one missing", "one twice instead", "a stranger instead", "nobody"],
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


def test_attack_49_junk_among_the_approvals(enclave: Enclave, agreed: Agreement) -> None:
    first, second = world.approve(agreed)
    elsewhere = world.approve(replace(agreed, title="Another"))
    junk = [b"junk", *world.approve(agreed, [STRANGER]), *elsewhere, first[:-1] + bytes([first[-1] ^ 1])]
    with refused(Refusal.NOT_IN_FORCE):  # it counts for nobody
        enclave.bind(agreed, [*junk, second, *junk])
    enclave.bind(agreed, [*junk, second, *junk, first, first, *junk])
    bound = enclave.life._state
    assert bound is not None
    assert bound.bound.approvals == (first, second)


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
