"""Key bundles, and the digests that tie them and receipts to an attestation document."""

from __future__ import annotations

from typing import Any

import pytest

from protos.formats.binding import (
    ATTESTATION_LABEL,
    RECEIPT_BINDING_LABEL,
    KeyBundle,
    attestation_user_data,
    receipt_user_data,
)
from protos.formats.canonical import decode_untrusted, digest, encode
from protos.formats.errors import FormatError, LimitExceededError
from protos.formats.limits import USER_DATA_EMIT_MAX_BYTES
from tests.conformance.formats.samples import ENCLAVE_ID, agreement, claims, key_bundle

BUNDLE = key_bundle().encode()
FIELDS = decode_untrusted(BUNDLE, max_bytes=2048, what="bundle")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"enclave_id": bytes(15)}, "enclave id: got 15 bytes, expected 16"),
        ({"hpke_public_key": bytes(32)}, "HPKE public key: got 32 bytes, expected 1216"),
        ({"signing_key": "a" * 32}, "signing key: got str, expected bytes"),
        ({"label": "concordat/key-bundle/v2"}, "labelled 'concordat/key-bundle/v2'"),
        ({"extra": None}, "unknown keys"),
    ],
)
def test_bundle_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        KeyBundle.decode_untrusted(encode({**FIELDS, **changes}))


def test_bundle_has_a_limit() -> None:
    with pytest.raises(LimitExceededError, match="got 2049 bytes, expected at most 2048"):
        KeyBundle.decode_untrusted(bytes(2049))


def test_user_data_fits_what_the_module_takes() -> None:
    user_data = attestation_user_data(agreement().digest(), BUNDLE, ENCLAVE_ID)
    assert len(user_data) < USER_DATA_EMIT_MAX_BYTES
    assert decode_untrusted(user_data, max_bytes=512, what="user data") == {
        "label": ATTESTATION_LABEL,
        "digest": digest(ATTESTATION_LABEL, agreement().digest(), BUNDLE, ENCLAVE_ID),
    }


def test_user_data_depends_on_each_part() -> None:
    parts = [agreement().digest(), BUNDLE, ENCLAVE_ID]
    others = [[*parts[:index], parts[index] + b"\x00", *parts[index + 1 :]] for index in range(3)]
    moved = [parts[0] + parts[1][:1], parts[1][1:], parts[2]]
    assert len({attestation_user_data(*each) for each in (parts, moved, *others)}) == 5


def test_a_document_for_a_receipt_never_stands_for_an_enclave() -> None:
    user_data = receipt_user_data(claims().encode())
    assert decode_untrusted(user_data, max_bytes=512, what="user data")["label"] == RECEIPT_BINDING_LABEL
    assert user_data != receipt_user_data(claims().encode() + b"\x00")
