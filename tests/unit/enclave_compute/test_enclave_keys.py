"""The keys of one life: fresh each time, and the bundle shows exactly their public halves."""

from __future__ import annotations

from enclave_compute.keys import EnclaveKeys
from protos.formats import hpke
from protos.formats.binding import KeyBundle
from tests.world import Enclave


def test_no_two_lives_share_anything(enclave: Enclave) -> None:
    made = [EnclaveKeys.make(enclave.nsm) for _ in range(4)]
    assert len({keys.enclave_id for keys in made}) == 4
    assert len({keys.opening.public_key for keys in made}) == 4
    assert len({keys.signing.private_bytes_raw() for keys in made}) == 4


def test_the_bundle_is_of_these_keys(enclave: Enclave) -> None:
    keys = EnclaveKeys.make(enclave.nsm)
    bundle = KeyBundle.decode_untrusted(keys.bundle)
    assert bundle.enclave_id == keys.enclave_id
    sealed = hpke.seal(b"for this enclave", public_key=bundle.hpke_public_key, info=b"test")
    assert keys.opening.open(sealed, info=b"test") == b"for this enclave"
    assert keys.signing.public_key().public_bytes_raw() == bundle.signing_key


def test_the_bundle_has_no_private_half(enclave: Enclave) -> None:
    keys = EnclaveKeys.make(enclave.nsm)
    assert keys.signing.private_bytes_raw() not in keys.bundle
