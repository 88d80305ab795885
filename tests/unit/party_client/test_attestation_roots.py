"""Which roots are trusted: the pinned one of AWS, others by name, never none."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from party_client.attestation import TrustedRoot, TrustedRoots
from party_client.attestation.errors import NoTrustedRootsError, RootFileError
from party_client.attestation.roots import require_pinned
from tests.conformance.nitro.pki import make_chain, profiles
from tests.conformance.nitro.signing import AT

CHAIN = make_chain(AT)
PUBLISHED = "64:1A:03:21:A3:E2:44:EF:E4:56:46:31:95:D6:06:31:7E:D7:CD:CC:3C:17:56:E0:98:93:F3:C6:8F:79:BB:5B"


def test_the_aws_root_is_the_one_that_aws_publishes() -> None:
    (root,) = TrustedRoots.aws()
    der = root.certificate.public_bytes(Encoding.DER)
    assert hashlib.sha256(der).digest() == bytes.fromhex(PUBLISHED.replace(":", ""))
    assert (root.name, root.is_aws, root.is_simulated) == ("aws", True, False)
    assert root.certificate.subject.rfc4514_string() == "CN=aws.nitro-enclaves,OU=AWS,O=Amazon,C=US"


def test_a_replaced_root_file_is_noticed() -> None:
    (root,) = TrustedRoots.from_pem(CHAIN.root.pem, name="aws")
    with pytest.raises(RootFileError, match="expected 641a0321"):
        require_pinned(root, bytes.fromhex(PUBLISHED.replace(":", "")))


def test_a_name_does_not_make_a_root_aws() -> None:
    (root,) = TrustedRoots.from_pem(CHAIN.root.pem, name="aws")
    assert not root.is_aws


def test_no_roots_at_all_is_an_error() -> None:
    with pytest.raises(NoTrustedRootsError):
        TrustedRoots(())


def test_a_simulated_root_says_so_of_itself() -> None:
    name = "simulated.nitro-enclaves"
    simulated = make_chain(AT, root={"common_name": name}).root.certificate
    assert TrustedRoot("any", simulated).is_simulated
    assert not TrustedRoot("simulated", CHAIN.root.certificate).is_simulated
    assert profiles()["root"].common_name != name


@pytest.mark.parametrize(
    "pem",
    [b"", b"no certificate", CHAIN.root.pem[:-40], CHAIN.root.der, CHAIN.root.pem + CHAIN.region.pem],
    ids=len,
)
def test_a_root_file_is_exactly_one_certificate(pem: bytes) -> None:
    with pytest.raises(RootFileError):
        TrustedRoots.from_pem(pem, name="test")


def test_sets_of_roots_are_joined_by_name() -> None:
    test = TrustedRoots.from_pem(CHAIN.root.pem, name="test")
    both = TrustedRoots.aws() | test
    assert [root.name for root in both] == ["aws", "test"]
    assert (both | test).roots == both.roots
    other = TrustedRoots.from_pem(make_chain(AT, root={"key_label": "other"}).root.pem, name="test")
    with pytest.raises(RootFileError, match="same name"):
        test | other


def test_the_root_that_a_chain_ended_at_is_found_among_ours() -> None:
    both = TrustedRoots.aws() | TrustedRoots.from_pem(CHAIN.root.pem, name="test")
    assert both.holding(CHAIN.root.certificate).name == "test"
    with pytest.raises(KeyError):
        both.holding(CHAIN.region.certificate)
