"""The SIMULATED KMS reads anything without breaking: bodies, policies, patterns, blobs."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import re
import uuid
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.kms import blobs, query
from scenarios.kms.comparisons import like
from scenarios.kms.errors import (
    InvalidCiphertextError,
    KmsError,
    MalformedPolicyError,
    ParameterError,
    RequestShapeError,
)
from scenarios.kms.policies import parse_iam_policy_untrusted, parse_key_policy_untrusted
from scenarios.kms.untrusted_json import DEPTH_MAX, parse_object_untrusted

WHOLE = st.integers(-(10**16), 10**16)
VALUES = st.recursive(
    st.none() | st.booleans() | WHOLE | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=8), VALUES, max_size=4)
NAMES = st.sampled_from(
    [
        *(
            "Version",
            "Statement",
            "Effect",
            "Principal",
            "Action",
            "NotAction",
            "Resource",
            "Condition",
            "Sid",
        ),
        *(
            "Allow",
            "Deny",
            "*",
            "AWS",
            "kms:Decrypt",
            "StringEquals",
            "Null",
            "kms:RecipientAttestation:PCR0",
        ),
    ]
)
POLICY_LIKE = st.recursive(
    NAMES | st.text(max_size=4) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)


def parse(text: bytes) -> dict[str, Any]:
    return parse_object_untrusted(text, what="request", max_bytes=10_000, refusal=RequestShapeError)


@given(OBJECTS, st.booleans())
def test_what_json_says_is_what_is_read(value: dict[str, Any], ascii_only: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_one_error(text: bytes) -> None:
    with contextlib.suppress(RequestShapeError):
        assert type(parse(text)) is dict


@given(OBJECTS, st.data())
def test_a_changed_byte_is_an_object_or_one_error(value: dict[str, Any], data: st.DataObject) -> None:
    text = bytearray(json.dumps(value).encode())
    text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RequestShapeError):
        assert type(parse(bytes(text))) is dict


@pytest.mark.parametrize(
    "text",
    [
        *(b'{"a": 1, "a": 2}', b'{"a": {"b": 1, "b": 1}}', b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1.5}'),
        *(b'{"a": 1e400}', b'{"a": "\\ud800"}', b"\xff{}", b'{"a": 1}x', b"", b"null", b'"{}"'),
        b'{"a": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a": ' + b"[" * DEPTH_MAX + b"]" * DEPTH_MAX + b"}",
        b'{"a": "' + b"x" * 10_000 + b'"}',
    ],
    ids=lambda text: repr(text[:12]),
)
def test_what_is_refused(text: bytes) -> None:
    with pytest.raises(RequestShapeError):
        parse(text)


def test_brackets_in_strings_are_no_depth() -> None:
    text = json.dumps({"a": '\\"' + "[" * 50, "b": "{" * 50})
    assert parse(text.encode()) == json.loads(text)


@given(POLICY_LIKE)
def test_any_policy_is_read_or_refused_by_one_error(value: Any) -> None:
    for read in (parse_key_policy_untrusted, parse_iam_policy_untrusted):
        with contextlib.suppress(MalformedPolicyError):
            read(json.dumps(value))


@given(st.text("ab:*?", max_size=12), st.text("ab:", max_size=12))
def test_patterns_are_those_of_a_shell_without_brackets(pattern: str, text: str) -> None:
    assert like(text, pattern) is bool(re.match(fnmatch.translate(pattern), text))


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    assert not like("a" * 5000, "*a" * 200 + "b")


@given(
    st.binary(max_size=100), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3), st.data()
)
def test_a_blob_opens_as_it_was_sealed_and_no_other_way(
    plaintext: bytes, context: dict[str, str], data: st.DataObject
) -> None:
    key_id, material = str(uuid.uuid4()), bytes(32)
    sealed = blobs.seal(material, key_id, plaintext, context)
    assert blobs.key_of_untrusted(sealed) == key_id
    assert blobs.open_untrusted(material, sealed, context) == plaintext
    altered = bytearray(sealed)
    altered[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    other = data.draw(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
    for blob, pairs in [(bytes(altered), context), *([(sealed, other)] if other != context else [])]:
        with pytest.raises(InvalidCiphertextError):
            blobs.open_untrusted(material, blob, pairs)


@given(st.binary(max_size=100))
def test_any_bytes_are_no_blob(blob: bytes) -> None:
    try:
        blobs.open_untrusted(bytes(32), blob, {"key": blobs.key_of_untrusted(blob)})
    except KmsError as error:
        assert type(error) is InvalidCiphertextError


@given(st.binary(max_size=200) | st.text("AR=&%2.+ctionVersion\u00e9", max_size=60).map(str.encode))
def test_a_form_is_parameters_or_refused(body: bytes) -> None:
    with contextlib.suppress(ParameterError):
        action, parameters = query.parse_request_untrusted(body)
        assert all(isinstance(value, str) for value in (action, *parameters.values()))


@given(st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=9), max_size=5), st.text(max_size=9))
def test_a_form_says_what_was_written(parameters: dict[str, str], action: str) -> None:
    written = {**parameters, "Action": action, "Version": query.VERSION}
    others = {name: value for name, value in parameters.items() if name not in ("Action", "Version")}
    assert query.parse_request_untrusted(urlencode(written).encode()) == (action, others)


@given(st.text(max_size=40))
def test_every_answer_of_sts_is_xml(text: str) -> None:
    """Names of errors and messages too, whatever a request made them say."""
    for document in (
        query.render("AssumeRole", {"AssumedRoleUser": {"Arn": text}}, "1"),
        query.render_refusal("ValidationException", text, "1")[1],
    ):
        (found,) = [
            each
            for each in ElementTree.fromstring(document).iter()  # noqa: S314 - our own
            if each.tag.endswith(("}Arn", "}Message"))
        ]
        assert (found.text or "") == "".join(each if each.isprintable() else "?" for each in text)
