"""CiphertextForRecipient opens in the forms that KMS writes; the rest is refused, and mostly alike."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from hypothesis import given
from hypothesis import strategies as st

from enclave_compute.errors import RefusedError
from enclave_compute.kms.enveloped import Enveloped, open_enveloped, parse_enveloped_untrusted
from enclave_compute.kms.recipient import Recipient
from protos.formats import limits
from scenarios.kms import recipient as kms_recipient
from scenarios.kms.enveloped import assemble, envelop

FOLDER = Path(__file__).parents[3] / "../shared/vectors/kms-cms"
DATA_KEY = bytes(range(32))


@cache
def recipient() -> Recipient:
    return Recipient.make()


def sealed(plaintext: bytes = DATA_KEY, whom: Recipient | None = None) -> bytes:
    """As the SIMULATED KMS writes it."""
    whom = whom or recipient()
    return envelop(plaintext, kms_recipient.Recipient(whom.private_key.public_key(), whom.public_key, {}))


def message(**changes: Any) -> bytes:
    """A good message with one part changed."""
    parts = vars(parse_enveloped_untrusted(sealed()))
    return assemble(**{**parts, **changes})


def refusal(data: bytes) -> str:
    with pytest.raises(RefusedError, match=r"^kms-failed: CiphertextForRecipient: ") as found:
        open_enveloped(data, recipient())
    return str(found.value).removeprefix("kms-failed: CiphertextForRecipient: ")


@pytest.mark.parametrize("size", [0, 1, 15, 16, 31, 32, 33, 120, 999, 1000, 1001, 3000, 4096])
def test_contents_of_any_size_open(size: int) -> None:
    plaintext = os.urandom(size)
    assert open_enveloped(sealed(plaintext), recipient()) == plaintext


def test_the_definite_form_opens() -> None:
    """What asn1crypto writes, which knows no indefinite lengths; as LocalStack and OpenSSL would."""
    content = cms.ContentInfo.load(sealed())
    definite = content.dump(force=True)
    assert b"\x30\x80" not in definite
    assert open_enveloped(definite, recipient()) == DATA_KEY


def test_every_piece_has_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scenarios.kms.enveloped._SEGMENT_BYTES", 1)
    plaintext = os.urandom(100)
    assert open_enveloped(sealed(plaintext), recipient()) == plaintext


@pytest.mark.skipif(not FOLDER.is_dir(), reason="no messages in ../shared/vectors/kms-cms")
@pytest.mark.parametrize("variant", ["", "_w_ctx"], ids=["octet strings", "context-specific"])
def test_messages_of_aws_are_read(variant: str) -> None:
    found = parse_enveloped_untrusted((FOLDER / f"aws-sdk-c-input_ber{variant}.bin").read_bytes())
    expected = [
        (FOLDER / f"aws-sdk-c-{name}{variant}.bin").read_bytes()
        for name in ("encrypted_key_out", "iv_out", "ciphertext_out")
    ]
    assert [found.encrypted_key, found.iv, found.ciphertext] == expected
    assert len(found.key_identifier) == 32


def test_a_key_of_this_life_is_its_own() -> None:
    other = Recipient.make()
    assert other.public_key != recipient().public_key
    assert other.identifier == hashlib.sha256(other.public_key).digest()
    assert other.private_key.key_size == 2048
    assert refusal(sealed(whom=other)) == "for another key than this enclave's"


# --- one failure ------------------------------------------------------------------------------------------


def oaep(algorithm: hashes.HashAlgorithm, mask: hashes.HashAlgorithm, key: bytes) -> bytes:
    return recipient().private_key.public_key().encrypt(key, OAEP(MGF1(mask), algorithm, None))


def cbc(plaintext: bytes, key: bytes, iv: bytes = bytes(16)) -> bytes:
    encryptor = Cipher(AES256(key), CBC(iv)).encryptor()
    return encryptor.update(plaintext) + encryptor.finalize()


SHA256 = hashes.SHA256()
KEY = bytes(range(32))
GOOD_CIPHERTEXT = cbc(DATA_KEY + b"\x10" * 16, KEY)
UNOPENED: dict[str, Callable[[], dict[str, Any]]] = {
    "a flipped bit in the key": lambda: {"encrypted_key": bytes(255) + b"\x01"},
    "a number above the modulus": lambda: {"encrypted_key": b"\xff" * 256},
    "OAEP with SHA-512": lambda: {"encrypted_key": oaep(hashes.SHA512(), hashes.SHA512(), KEY)},
    "MGF1 with SHA-512": lambda: {"encrypted_key": oaep(SHA256, hashes.SHA512(), KEY)},
    "a key of 16 bytes": lambda: {"encrypted_key": oaep(SHA256, SHA256, KEY[:16])},
    "a key of 33 bytes": lambda: {"encrypted_key": oaep(SHA256, SHA256, KEY + b"x")},
    "no key": lambda: {"encrypted_key": oaep(SHA256, SHA256, b"")},
    "another key": lambda: {"encrypted_key": oaep(SHA256, SHA256, bytes(32))},
    "padding of 0": lambda: {"ciphertext": cbc(DATA_KEY[:15] + b"\x00", KEY)},
    "padding of 17": lambda: {"ciphertext": cbc(bytes(15) + b"\x11", KEY)},
    "padding that differs": lambda: {"ciphertext": cbc(bytes(13) + b"\x04\x03\x03", KEY)},
}


@pytest.mark.parametrize("what", UNOPENED)
def test_from_the_rsa_step_on_all_failures_are_one(what: str) -> None:
    parts = {"encrypted_key": oaep(SHA256, SHA256, KEY), "iv": bytes(16), "ciphertext": GOOD_CIPHERTEXT}
    assert open_enveloped(message(**parts), recipient()) == DATA_KEY
    assert refusal(message(**{**parts, **UNOPENED[what]()})) == "does not open"


# --- forms ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"encrypted_key": bytes(255)},
        {"encrypted_key": bytes(257)},
        {"encrypted_key": b""},
        {"iv": bytes(15)},
        {"iv": bytes(17)},
        {"iv": b""},
        {"ciphertext": b""},
        {"ciphertext": bytes(17)},
        {"ciphertext": bytes(31)},
    ],
    ids=repr,
)
def test_sizes_are_those_of_the_algorithms(changes: dict[str, bytes]) -> None:
    assert refusal(message(**changes)).startswith("a key, an initialisation vector or contents")


@pytest.mark.parametrize("identifier", [b"", bytes(31), bytes(32), bytes(33)])
def test_the_recipient_is_named(identifier: bytes) -> None:
    assert refusal(message(key_identifier=identifier)) == "for another key than this enclave's"


def test_the_largest_message() -> None:
    assert refusal(sealed(bytes(limits.KMS_MESSAGE_MAX_BYTES))).startswith("got ")


ONCE = message(iv=bytes(16), ciphertext=GOOD_CIPHERTEXT)
"""Its contents are always the same: random ones end in a zero, or hold what looks like a header."""


@pytest.mark.parametrize("end", range(len(ONCE)))
def test_every_truncation_is_refused(end: int) -> None:
    with pytest.raises(RefusedError):
        parse_enveloped_untrusted(ONCE[:end])


@pytest.mark.parametrize("behind", [b"\0", bytes(2), ONCE, b"\x30\x00"], ids=len)
def test_nothing_stands_behind_the_end(behind: bytes) -> None:
    assert refusal(ONCE + behind) == "bytes behind the end"


@given(st.integers(0, len(ONCE) - 1), st.integers(1, 255))
def test_a_changed_byte_never_opens_as_something_else(at: int, change: int) -> None:
    """Unless it is in what CBC does not protect: then it is for the caller that the key does not fit."""
    altered = bytearray(ONCE)
    altered[at] ^= change
    good = parse_enveloped_untrusted(ONCE)
    try:
        found = parse_enveloped_untrusted(bytes(altered))
    except RefusedError:
        return
    assert found != good, "no byte is without meaning"
    if (found.iv, found.ciphertext) == (good.iv, good.ciphertext):
        with pytest.raises(RefusedError):
            open_enveloped(bytes(altered), recipient())


@given(st.binary(max_size=400))
def test_other_bytes_are_refused_and_nothing_else_happens(data: bytes) -> None:
    with pytest.raises(RefusedError):
        parse_enveloped_untrusted(data)


PARTS = {"key_identifier": st.binary(max_size=40), "iv": st.binary(min_size=16, max_size=16)}


@given(
    st.builds(
        Enveloped,
        encrypted_key=st.binary(min_size=256, max_size=256),
        ciphertext=st.integers(1, 200).map(lambda blocks: bytes(16 * blocks)),
        **PARTS,
    )
)
def test_what_is_assembled_is_read(parts: Enveloped) -> None:
    assert parse_enveloped_untrusted(assemble(**vars(parts))) == parts


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("020102", "020100"),  # versions
        ("2a864886f70d010703", "2a864886f70d010702"),  # signedData
        ("2a864886f70d010107", "2a864886f70d010101"),  # rsaEncryption: PKCS #1 version 1.5
        ("60864801650304012a", "608648016503040102"),  # AES-128-CBC
        ("60864801650304012a", "60864801650304012e"),  # AES-256-GCM
        ("608648016503040201", "608648016503040202"),  # SHA-384
        ("2a864886f70d010108", "2a864886f70d010109"),  # another mask
        ("2a864886f70d010701", "2a864886f70d010702"),  # contents that are not data
        ("308006", "318006"),  # another element
        ("a080", "a180"),
    ],
)
def test_another_type_version_or_algorithm_is_refused(old: str, new: str) -> None:
    assert bytes.fromhex(old) in ONCE
    with pytest.raises(RefusedError):
        open_enveloped(ONCE.replace(bytes.fromhex(old), bytes.fromhex(new), 1), recipient())


def test_two_recipients_are_refused() -> None:
    at = ONCE.index(bytes.fromhex("318201")) + 1
    length = int.from_bytes(ONCE[at + 1 : at + 3])
    info = ONCE[at + 3 : at + 3 + length]
    both = b"\x82" + (2 * length).to_bytes(2) + info + info
    assert refusal(ONCE[:at] + both + ONCE[at + 3 + length :]) == "more in it than expected"


@pytest.mark.parametrize(
    ("instead", "why"),
    [
        ("048130", "a length that is not as short as it can be"),
        ("04820030", "a length that is not as short as it can be"),
        ("0480", "an indefinite length where none may be"),
        ("04ff", "cut off"),  # 127 bytes of length
        ("0484ffffffff", "cut off"),
        ("2430", "another type, version or algorithm than KMS's"),  # constructed
        ("042f", "another type, version or algorithm than KMS's"),
        ("0431", "cut off"),
    ],
)
def test_lengths_are_as_short_as_they_can_be(instead: str, why: str) -> None:
    """A length can be written in many ways, and be read by some. This one is in an indefinite element."""
    at = ONCE.rindex(bytes.fromhex("0430"))
    assert len(ONCE) - at == 2 + 48 + 5 * 2
    assert refusal(ONCE[:at] + bytes.fromhex(instead) + ONCE[at + 2 :]) == why


def test_lengths_of_several_bytes_begin_with_none_of_zero() -> None:
    long = sealed(bytes(500))
    at = long.rindex(bytes.fromhex("04820200"))
    assert (
        refusal(long[:at] + b"\x04\x83\x00" + long[at + 2 :]) == "a length that is not as short as it can be"
    )


def test_nothing_is_longer_than_what_it_is_in() -> None:
    """The initialisation vector takes one byte of what stands behind its algorithm, or leaves one."""
    at = ONCE.index(bytes.fromhex("60864801650304012a0410")) + 9
    for length in (b"\x0f", b"\x11"):
        assert refusal(ONCE[: at + 1] + length + ONCE[at + 2 :]) == "more in it than expected"
