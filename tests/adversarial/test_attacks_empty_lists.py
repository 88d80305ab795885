"""Attack 9: an empty list of who or what is allowed. It must never mean that everybody or everything is."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from party_client.attestation import AllowedMeasurements, AllowedReleases, TrustedRoots, verify_enclave
from party_client.attestation import errors as refused
from protos.formats import limits
from protos.formats.agreement import Agreement
from protos.formats.approvals import sign_approval
from protos.formats.calls import Op, Refusal
from protos.formats.canonical import decode_untrusted, encode
from protos.formats.identifiers import agreement_digest
from tests import world
from tests.world import ADVERTISER, PUBLISHER, RefusedByEnclaveError

LISTS: dict[str, tuple[str | int, ...]] = {
    "releases": ("releases",),
    "parties": ("parties",),
    "datasets": ("datasets",),
    "queries": ("queries",),
    "run_by": ("queries", 0, "run_by"),
    "receivers": ("queries", 0, "receivers"),
}


def emptied(agreed: Agreement, path: tuple[str | int, ...]) -> bytes:
    """The canonical bytes of `agreed` with nothing in the list at `path`."""
    value: Any = decode_untrusted(agreed.encode(), max_bytes=limits.AGREEMENT_MAX_BYTES, what="agreement")
    *parents, last = path
    holder = value
    for key in parents:
        holder = holder[key]
    assert holder[last], "there was something in it"
    holder[last] = []
    return encode(value)


@pytest.mark.parametrize("path", LISTS.values(), ids=LISTS.keys())
def test_attack_09_empty_allow_list_means_deny(tmp_path: Path, path: tuple[str | int, ...]) -> None:
    """Even when all parties sign it: the enclave does not bind itself to such an agreement."""
    with world.simulated_enclave(tmp_path) as enclave:
        (root,) = enclave.roots
        text = emptied(world.agreement(root.sha256), path)
        approvals = [
            sign_approval(agreement_digest(text), party=who.id, key=who.signing_key, signed_at_s=0)
            for who in (PUBLISHER, ADVERTISER)
        ]
        with pytest.raises(RefusedByEnclaveError, match=f"^{Refusal.MALFORMED}$"):
            enclave.call(Op.BIND, encode({"agreement": text, "approvals": approvals}))
        assert enclave.life.phase == "empty"


def test_attack_09_column_without_uses_may_not_be_used(tmp_path: Path) -> None:
    with world.simulated_enclave(tmp_path) as enclave:
        (root,) = enclave.roots
        email, segment = world.visits().columns
        closed = replace(world.visits(), columns=(email, replace(segment, uses=frozenset())))
        agreed = world.agreement(root.sha256, datasets=(closed, world.purchases()))
        with pytest.raises(RefusedByEnclaveError, match=f"^{Refusal.QUERY_REFUSED}$"):
            enclave.bind(agreed)


def test_attack_09_nobody_trusted_and_nothing_allowed(tmp_path: Path) -> None:
    with pytest.raises(refused.NoTrustedRootsError):
        TrustedRoots(())
    for empty in (lambda: AllowedReleases([]), lambda: AllowedMeasurements([])):
        with pytest.raises(refused.PolicyError):
            empty()
    with world.simulated_enclave(tmp_path) as enclave:
        (root,) = enclave.roots
        agreed = world.agreement(root.sha256)
        enclave.bind(agreed)
        nonce = os.urandom(32)
        document, bundle = enclave.attest(nonce)
        with pytest.raises(refused.PolicyError):
            verify_enclave(
                document,
                bundle,
                roots=enclave.roots,
                nonce=nonce,
                agreement_digest=agreed.digest(),
                releases=[],
                now=datetime.now(UTC),
            )
