"""The keys of a ring: made of their secrets alone, each algorithm the standard one, nothing shown of them."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Callable, Iterator

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from enclave_compute.errors import RefusedError
from enclave_compute.key_ring.ring import KeyRing
from enclave_compute.key_ring.secrets import RingSecrets
from protos.formats.agreement import Agreement
from protos.formats.canonical import encode
from protos.formats.key_ring import TOKEN_BYTES, VALUES_IN_USE_MAX
from tests import key_world
from tests.key_world import KEYS, RSA_KEYS, TOKENS, identifiers
from tests.world import Enclave

SEED = bytes(range(32))
MESSAGE = b"what is to be signed"
REQUEST = bytes(48)
SHA256, SHA384 = hashes.SHA256(), hashes.SHA384()
PSS = padding.PSS(padding.MGF1(SHA256), 32)
OAEP = padding.OAEP(padding.MGF1(SHA256), SHA256, None)


@pytest.fixture(scope="module")
def agreed() -> Agreement:
    return key_world.agreement(bytes(32), (*KEYS, *RSA_KEYS))


@pytest.fixture(scope="module")
def rsa_keys() -> dict[str, bytes]:
    return {
        key.id: rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        for key in RSA_KEYS
    }


@pytest.fixture
def ring(agreed: Agreement, rsa_keys: dict[str, bytes]) -> KeyRing:
    return KeyRing(agreed, RingSecrets(SEED, rsa_keys))


def made(ring: KeyRing, agreed: Agreement, key_id: str, use: str, content: bytes) -> bytes:
    output = ring.output(agreed.key(key_id), use, content, request_digest=REQUEST).content
    assert output is not None
    return output


def derived(agreed: Agreement, key_id: str, length: int) -> bytes:
    """As `protos/README.md` says."""
    kind = agreed.key(key_id).kind
    info = encode(["concordat/ring-key/v1", agreed.digest(), key_id, kind])
    return HKDF(hashes.SHA384(), length, salt=None, info=info).derive(SEED)


def public(ring: KeyRing, key_id: str) -> object:
    halves = {half.key: half.spki for half in ring.public_halves()}
    return serialization.load_der_public_key(halves[key_id])


def verify_edwards(key: object, signature: bytes, message: bytes) -> None:
    assert isinstance(key, Ed25519PublicKey)
    key.verify(signature, message)


def verify_ecdsa(key: object, signature: bytes, message: bytes) -> None:
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(signature, message, ec.ECDSA(SHA256 if key.curve.name == "secp256r1" else SHA384))


def verify_rsa(key: object, signature: bytes, message: bytes) -> None:
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(signature, message, PSS, SHA256)


SIGNING: dict[str, Callable[[object, bytes, bytes], None]] = {
    "p256": verify_ecdsa,
    "p384": verify_ecdsa,
    "edwards": verify_edwards,
    "rsa_sign": verify_rsa,
}


@pytest.mark.parametrize("key_id", SIGNING)
def test_signatures_verify_with_the_public_half_and_over_nothing_else(
    ring: KeyRing, agreed: Agreement, key_id: str
) -> None:
    signature = made(ring, agreed, key_id, "sign", MESSAGE)
    SIGNING[key_id](public(ring, key_id), signature, MESSAGE)
    with pytest.raises(InvalidSignature):
        SIGNING[key_id](public(ring, key_id), signature, MESSAGE + b".")


def test_curves_are_the_agreed_ones(ring: KeyRing) -> None:
    keys = [public(ring, name) for name in ("p256", "p384")]
    curves = [key.curve.name for key in keys if isinstance(key, ec.EllipticCurvePublicKey)]
    assert curves == ["secp256r1", "secp384r1"]


P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P384_ORDER = (
    0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
)


@pytest.mark.parametrize(
    ("key_id", "curve", "order", "length"),
    [("p256", ec.SECP256R1(), P256_ORDER, 40), ("p384", ec.SECP384R1(), P384_ORDER, 56)],
)
def test_scalars_follow_from_the_seed(
    ring: KeyRing, agreed: Agreement, *, key_id: str, curve: ec.EllipticCurve, order: int, length: int
) -> None:
    """FIPS 186-5, A.2.1: c mod (n - 1) + 1."""
    scalar = int.from_bytes(derived(agreed, key_id, length), "big") % (order - 1) + 1
    assert public(ring, key_id) == ec.derive_private_key(scalar, curve).public_key()


def test_the_edwards_key_is_the_derived_one(ring: KeyRing, agreed: Agreement) -> None:
    key = Ed25519PrivateKey.from_private_bytes(derived(agreed, "edwards", 32))
    assert public(ring, "edwards") == key.public_key()


def test_only_what_was_encrypted_to_the_public_half_decrypts(ring: KeyRing, agreed: Agreement) -> None:
    key = public(ring, "rsa_open")
    assert isinstance(key, rsa.RSAPublicKey)
    assert made(ring, agreed, "rsa_open", "decrypt", key.encrypt(MESSAGE, OAEP)) == MESSAGE


def test_aes_gcm_opens_with_the_derived_key(ring: KeyRing, agreed: Agreement) -> None:
    sealed = made(ring, agreed, "vault", "encrypt", MESSAGE)
    key, nonce_key = derived(agreed, "vault", 64)[:32], derived(agreed, "vault", 64)[32:]
    assert sealed[:12] == hmac.digest(nonce_key, REQUEST, "sha256")[:12]
    assert AESGCM(key).decrypt(sealed[:12], sealed[12:], None) == MESSAGE
    assert made(ring, agreed, "vault", "decrypt", sealed) == MESSAGE


def test_another_request_has_another_nonce(ring: KeyRing, agreed: Agreement) -> None:
    key = agreed.key("vault")
    sealed = {
        ring.output(key, "encrypt", MESSAGE, request_digest=bytes([number]) * 48).content
        for number in range(50)
    }
    assert len({one[:12] for one in sealed if one}) == 50


def test_what_does_not_decrypt_is_one_and_the_same_nothing(ring: KeyRing, agreed: Agreement) -> None:
    good = made(ring, agreed, "vault", "encrypt", MESSAGE)
    other = made(ring, agreed, "one_way", "encrypt", MESSAGE)
    for damaged in (b"", b"a", good[:-1], good[:12], bytes(len(good)), other):
        assert ring.output(agreed.key("vault"), "decrypt", damaged, request_digest=REQUEST).content is None
    for damaged in (b"", b"a", bytes(256), b"\xff" * 256, bytes(255), bytes(257)):
        assert ring.output(agreed.key("rsa_open"), "decrypt", damaged, request_digest=REQUEST).content is None


def test_codes_are_hmac_sha_256(ring: KeyRing, agreed: Agreement) -> None:
    expected = hmac.digest(derived(agreed, "codes", 32), MESSAGE, "sha256")
    assert made(ring, agreed, "codes", "hmac", MESSAGE) == expected


def test_tokens_are_hmac_sha_256_of_what_is_normalised(ring: KeyRing, agreed: Agreement) -> None:
    texts = (" Ann@X.org\n", "ann@x.org", "JO\u0308@x.org", "j\u00f6@x.org", " ", "bob@x.org")
    got = made(ring, agreed, "tokens", "tokenise", identifiers(*texts))
    tokens = [got[start : start + TOKEN_BYTES] for start in range(0, len(got), TOKEN_BYTES)]

    def token(text: str) -> bytes:
        normal = unicodedata.normalize("NFC", text).strip().lower()
        return hmac.digest(derived(agreed, "tokens", 32), normal.encode(), "sha256")[:16]

    assert tokens == [*(token(text) for text in texts[:4]), bytes(16), token(texts[5])]
    assert tokens[0] == tokens[1]
    assert tokens[2] == tokens[3]


def test_tokens_come_in_the_order_of_their_identifiers(ring: KeyRing, agreed: Agreement) -> None:
    texts = [f"person{number}@example.org" for number in range(VALUES_IN_USE_MAX // 2)]
    got = made(ring, agreed, "tokens", "tokenise", identifiers(*texts))
    key = derived(agreed, "tokens", 32)
    assert got == b"".join(hmac.digest(key, text.encode(), "sha256")[:16] for text in texts)


def test_too_many_identifiers_in_one_use_are_refused(ring: KeyRing, agreed: Agreement) -> None:
    for content in (identifiers(), identifiers(*["a"] * (VALUES_IN_USE_MAX + 1))):
        with pytest.raises(RefusedError, match="over-limit"):
            ring.output(TOKENS, "tokenise", content, request_digest=REQUEST)


def test_identifiers_that_are_no_text_are_refused_without_a_word_of_them(
    ring: KeyRing, agreed: Agreement
) -> None:
    content = identifiers("zürich").replace("ü".encode(), b"\xff\xfe")
    with pytest.raises(RefusedError) as caught:
        ring.output(agreed.key("tokens"), "tokenise", content, request_digest=REQUEST)
    assert "rich" not in str(caught.value)


def test_the_same_secrets_give_the_same_keys_and_other_secrets_others(
    agreed: Agreement, rsa_keys: dict[str, bytes], ring: KeyRing
) -> None:
    again = KeyRing(agreed, RingSecrets(SEED, rsa_keys))
    assert again.public_halves() == ring.public_halves()
    other = KeyRing(agreed, RingSecrets(SEED[::-1], rsa_keys))
    ours = {half.key: half.spki for half in ring.public_halves()}
    theirs = {half.key: half.spki for half in other.public_halves()}
    assert {key for key in ours if ours[key] == theirs[key]} == {key.id for key in RSA_KEYS}


def test_another_agreement_has_other_keys_from_the_same_seed(agreed: Agreement, ring: KeyRing) -> None:
    edwards = (agreed.key("edwards"),)
    one = KeyRing(key_world.agreement(bytes(32), edwards), RingSecrets(SEED, {}))
    two = KeyRing(key_world.agreement(bytes(32), edwards, title="Another"), RingSecrets(SEED, {}))
    assert len({half.spki for ring_ in (one, two, ring) for half in ring_.public_halves()[-1:]}) == 3


@pytest.fixture
def fresh(enclave: Enclave) -> Iterator[RingSecrets]:
    yield RingSecrets.make(enclave.nsm, RSA_KEYS)


def test_secrets_are_fresh_and_show_nothing(enclave: Enclave, fresh: RingSecrets) -> None:
    assert RingSecrets.make(enclave.nsm, ()).seed != fresh.seed
    assert repr(fresh) == "RingSecrets()"
    assert fresh.rsa_keys.keys() == {"rsa_sign", "rsa_open"}
    assert fresh.rsa_key(RSA_KEYS[0]).key_size == 2048


def test_an_rsa_key_of_another_size_is_not_taken(rsa_keys: dict[str, bytes]) -> None:
    larger = key_world.key("rsa_sign", "rsa-3072", "sign")
    with pytest.raises(ValueError, match="not the RSA key that was agreed"):
        RingSecrets(SEED, rsa_keys).rsa_key(larger)


def test_digests_of_the_public_halves_do_not_repeat(ring: KeyRing) -> None:
    halves = [hashlib.sha256(half.spki).digest() for half in ring.public_halves()]
    assert len(set(halves)) == len(halves) == 6
