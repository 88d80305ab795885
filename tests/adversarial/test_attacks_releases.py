"""Attacks on which code is accepted: changes that too few signed, old ones, widened ones, code past its time.

Row 45. The enclaves are real code under a simulated machine; every attack is tried with well-made bytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from party_client.attestation import verify_enclave
from party_client.attestation.errors import MeasurementMismatchError, ReleaseNotValidError
from party_client.client import Client
from party_client.identity import Identity
from party_client.receipts import ReceiptMismatchError, verify_receipt
from protos.formats.agreement import Agreement
from protos.formats.calls import Op, Refusal
from protos.formats.errors import ConcordatError, FormatError, SignatureError
from protos.formats.participants import UNSIGNED_EMULATOR_SHA256, Release
from protos.release.change import EndedRelease, ReleaseChange, sign_change
from protos.release.errors import (
    ChangeOrderError,
    ChangesNotAgreedError,
    ForkError,
    OtherAgreementError,
    QuorumError,
    WideningError,
)
from protos.release.history import (
    AgreedReleases,
    SignedChange,
    agreed_releases,
    read_changed_agreement_untrusted,
    verify_changes_untrusted,
)
from scenarios.machine.documents import DocumentSigner, ModuleId
from scenarios.machine.pki import Issuer
from tests.enclave_fixtures import refused
from tests.unit.party_client.direct_coordinator import JOB, DirectCoordinator
from tests.world import (
    ADVERTISER,
    ANALYST,
    PCRS,
    PUBLISHER,
    PURCHASES,
    STRANGER,
    VALID_FROM_S,
    VALID_UNTIL_S,
    VISITS,
    Enclave,
    agreement,
    approve,
    run_request,
    seal,
    simulated_enclave,
)

OLD = Release("1.0", b"\x07" * 48, b"\x08" * 48, b"\x09" * 48, b"\x01" * 32)
NOW_S = int(datetime.now(UTC).timestamp())
AHEAD_S = NOW_S + 86_400
ROOT = bytes([1]) * 32


def agreed_on(root_sha256: bytes = ROOT, **changes: Any) -> Agreement:
    """The world's agreement on an older release, that both parties together may change."""
    releases = (replace(OLD, root_sha256=root_sha256),)
    return agreement(root_sha256, **{"releases": releases, "release_quorum": 2, **changes})


def newer(root_sha256: bytes = ROOT, **changes: Any) -> Release:
    """The world's own code as the release to move to."""
    pcr0, pcr1, pcr2 = PCRS[:3]
    base = Release("2.0", pcr0, pcr1, pcr2, root_sha256, VALID_FROM_S, VALID_UNTIL_S)
    return replace(base, **changes)


def change(agreed: Agreement, **fields: Any) -> ReleaseChange:
    usual: dict[str, Any] = {
        "agreement_digest": agreed.digest(),
        "number": 1,
        "previous": bytes(48),
        "added": (newer(agreed.releases[0].root_sha256),),
        "ended": (),
    }
    return ReleaseChange(**(usual | fields))


def signed(what: ReleaseChange, *who: Identity) -> SignedChange:
    return SignedChange(
        what.encode(),
        tuple(
            sign_change(what.digest(), party=each.id, key=each.signing_key, signed_at_s=NOW_S)
            for each in who or (PUBLISHER, ADVERTISER)
        ),
    )


def ended(release: Release, until_s: int) -> EndedRelease:
    return EndedRelease(release.pcr0, release.root_sha256, until_s)


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


# --- who may change ----------------------------------------------------------------------------------------


def test_attack_45_a_change_that_too_few_parties_signed() -> None:
    agreed = agreed_on()
    assert verify_changes_untrusted(agreed, [signed(change(agreed))]).releases[1].name == "2.0"
    with pytest.raises(QuorumError, match=r"got 1 of 2 parties \(publisher\), expected 2"):
        verify_changes_untrusted(agreed, [signed(change(agreed), PUBLISHER)])


def test_attack_45_a_change_that_nobody_signed() -> None:
    agreed = agreed_on()
    for quorum in (1, 2):
        one = replace(agreed, release_quorum=quorum)
        with pytest.raises(QuorumError, match="nobody"):
            verify_changes_untrusted(one, [SignedChange(change(one).encode(), ())])


def test_attack_45_one_party_signs_for_two() -> None:
    agreed = agreed_on()
    with pytest.raises(SignatureError, match="publisher signed twice"):
        verify_changes_untrusted(agreed, [signed(change(agreed), PUBLISHER, PUBLISHER)])
    as_other = sign_change(
        change(agreed).digest(), party="advertiser", key=PUBLISHER.signing_key, signed_at_s=NOW_S
    )
    mine = signed(change(agreed), PUBLISHER).approvals
    with pytest.raises(SignatureError, match="the key is publisher's"):
        verify_changes_untrusted(agreed, [SignedChange(change(agreed).encode(), (*mine, as_other))])


def test_attack_45_a_change_that_a_stranger_signed() -> None:
    agreed = agreed_on()
    with pytest.raises(SignatureError, match="no party of this agreement"):
        verify_changes_untrusted(agreed, [signed(change(agreed), PUBLISHER, STRANGER)])


