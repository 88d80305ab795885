"""Signed messages: one key, one type, one payload; everything else is refused by name."""

from __future__ import annotations

import cbor2
import pytest

from protos.formats import cose
from protos.formats.canonical import encode
from protos.formats.errors import FormatError, LimitExceededError, SignatureError
from tests.conformance.formats.samples import AIRLINE, WEATHER

TYPE = "concordat/test/v1"
PAYLOAD = b"payload"
GOOD = cose.sign(PAYLOAD, typ=TYPE, key=AIRLINE.signing)
PROTECTED, UNPROTECTED, _, SIGNATURE = cbor2.loads(GOOD)


def verify(message: bytes, *, typ: str = TYPE, public_key: bytes = AIRLINE.signing_key) -> bytes:
    return cose.verify_untrusted(message, typ=typ, public_key=public_key, max_bytes=1000)


def test_payload_comes_back() -> None:
    assert verify(GOOD) == PAYLOAD
    assert cose.signer_untrusted(GOOD, max_bytes=1000, what="test") == cose.key_id(AIRLINE.signing_key)


def test_protected_header_is_the_map_of_the_specification() -> None:
    assert cbor2.loads(PROTECTED) == {1: -19, 4: cose.key_id(AIRLINE.signing_key), 16: TYPE}
    assert cbor2.dumps(cbor2.loads(PROTECTED), canonical=True) == PROTECTED


@pytest.mark.parametrize(
    ("message", "expect", "text"),
    [
        (GOOD[:-1], FormatError, "ends in the middle"),
        (GOOD + b"\x00", FormatError, "1 bytes after the value"),
        (b"\xd2" + GOOD, FormatError, "a CBOR tag"),
        (encode({}), FormatError, "not a COSE_Sign1 array of four"),
        (encode([PROTECTED, {}, PAYLOAD]), FormatError, "not a COSE_Sign1 array of four"),
        (encode([PROTECTED, {"a": 1}, PAYLOAD, SIGNATURE]), FormatError, "unprotected header must be empty"),
        (encode([PROTECTED, [], PAYLOAD, SIGNATURE]), FormatError, "unprotected header must be empty"),
        (encode([PROTECTED, {}, None, SIGNATURE]), FormatError, "must be byte strings"),
        (encode(["", {}, PAYLOAD, SIGNATURE]), FormatError, "must be byte strings"),
        (encode([PROTECTED, {}, PAYLOAD, SIGNATURE[:63]]), FormatError, "got a signature of 63 bytes"),
        (encode([b"", {}, PAYLOAD, SIGNATURE]), SignatureError, "another key or as another kind"),
        (encode([PROTECTED, {}, b"Payload", SIGNATURE]), SignatureError, "does not fit the bytes"),
        (encode([PROTECTED, {}, PAYLOAD, bytes(64)]), SignatureError, "does not fit the bytes"),
        (cose.sign(PAYLOAD, typ=TYPE, key=WEATHER.signing), SignatureError, "another key"),
        (cose.sign(PAYLOAD, typ=TYPE + "2", key=AIRLINE.signing), SignatureError, "another kind of message"),
    ],
)
def test_refused(message: bytes, expect: type[Exception], text: str) -> None:
    with pytest.raises(expect, match=f"^{TYPE}: .*{text}") as caught:
        verify(message)
    assert type(caught.value) is expect


def test_the_other_signature_of_the_same_message_is_refused() -> None:
    """S and S + L are both solutions; RFC 8032 section 5.1.7 takes only the one below L."""
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(SIGNATURE[32:], "little") + order
    with pytest.raises(SignatureError, match="does not fit the bytes"):
        verify(encode([PROTECTED, {}, PAYLOAD, SIGNATURE[:32] + s.to_bytes(32, "little")]))


def test_a_key_that_is_no_key() -> None:
    message = encode([cose.protected_header(cose.key_id(b""), typ=TYPE), {}, PAYLOAD, SIGNATURE])
    with pytest.raises(SignatureError, match="does not fit the bytes"):
        verify(message, public_key=b"")


def test_over_the_limit() -> None:
    with pytest.raises(LimitExceededError, match=f"got {len(GOOD)} bytes, expected at most 10"):
        cose.verify_untrusted(GOOD, typ=TYPE, public_key=AIRLINE.signing_key, max_bytes=10)


@pytest.mark.parametrize(
    "protected",
    [
        b"",
        PROTECTED[:20],
        encode({}),
        cbor2.dumps({1: -8, 4: bytes(32), 16: TYPE}, canonical=True),
        cbor2.dumps({1: -19, 4: bytes(31), 16: TYPE}, canonical=True),
        cbor2.dumps({1: -19, 4: "a" * 32, 16: TYPE}, canonical=True),
        cbor2.dumps({1: -19, 4: bytes(32)}, canonical=True),
    ],
)
def test_no_signer_without_our_protected_header(protected: bytes) -> None:
    message = encode([protected, {}, PAYLOAD, SIGNATURE])
    with pytest.raises(FormatError, match="test: the protected header is not one for Ed25519"):
        cose.signer_untrusted(message, max_bytes=1000, what="test")
