"""No bytes but the signed ones are believed, and no bytes make the parser fail in a way of its own."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from party_client.attestation import (
    AllOf,
    AllowDebugUnsafe,
    AnyMeasurementUnsafe,
    AttestationError,
    TrustedRoots,
    explain,
    verify_now,
    verify_replay,
)
from party_client.attestation.document import parse_payload_untrusted, parse_untrusted
from party_client.attestation.errors import StaleDocumentError
from tests.conformance.nitro.generate import VECTORS
from tests.conformance.nitro.pki import make_chain
from tests.conformance.nitro.signing import AT, document, encode_map, fields, sign
from tests.fuzz.fuzz_attestation_document import one_input

CHAIN = make_chain(AT)
ROOTS = TrustedRoots.from_pem(CHAIN.root.pem, name="test")
LENIENT = AllOf([AnyMeasurementUnsafe(), AllowDebugUnsafe()])
DOCUMENT = document(CHAIN, AT, nonce=bytes(32), user_data=b"bound", public_key=b"key")
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=60) | st.text(max_size=20)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(-1, 33) | st.text(), inner),
    max_leaves=8,
)
NAMES = st.sampled_from([name for name, _ in fields(CHAIN, AT)])


def require_refused(data: bytes) -> None:
    with pytest.raises(AttestationError):
        verify_replay(data, roots=ROOTS, policy=LENIENT)


def test_the_document_itself_is_believed() -> None:
    verify_replay(DOCUMENT, roots=ROOTS, policy=LENIENT)


@given(position=st.integers(0, len(DOCUMENT) - 1), mask=st.integers(1, 255))
def test_no_byte_can_be_changed(position: int, mask: int) -> None:
    require_refused(DOCUMENT[:position] + bytes([DOCUMENT[position] ^ mask]) + DOCUMENT[position + 1 :])


@given(length=st.integers(0, len(DOCUMENT) - 1))
def test_it_cannot_be_cut_anywhere(length: int) -> None:
    require_refused(DOCUMENT[:length])


@given(position=st.integers(0, len(DOCUMENT)), inserted=st.binary(min_size=1, max_size=8))
def test_nothing_can_be_inserted(position: int, inserted: bytes) -> None:
    changed = DOCUMENT[:position] + inserted + DOCUMENT[position:]
    if changed != b"\xd2" + DOCUMENT:
        require_refused(changed)


@given(order=st.permutations(range(9)))
def test_fields_cannot_change_places_after_signing(order: list[int]) -> None:
    parts = cbor2.loads(DOCUMENT)
    pairs = list(cbor2.loads(parts[2]).items())
    payload = encode_map([pairs[index] for index in order])
    if payload != parts[2]:
        require_refused(cbor2.dumps([parts[0], parts[1], payload, parts[3]]))


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.cbor")), ids=lambda path: path.stem)
def test_the_fuzz_target_takes_every_vector(path: Path) -> None:
    data = path.read_bytes()
    for changed in (data, data[: len(data) // 2], data[::-1], cbor2.dumps([b"", {}, data, b""])):
        one_input(changed)


@given(data=st.binary(max_size=200))
@example(data=b"\xbf" + b"\x61a\x00" * 2 + b"\xff")
@example(data=b"\xa1\xf7\xf7")
@example(data=b"\xd8\x23\x61(")
def test_any_bytes_are_refused_by_name(data: bytes) -> None:
    for parse in (parse_untrusted, parse_payload_untrusted):
        with pytest.raises(AttestationError):
            parse(data)
    explain(data).to_text()


@given(name=NAMES, value=VALUES)
def test_any_value_in_any_field_is_accepted_or_refused_by_name(name: str, value: Any) -> None:
    signed = sign(CHAIN.leaf, encode_map(fields(CHAIN, AT, **{name: value})))
    try:
        verify_replay(signed, roots=ROOTS, policy=LENIENT)
    except AttestationError as error:
        assert error.message
        assert error.hint
    explain(signed).to_text()


@given(age_ms=st.integers(-30_000, 24 * 3_600_000))
def test_no_document_older_than_the_bound_is_fresh(age_ms: int) -> None:
    now = AT + timedelta(milliseconds=age_ms)
    if age_ms <= 300_000:
        verify_now(DOCUMENT, roots=ROOTS, nonce=bytes(32), policy=LENIENT, now=now)
    else:
        with pytest.raises(AttestationError) as refusal:
            verify_now(DOCUMENT, roots=ROOTS, nonce=bytes(32), policy=LENIENT, now=now)
        assert isinstance(refusal.value, StaleDocumentError) or age_ms > 2 * 3_600_000
