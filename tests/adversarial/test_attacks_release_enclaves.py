"""Attacks on which code is accepted, with enclaves: new code without the change, old code past its time.

Row 45. The enclaves are real code under a simulated machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from party_client.attestation import verify_enclave
from party_client.attestation.errors import MeasurementMismatchError, ReleaseNotValidError
from party_client.client import Client
from party_client.receipts import ReceiptMismatchError, verify_receipt
from protos.formats.calls import Op, Refusal
from protos.release.errors import (
    ChangeOrderError,
    ForkError,
)
from protos.release.history import (
    AgreedReleases,
    agreed_releases,
    read_changed_agreement_untrusted,
    verify_changes_untrusted,
)
from scenarios.machine.documents import DocumentSigner, ModuleId
from scenarios.machine.pki import Issuer
from tests.enclave_fixtures import refused
from tests.releases_world import (
    AHEAD_S,
    NOW_S,
    agreed_on,
    change,
    ended,
    newer,
    signed,
)
from tests.unit.party_client.direct_coordinator import JOB, DirectCoordinator
from tests.world import (
    ANALYST,
    PUBLISHER,
    PURCHASES,
    VISITS,
    Enclave,
    agreement,
    run_request,
    seal,
    simulated_enclave,
)


@pytest.fixture
def enclave(tmp_path: Path) -> Iterator[Enclave]:
    with simulated_enclave(tmp_path) as started:
        yield started


def root_of(enclave: Enclave) -> bytes:
    (root,) = enclave.roots
    return root.sha256


def verify(enclave: Enclave, agreed: AgreedReleases) -> str:
    """The release that a party finds that remembers nothing; the agreement is bound already."""
    with tempfile.TemporaryDirectory() as state:
        client = Client(DirectCoordinator(enclave), PUBLISHER, roots=enclave.roots, state=Path(state))
        return client.verify(JOB, agreed).release_name


def test_attack_45_new_code_without_the_change(enclave: Enclave) -> None:
    agreed = agreed_on(root_of(enclave))
    enclave.bind(agreed)
    with pytest.raises(MeasurementMismatchError):
        verify(enclave, agreed_releases(agreed))
    assert verify(enclave, verify_changes_untrusted(agreed, [signed(change(agreed))])) == "2.0"


def test_attack_45_code_that_was_ended(enclave: Enclave) -> None:
    """The agreement still lists it, the machine is genuine and the enclave is willing: its time is over."""
    agreed = agreement(root_of(enclave), release_quorum=2)
    enclave.bind(agreed)
    assert verify(enclave, agreed_releases(agreed)) == "test"
    ending = change(agreed, added=(), ended=(ended(agreed.releases[0], NOW_S - 60),))
    with pytest.raises(ReleaseNotValidError, match="until"):
        verify(enclave, verify_changes_untrusted(agreed, [signed(ending)]))


def test_attack_45_a_file_from_before_a_change_accepts_what_it_ended(enclave: Enclave) -> None:
    """Not held: whoever is kept from the change does not know of it. What the agreement itself ends, ends."""
    agreed = agreement(root_of(enclave), release_quorum=2)
    enclave.bind(agreed)
    ending = change(agreed, added=(), ended=(ended(agreed.releases[0], NOW_S - 60),))
    after = verify_changes_untrusted(agreed, [signed(ending)])
    before, _ = read_changed_agreement_untrusted(after.encode())
    assert verify(enclave, agreed_releases(before)) == "test"


def test_attack_45_a_client_that_knew_a_change_is_given_an_older_file(
    enclave: Enclave, tmp_path: Path
) -> None:
    agreed = agreed_on(root_of(enclave))
    enclave.bind(agreed)
    client = Client(DirectCoordinator(enclave), PUBLISHER, roots=enclave.roots, state=tmp_path / "state")
    first = change(agreed)
    one = verify_changes_untrusted(agreed, [signed(first)])
    second = change(
        agreed, number=2, previous=one.head, added=(), ended=(ended(agreed.releases[0], AHEAD_S),)
    )
    two = verify_changes_untrusted(agreed, [*one.signed, signed(second)])
    for newest in (one, one, two, two):
        assert client.verify(JOB, newest).release_name == "2.0"
    for older in (agreed, one):
        with pytest.raises(ChangeOrderError, match="this client has relied on 2"):
            client.verify(JOB, older)
        with pytest.raises(ChangeOrderError, match="this client has relied on 2"):
            client.result(JOB, older, bytes(16))
    other = change(agreed, added=(newer(root_of(enclave), name="2.1"),))
    fork = replace(second, previous=other.digest())
    with pytest.raises(ForkError, match="under that number"):
        client.verify(JOB, verify_changes_untrusted(agreed, [signed(other), signed(fork)]))


def test_attack_45_a_clock_that_is_slow_and_one_that_is_fast(enclave: Enclave) -> None:
    """Of the party's clock and the time in the document the stricter counts."""
    agreed = agreement(root_of(enclave), release_quorum=2)
    enclave.bind(agreed)
    nonce = bytes(32)
    document, bundle = enclave.attest(nonce)
    (release,) = agreed.releases
    now = datetime.now(UTC)
    cases = [
        (replace(release, valid_until_s=NOW_S - 30), now - timedelta(seconds=60)),
        (replace(release, valid_until_s=NOW_S + 30), now + timedelta(seconds=60)),
    ]
    for narrowed, clock in cases:
        with pytest.raises(ReleaseNotValidError):
            verify_enclave(
                document,
                bundle,
                roots=enclave.roots,
                nonce=nonce,
                agreement_digest=agreed.digest(),
                releases=[narrowed],
                now=clock,
                max_skew=timedelta(minutes=2),
            )


