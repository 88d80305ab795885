"""Documents that AWS signed verify at their own signed time; those that are not right are refused by name.

The documents are not part of this repository: without `../shared/vectors/nitro` beside it these tests skip.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from party_client.attestation import (
    AllOf,
    AllowDebugUnsafe,
    AllowedMeasurements,
    AnyMeasurementUnsafe,
    AnyNonceUnsafe,
    AttestationError,
    Measurements,
    TrustedRoots,
    VerifiedAttestation,
    explain,
    verify_now,
    verify_replay,
)
from party_client.attestation.cose_sign1 import parse_cose_untrusted
from party_client.attestation.errors import (
    CertificateTimeError,
    DebugModeError,
    SignatureInvalidError,
    UntrustedRootError,
)

FOLDER = Path(__file__).parents[2] / "../shared/vectors/nitro"
ROW = re.compile(
    r"^\| `(?P<file>[^`]+\.cbor)` \| (?P<signed_at>\S+) \| (?P<expect>[^|]+) \| (?P<mode>\w+) \|", re.M
)
REFUSALS = {"sig InvalidSignature": SignatureInvalidError, "root not AWS G1": UntrustedRootError}
AWS = TrustedRoots.aws()

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="no genuine documents in ../shared/vectors/nitro")


@dataclass(frozen=True)
class Genuine:
    file: str
    signed_at: datetime
    expect: str
    mode: str

    @property
    def document(self) -> bytes:
        return (FOLDER / self.file).read_bytes()

    @property
    def policy(self) -> AllOf:
        return AllOf([AnyMeasurementUnsafe(), *([AllowDebugUnsafe()] if self.mode == "debug" else [])])


def listed() -> list[Genuine]:
    if not FOLDER.is_dir():
        return []
    rows = ROW.finditer((FOLDER / "README.md").read_text(encoding="utf-8"))
    return [
        Genuine(row["file"], datetime.fromisoformat(row["signed_at"]), row["expect"].strip(), row["mode"])
        for row in rows
    ]


LISTED = listed()
VALID = [each for each in LISTED if each.expect == "valid"]


def by_file(each: Genuine) -> str:
    return each.file


def test_the_list_is_complete() -> None:
    assert {each.file for each in LISTED} == {path.name for path in FOLDER.glob("*.cbor")}


@pytest.mark.parametrize("genuine", VALID, ids=by_file)
def test_a_genuine_document_verifies_at_its_signed_time(genuine: Genuine) -> None:
    verified = verify_replay(genuine.document, roots=AWS, policy=genuine.policy)
    assert isinstance(verified, VerifiedAttestation)
    assert verified.root.is_aws
    assert verified.how == "replay"
    assert verified.verified_at == verified.document.signed_at == genuine.signed_at
    assert verified.document.is_debug == (genuine.mode == "debug")


@pytest.mark.parametrize("genuine", VALID, ids=by_file)
def test_a_genuine_document_with_tag_18_verifies(genuine: Genuine) -> None:
    verify_replay(b"\xd2" + genuine.document, roots=AWS, policy=genuine.policy)


@pytest.mark.parametrize("genuine", [each for each in LISTED if each.expect != "valid"], ids=by_file)
def test_a_document_that_is_not_right_is_refused(genuine: Genuine) -> None:
    with pytest.raises(REFUSALS[genuine.expect]):
        verify_replay(genuine.document, roots=AWS, policy=genuine.policy)


@pytest.mark.parametrize("genuine", [each for each in VALID if each.mode == "debug"], ids=by_file)
def test_debug_mode_is_refused_unless_asked_for(genuine: Genuine) -> None:
    with pytest.raises(DebugModeError):
        verify_replay(genuine.document, roots=AWS, policy=AnyMeasurementUnsafe())


@pytest.mark.parametrize("genuine", [each for each in VALID if each.mode == "production"], ids=by_file)
def test_a_production_document_fits_its_own_measurements(genuine: Genuine) -> None:
    seen = verify_replay(genuine.document, roots=AWS, policy=AnyMeasurementUnsafe()).measurements
    verify_replay(genuine.document, roots=AWS, policy=AllowedMeasurements([Measurements(*seen)]))


@pytest.mark.parametrize("genuine", VALID, ids=by_file)
def test_nothing_of_it_can_be_changed(genuine: Genuine) -> None:
    document = genuine.document
    for position in range(0, len(document), 97):
        changed = document[:position] + bytes([document[position] ^ 0x20]) + document[position + 1 :]
        with pytest.raises(AttestationError):
            verify_replay(changed, roots=AWS, policy=AllOf([AnyMeasurementUnsafe(), AllowDebugUnsafe()]))


@pytest.mark.parametrize("genuine", VALID, ids=by_file)
def test_it_verifies_live_while_it_is_young_and_not_later(genuine: Genuine) -> None:
    def verify(now: datetime, max_age: timedelta) -> VerifiedAttestation:
        return verify_now(
            genuine.document,
            roots=AWS,
            nonce=AnyNonceUnsafe(),
            policy=genuine.policy,
            now=now,
            max_age=max_age,
        )

    assert verify(genuine.signed_at + timedelta(minutes=5), timedelta(minutes=5)).how == "live"
    with pytest.raises(CertificateTimeError):
        verify(genuine.signed_at + timedelta(hours=4), timedelta(hours=5))


@pytest.mark.parametrize("genuine", LISTED, ids=by_file)
def test_the_envelope_and_the_explanation_read_it(genuine: Genuine) -> None:
    cose = parse_cose_untrusted(genuine.document)
    assert cose.payload in genuine.document
    facts = explain(genuine.document).to_dict()
    assert facts["format"] == {"well_formed": True}
    assert datetime.fromisoformat(facts["signed_at"]) == genuine.signed_at
    assert facts["debug_mode"] == (genuine.mode == "debug")
