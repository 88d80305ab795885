"""Requests byte for byte against AWS's encoding, and what is not accepted as an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave_compute.nsm import (
    NsmError,
    NsmInputTooLargeError,
    NsmInvalidArgumentError,
    NsmInvalidIndexError,
    NsmInvalidOperationError,
    NsmReadOnlyIndexError,
    NsmRefusedError,
    NsmResponseError,
    messages,
)


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (messages.describe_nsm(), "6b" + b"DescribeNSM".hex()),
        (messages.get_random(), "69" + b"GetRandom".hex()),
        (messages.describe_pcr(3), "a16b" + b"DescribePCR".hex() + "a165" + b"index".hex() + "03"),
        (
            messages.extend_pcr(16, b"\xaa\xbb"),
            "a169" + b"ExtendPCR".hex() + "a265" + b"index".hex() + "1064" + b"data".hex() + "42aabb",
        ),
        (messages.lock_pcr(31), "a167" + b"LockPCR".hex() + "a165" + b"index".hex() + "181f"),
        (messages.lock_pcrs(17), "a168" + b"LockPCRs".hex() + "a165" + b"range".hex() + "11"),
        (
            messages.attestation(b"\x01", None, b""),
            "a16b"
            + b"Attestation".hex()
            + "a369"
            + b"user_data".hex()
            + "410165"
            + b"nonce".hex()
            + "f66a"
            + b"public_key".hex()
            + "40",
        ),
    ],
)
def test_requests_are_encoded_as_the_driver_library_does(request_bytes: bytes, expected: str) -> None:
    assert request_bytes.hex() == expected


DESCRIPTION: dict[str, Any] = {
    "version_major": 1,
    "version_minor": 0,
    "version_patch": 2,
    "module_id": "i-0123456789abcdef0-enc0123456789abcdef",
    "max_pcrs": 32,
    "locked_pcrs": [0, 1, 2],
    "digest": "SHA384",
}


def test_a_description_is_read_whatever_its_order_and_unknown_fields() -> None:
    fields = {**dict(reversed(DESCRIPTION.items())), "later": True}
    description = messages.parse_description_untrusted(cbor2.dumps({"DescribeNSM": fields}))
    assert description.version == (1, 0, 2)
    assert description.locked_pcrs == {0, 1, 2}
    assert description.module_id == DESCRIPTION["module_id"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version_major", -1),
        ("version_minor", 65536),
        ("version_patch", True),
        ("module_id", b"i-0"),
        ("module_id", ""),
        ("max_pcrs", None),
        ("locked_pcrs", {}),
        ("locked_pcrs", ["0"]),
        ("digest", 384),
    ],
)
def test_a_description_with_a_wrong_field_is_refused(key: str, value: object) -> None:
    with pytest.raises(NsmResponseError):
        messages.parse_description_untrusted(cbor2.dumps({"DescribeNSM": {**DESCRIPTION, key: value}}))


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("InvalidArgument", NsmInvalidArgumentError),
        ("InvalidIndex", NsmInvalidIndexError),
        ("ReadOnlyIndex", NsmReadOnlyIndexError),
        ("InvalidOperation", NsmInvalidOperationError),
        ("InputTooLarge", NsmInputTooLargeError),
        ("InternalError", NsmRefusedError),
        ("NotYetInvented", NsmRefusedError),
    ],
)
def test_a_refusal_becomes_the_exception_of_its_name(name: str, error: type[NsmRefusedError]) -> None:
    with pytest.raises(error, match=name) as raised:
        messages.parse_random_untrusted(cbor2.dumps({"Error": name}))
    assert type(raised.value) is error


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"\xff",
        cbor2.dumps("GetRandom"),
        cbor2.dumps({"GetRandom": {"random": b""}}),
        cbor2.dumps({"GetRandom": {"random": "text"}}),
        cbor2.dumps({"GetRandom": {}}),
        cbor2.dumps({"GetRandom": b"random"}),
        cbor2.dumps({"Attestation": {"random": b"1"}}),
        cbor2.dumps({"GetRandom": {"random": b"1"}, "Error": "InternalError"}),
        cbor2.dumps({"Error": 3}),
        cbor2.dumps({"GetRandom": {"random": b"1"}}) + b"\x00",
        bytes.fromhex("a2") + 2 * cbor2.dumps({"GetRandom": {"random": b"1"}})[1:],
        cbor2.dumps({"GetRandom": {"random": cbor2.CBORTag(24, b"1")}}),
        b"\x81" * 400,
    ],
)
def test_what_is_no_answer_is_refused(response: bytes) -> None:
    with pytest.raises(NsmResponseError):
        messages.parse_random_untrusted(response)


@pytest.mark.parametrize(
    ("data", "lock"),
    [(bytes(47), True), (bytes(49), False), (bytes(48), 1), (bytes(48), None), ("0" * 48, True)],
)
def test_a_register_is_48_bytes_and_a_bool(data: object, lock: object) -> None:
    with pytest.raises(NsmResponseError):
        messages.parse_pcr_untrusted(cbor2.dumps({"DescribePCR": {"lock": lock, "data": data}}))


@pytest.mark.parametrize("answer", ["LockPCRs", {"LockPCR": {}}, True, b"LockPCR", ["LockPCR"]])
def test_locking_is_done_only_when_the_answer_is_the_bare_name(answer: object) -> None:
    messages.require_done_untrusted(cbor2.dumps("LockPCR"), "LockPCR")
    with pytest.raises(NsmResponseError):
        messages.require_done_untrusted(cbor2.dumps(answer), "LockPCR")


PARSERS: list[Callable[[bytes], object]] = [
    messages.parse_description_untrusted,
    messages.parse_random_untrusted,
    messages.parse_pcr_untrusted,
    messages.parse_extended_untrusted,
    messages.parse_document_untrusted,
]


@pytest.mark.parametrize("parse", PARSERS)
@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.binary(max_size=8)),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["Error", "DescribeNSM", "GetRandom", "random", "data", "lock", "document"]
                    ),
                    inner,
                    max_size=3,
                )
            ),
            max_leaves=8,
        ).map(cbor2.dumps),
    )
)
def test_nothing_but_an_nsm_error_escapes(parse: Callable[[bytes], object], data: bytes) -> None:
    try:
        parse(data)
    except NsmError:
        return
