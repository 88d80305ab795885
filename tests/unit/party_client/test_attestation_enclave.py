"""Whether it is the enclave of this agreement, with the keys that it named itself."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from party_client.attestation import TrustedRoots, VerifiedEnclave, verify_enclave
from party_client.attestation.errors import (
    AgreementMismatchError,
    BindingMismatchError,
    MeasurementMismatchError,
    NonceMismatchError,
    PolicyError,
    RootNotAllowedError,
    StaleDocumentError,
)
from protos.formats import hpke
from protos.formats.binding import KeyBundle, attestation_user_data, receipt_user_data
from protos.formats.participants import Release
from tests.conformance.nitro.pki import make_chain
from tests.conformance.nitro.signing import AT, document, pcr, pcr_bank

CHAIN = make_chain(AT)
ROOTS = TrustedRoots.from_pem(CHAIN.root.pem, name="test")
NONCE = bytes(range(32))
AGREEMENT = hashlib.sha384(b"an agreement").digest()
BUNDLE = KeyBundle(
    enclave_id=bytes(range(16)), hpke_public_key=bytes(hpke.PUBLIC_KEY_BYTES), signing_key=bytes(range(32))
)


RELEASE = Release("1.0", pcr("code 0"), pcr("code 1"), pcr("code 2"), next(iter(ROOTS)).sha256)


def attested(agreement: bytes = AGREEMENT, **changes: Any) -> bytes:
    usual: dict[str, Any] = {
        "pcrs": pcr_bank(pcr16=hashlib.sha384(bytes(48) + agreement).digest()),
        "user_data": attestation_user_data(agreement, BUNDLE.encode(), BUNDLE.enclave_id),
        "nonce": NONCE,
    }
    return document(CHAIN, AT, **(usual | changes))


def verify(data: bytes, bundle: bytes = BUNDLE.encode(), **changes: Any) -> VerifiedEnclave:
    usual: dict[str, Any] = {
        "roots": ROOTS,
        "nonce": NONCE,
        "agreement_digest": AGREEMENT,
        "releases": [RELEASE],
        "now": AT,
    }
    return verify_enclave(data, bundle, **(usual | changes))


def test_the_agreed_enclave_is_verified_with_its_own_keys() -> None:
    enclave = verify(attested())
    assert enclave.keys == BUNDLE
    assert (enclave.release_name, enclave.agreement_digest) == ("1.0", AGREEMENT)
    assert (enclave.attestation.how, enclave.attestation.nonce_compared) == ("live", True)


def test_the_release_is_named_that_was_measured() -> None:
    newer = replace(RELEASE, name="2.0", pcr0=pcr("newer"))
    assert verify(attested(), releases=[newer, RELEASE]).release_name == "1.0"


def test_other_keys_are_refused() -> None:
    substituted = replace(BUNDLE, hpke_public_key=bytes([1]) * hpke.PUBLIC_KEY_BYTES)
    with pytest.raises(BindingMismatchError):
        verify(attested(), substituted.encode())


def test_another_enclave_life_is_refused() -> None:
    with pytest.raises(BindingMismatchError):
        verify(attested(), replace(BUNDLE, enclave_id=bytes(16)).encode())


@pytest.mark.parametrize("bundle", [b"", b"\xa0", BUNDLE.encode() + b"\x00"], ids=len)
def test_a_bundle_that_is_none_is_refused(bundle: bytes) -> None:
    with pytest.raises(BindingMismatchError, match="key bundle"):
        verify(attested(), bundle)


def test_another_agreement_is_refused() -> None:
    with pytest.raises(AgreementMismatchError):
        verify(attested(agreement=bytes(48)))


def test_an_agreement_only_in_user_data_is_refused() -> None:
    elsewhere = hashlib.sha384(bytes(48) + bytes(48)).digest()
    with pytest.raises(AgreementMismatchError):
        verify(attested(pcrs=pcr_bank(pcr16=elsewhere)))


def test_an_agreement_only_in_pcr16_is_refused() -> None:
    user_data = attestation_user_data(bytes(48), BUNDLE.encode(), BUNDLE.enclave_id)
    with pytest.raises(BindingMismatchError):
        verify(attested(user_data=user_data))


def test_a_document_for_a_receipt_is_not_one_for_a_party() -> None:
    with pytest.raises(BindingMismatchError):
        verify(attested(user_data=receipt_user_data(BUNDLE.encode())))


def test_other_code_is_refused() -> None:
    with pytest.raises(MeasurementMismatchError):
        verify(attested(), releases=[replace(RELEASE, pcr1=pcr("other"))])


def test_the_same_code_under_another_root_is_refused() -> None:
    with pytest.raises(RootNotAllowedError):
        verify(attested(), releases=[replace(RELEASE, root_sha256=next(iter(TrustedRoots.aws())).sha256)])


def test_an_agreement_without_releases_allows_nothing() -> None:
    with pytest.raises(PolicyError):
        verify(attested(), releases=[])


def test_freshness_is_required_as_well() -> None:
    with pytest.raises(NonceMismatchError):
        verify(attested(), nonce=bytes(32))
    with pytest.raises(StaleDocumentError):
        verify(attested(), now=AT + timedelta(minutes=6))
    verify(attested(), now=AT + timedelta(minutes=6), max_age=timedelta(minutes=7))
    verify(attested(), now=AT - timedelta(minutes=1), max_skew=timedelta(minutes=1))


def test_only_the_verifier_makes_verified_enclaves() -> None:
    enclave = verify(attested())
    values = {each.name: getattr(enclave, each.name) for each in dataclasses.fields(enclave)}
    with pytest.raises(TypeError, match="verify_enclave"):
        VerifiedEnclave(**values, mint=object())
    with pytest.raises(ValueError, match="mint"):
        dataclasses.replace(enclave, keys=BUNDLE)  # type: ignore[call-arg]