def test_attack_45_an_analyst_is_no_party() -> None:
    agreed = agreed_on()
    with pytest.raises(SignatureError, match="no party of this agreement"):
        verify_changes_untrusted(agreed, [signed(change(agreed), PUBLISHER, ANALYST)])


def test_attack_45_a_change_of_an_agreement_that_allows_none() -> None:
    agreed = agreed_on(release_quorum=None)
    with pytest.raises(ChangesNotAgreedError):
        verify_changes_untrusted(agreed, [signed(change(agreed))])


def test_attack_45_an_approval_of_the_agreement_is_no_word_on_a_change() -> None:
    agreed = agreed_on()
    with pytest.raises(SignatureError, match="another kind of message"):
        verify_changes_untrusted(agreed, [SignedChange(change(agreed).encode(), tuple(approve(agreed)))])


# --- in which order ----------------------------------------------------------------------------------------


def test_attack_45_a_change_of_another_agreement() -> None:
    agreed, other = agreed_on(), agreed_on(title="Another")
    with pytest.raises(OtherAgreementError):
        verify_changes_untrusted(agreed, [signed(change(other))])


def test_attack_45_an_old_change_is_replayed() -> None:
    """It added a release that a second change ended; it comes once more, and alone after the second."""
    agreed = agreed_on()
    first = change(agreed)
    second = change(
        agreed, number=2, previous=first.digest(), added=(), ended=(ended(first.added[0], AHEAD_S),)
    )
    after = verify_changes_untrusted(agreed, [signed(first), signed(second)])
    assert after.releases[1].valid_until_s == AHEAD_S
    with pytest.raises(ChangeOrderError, match="got release change 1 after 2 others"):
        verify_changes_untrusted(agreed, [signed(first), signed(second), signed(first)])
    with pytest.raises(ChangeOrderError, match="got release change 2 after 0 others"):
        verify_changes_untrusted(agreed, [signed(second)])


def test_attack_45_two_histories_are_a_fork_and_its_signers_are_named() -> None:
    agreed = agreed_on()
    one, other = change(agreed), change(agreed, added=(newer(name="2.1", pcr0=bytes([5]) * 48),))
    with pytest.raises(ForkError, match="publisher") as caught:
        verify_changes_untrusted(agreed, [signed(one), signed(other)])
    for digest in (one.digest(), other.digest()):
        assert digest.hex()[:16] in caught.value.message
    on_other = change(
        agreed, number=2, previous=other.digest(), added=(), ended=(ended(one.added[0], AHEAD_S),)
    )
    with pytest.raises(ForkError, match="follows"):
        verify_changes_untrusted(agreed, [signed(one), signed(on_other)])


# --- how far -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "release",
    [
        newer(bytes([2]) * 32),
        newer(UNSIGNED_EMULATOR_SHA256),
        newer(valid_until_s=VALID_UNTIL_S + 1),
        newer(valid_from_s=VALID_FROM_S - 1),
        replace(OLD, valid_from_s=VALID_FROM_S, valid_until_s=VALID_UNTIL_S),
    ],
    ids=["another root", "the emulator", "after the agreement", "before the agreement", "the old one again"],
)
def test_attack_45_everybody_signs_more_than_a_change_may_do(release: Release) -> None:
    agreed = agreed_on()
    with pytest.raises(WideningError):
        verify_changes_untrusted(agreed, [signed(change(agreed, added=(release,)))])


def test_attack_45_a_change_that_gives_an_old_release_a_longer_life() -> None:
    agreed = agreed_on(releases=(replace(OLD, valid_until_s=AHEAD_S),))
    for until_s in (AHEAD_S, AHEAD_S + 1, VALID_UNTIL_S):
        longer = change(agreed, added=(), ended=(ended(OLD, until_s),))
        with pytest.raises(WideningError, match="expected an earlier end"):
            verify_changes_untrusted(agreed, [signed(longer)])
    first = change(agreed, added=(), ended=(ended(OLD, NOW_S),))
    again = change(agreed, number=2, previous=first.digest(), added=(), ended=(ended(OLD, NOW_S + 1),))
    with pytest.raises(WideningError):
        verify_changes_untrusted(agreed, [signed(first), signed(again)])


def test_attack_45_a_debug_mode_enclave_cannot_be_added() -> None:
    with pytest.raises(FormatError, match="pcr0 is all zero"):
        newer(pcr0=bytes(48))
    encoded = change(agreed_on()).encode().replace(PCRS[0], bytes(48))
    with pytest.raises(FormatError, match="pcr0 is all zero"):
        ReleaseChange.decode_untrusted(encoded)


def test_attack_45_a_change_says_nothing_but_releases() -> None:
    """Not one key beside those of releases has a place in it, so no query, party or rule can ride along."""
    agreed = agreed_on()
    after = verify_changes_untrusted(agreed, [signed(change(agreed))])
    assert after.agreement is agreed
    assert set(vars(change(agreed))) == {"agreement_digest", "number", "previous", "added", "ended"}


# --- with enclaves -----------------------------------------------------------------------------------------


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


def test_errors_of_changes_tell_what_to_do_next() -> None:
    agreed = agreed_on()
    with pytest.raises(ConcordatError) as caught:
        verify_changes_untrusted(agreed, [signed(change(agreed), PUBLISHER)])
    assert "release-change sign" in (caught.value.hint or "")