def test_attack_45_receipts_of_new_code_need_the_change(enclave: Enclave, tmp_path: Path) -> None:
    agreed = agreed_on(root_of(enclave))
    enclave.bind(agreed)
    for dataset, table in (("visits", VISITS), ("purchases", PURCHASES)):
        enclave.upload(seal(agreed, enclave.keys(), dataset, [table]))
    after = verify_changes_untrusted(agreed, [signed(change(agreed))])
    client = Client(DirectCoordinator(enclave), ANALYST, roots=enclave.roots, state=tmp_path / "state")
    run = client.run(JOB, after, "totals", {"least": 0})
    result = client.result(JOB, after, run)
    assert result.receipt.release_name == "2.0"
    archived = result.receipt_bytes
    assert verify_receipt(archived, roots=enclave.roots, agreement=after).release_name == "2.0"
    for without in (agreed, None):
        with pytest.raises(MeasurementMismatchError):
            verify_receipt(archived, roots=enclave.roots, agreement=without)
    other = agreed_on(root_of(enclave), title="Another")
    elsewhere = verify_changes_untrusted(other, [signed(change(other))])
    with pytest.raises(ReceiptMismatchError):
        verify_receipt(archived, roots=enclave.roots, agreement=elsewhere)
    second = change(
        agreed,
        number=2,
        previous=after.head,
        added=(),
        ended=(ended(after.releases[1], NOW_S - 60),),
    )
    since_ended = verify_changes_untrusted(agreed, [*after.signed, signed(second)])
    with pytest.raises(ReleaseNotValidError):
        verify_receipt(archived, roots=enclave.roots, agreement=since_ended)


def test_attack_45_the_enclave_itself_ends_with_its_release(tmp_path: Path) -> None:
    """Data is in it, a hostile analyst and operator go on after its time: it does not run any more."""
    moments = [datetime.fromtimestamp(NOW_S, UTC)]

    class Moving(DocumentSigner):
        def __init__(self, root: Issuer, module_id: ModuleId) -> None:
            super().__init__(root, module_id, clock=lambda: moments[-1])

    with simulated_enclave(tmp_path, signer_class=Moving) as enclave:
        own = replace(agreement(root_of(enclave)).releases[0], valid_until_s=NOW_S + 60)
        agreed = agreement(root_of(enclave), releases=(own,))
        enclave.bind(agreed)
        for dataset, table in (("visits", VISITS), ("purchases", PURCHASES)):
            enclave.upload(seal(agreed, enclave.keys(), dataset, [table]))
        enclave.call(Op.RUN, run_request(agreed, enclave.keys()))
        moments.append(moments[0] + timedelta(seconds=60))
        with refused(Refusal.NOT_VALID_NOW):
            enclave.call(Op.RUN, run_request(agreed, enclave.keys()))
