"""What belongs to a run: its request, its padded and sealed result, its claims and its receipt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protos.formats import limits
from protos.formats.canonical import decode_untrusted, encode
from protos.formats.errors import FormatError, LimitExceededError, SealError
from protos.formats.query import PARAMETERS_MAX
from protos.formats.receipt import Claims, Receipt, Suppression
from protos.formats.result import (
    SMALLEST_BUCKET_BYTES,
    SealedResult,
    open_result,
    pad,
    result_digest,
    seal_result,
    unpad,
)
from protos.formats.run_request import RunRequest
from tests.conformance.formats.samples import (
    ANALYST,
    RESULT,
    WEATHER,
    claims,
    receipt,
    result_context,
    run_request,
    sealed_result,
)


def fields(message: bytes) -> dict[str, Any]:
    decoded: dict[str, Any] = decode_untrusted(message, max_bytes=limits.MIB, what="sample")
    return decoded


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run": bytes(8)}, "run id: got 8 bytes, expected 16"),
        ({"agreement": b""}, "agreement digest: got 0 bytes, expected 48"),
        ({"enclave": "e"}, "enclave id: got str, expected bytes"),
        ({"query": "drop table"}, "query: got 'drop table'"),
        ({"requested_by": None}, "requested_by: got 'None'"),
        ({"parameters": []}, "parameters: expected a map of at most 32"),
        (
            {"parameters": {f"p{number}": 0 for number in range(33)}},
            "parameters: expected a map of at most 32",
        ),
        ({"parameters": {"P": 0}}, "parameter name: got 'P'"),
        ({"parameters": {"p": True}}, "parameter p: got bool, expected an integer or a text"),
        ({"parameters": {"p": None}}, "parameter p: got NoneType, expected an integer or a text"),
        ({"parameters": {"p": b"secret"}}, "parameter p: got bytes, expected an integer or a text"),
        ({"priority": 1}, "unknown keys"),
    ],
)
def test_run_request_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        RunRequest.decode_untrusted(encode({**fields(run_request().encode()), **changes}))
    assert "secret" not in caught.value.message


def test_a_run_request_has_as_many_parameters_as_a_query() -> None:
    parameters = {f"p{number}": number for number in range(PARAMETERS_MAX)}
    full = replace(run_request(), parameters=parameters)
    assert RunRequest.decode_untrusted(full.encode()) == full


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agreement": bytes(47)}, "agreement digest: got 47 bytes, expected 48"),
        ({"enclave": bytes(48)}, "enclave id: got 48 bytes, expected 16"),
        ({"sealed": b""}, "sealed result: got 0 bytes, expected 1 to"),
        ({"sealed": "x"}, "sealed result: got str, expected bytes"),
        ({"receiver": "A"}, "receiver: got 'A'"),
        ({"run": bytes(48)}, "run id: got 48 bytes, expected 16"),
        ({"extra": 0}, "unknown keys"),
    ],
)
def test_sealed_result_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        SealedResult.decode_untrusted(encode({**fields(sealed_result().encode()), **changes}))


def test_result_is_for_one_receiver_and_one_run() -> None:
    sealed = seal_result(RESULT, context=result_context(), receiving_key=ANALYST.receiving.public_key)
    assert open_result(sealed, key=ANALYST.receiving) == RESULT
    with pytest.raises(SealError):
        open_result(sealed, key=WEATHER.receiving)
    moved = SealedResult.decode_untrusted(encode({**fields(sealed.encode()), "run": bytes(16)}))
    with pytest.raises(SealError):
        open_result(moved, key=ANALYST.receiving)


@pytest.mark.parametrize(
    ("length", "bucket"),
    [
        (0, 4096),
        (4092, 4096),
        (4093, 8192),
        (8188, 8192),
        (8189, 16384),
        (limits.RESULT_MAX_BYTES, 32 * limits.MIB),
    ],
)
def test_buckets(length: int, bucket: int) -> None:
    padded = pad(bytes(length))
    assert len(padded) == bucket
    assert len(unpad(padded)) == length


def test_the_largest_sealed_result_fits_a_frame() -> None:
    largest = SealedResult(result_context(), bytes(len(pad(bytes(limits.RESULT_MAX_BYTES))) + 1136)).encode()
    assert len(largest) <= limits.FRAME_BODY_MAX_BYTES
    assert SealedResult.decode_untrusted(largest).encode() == largest
    over = replace(SealedResult.decode_untrusted(largest), sealed=bytes(33_555_569))
    with pytest.raises(FormatError, match="sealed result: got 33555569 bytes, expected 1 to 33555568"):
        SealedResult.decode_untrusted(over.encode())


def test_a_result_over_the_limit_is_not_padded() -> None:
    with pytest.raises(LimitExceededError, match="result: got 33554429 bytes, expected at most 33554428"):
        pad(bytes(limits.RESULT_MAX_BYTES + 1))


@pytest.mark.parametrize(
    "padded",
    [
        b"",
        b"\x00\x00\x00",
        bytes(4),
        bytes(SMALLEST_BUCKET_BYTES - 1),
        bytes(SMALLEST_BUCKET_BYTES + 1),
        bytes(2 * SMALLEST_BUCKET_BYTES),
        pad(b"a")[:-1] + b"\x01",
        b"\xff\xff\xff\xff" + bytes(4092),
        (4093).to_bytes(4, "big") + bytes(4092),
    ],
)
def test_what_is_not_padded_so(padded: bytes) -> None:
    with pytest.raises(FormatError, match="result: not padded as the specification says"):
        unpad(padded)


def test_result_digest_is_without_padding() -> None:
    assert result_digest(unpad(pad(RESULT))) == claims().result_digest != result_digest(pad(RESULT))


USED = claims().datasets[0].to_value()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agreement": bytes(1)}, "agreement digest: got 1 bytes"),
        ({"enclave": bytes(1)}, "enclave id: got 1 bytes"),
        ({"run": bytes(1)}, "run id: got 1 bytes"),
        ({"query": ""}, "query: got ''"),
        ({"query_digest": bytes(1)}, "query digest: got 1 bytes"),
        ({"parameters": {"p": []}}, "parameter p: got list"),
        ({"requested_by": 1}, "requested_by: got '1'"),
        ({"receivers": []}, "receivers: got 0 items, expected at least 1"),
        ({"receivers": ["A"]}, "receiver: got 'A'"),
        ({"receivers": ["a"] * 65}, "receivers: got 65 items, expected at most 64"),
        ({"datasets": []}, "datasets: got 0 items, expected at least 1"),
        ({"datasets": [USED] * 65}, "datasets: got 65 items"),
        ({"datasets": [{**USED, "dataset": "D"}]}, "dataset: got 'D'"),
        ({"datasets": [{**USED, "party": None}]}, "party: got 'None'"),
        ({"datasets": [{**USED, "upload": b""}]}, "upload id: got 0 bytes"),
        ({"datasets": [{**USED, "manifest": b""}]}, "manifest digest: got 0 bytes"),
        ({"datasets": [{**USED, "rows": 3}]}, "used dataset: missing keys .*, unknown keys"),
        ({"suppressed": [0] * 65}, "suppressed: got 65 items"),
        ({"suppressed": [{"rule": "r"}]}, r"suppression: missing keys \['groups_at_most'\]"),
        ({"suppressed": [{"rule": "", "groups_at_most": 1}]}, "rule: got 0 characters"),
        ({"result_digest": bytes(1)}, "result digest: got 1 bytes"),
        ({"sequence": 0}, "sequence: got 0, expected 1"),
        ({"previous": b""}, "previous: got 0 bytes, expected 48"),
        ({"runs_left": -1}, "runs_left: got -1"),
        ({"rows": 12}, "unknown keys"),
    ],
)
def test_claims_refuse(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Claims.decode_untrusted(encode({**fields(claims().encode()), **changes}))


@pytest.mark.parametrize("count", [0, 1, 10, 100, 10**18, None])
def test_a_bucket_of_groups(count: int | None) -> None:
    note = Suppression("a rule", count)
    assert Suppression.from_value_untrusted(note.to_value()) == note


@pytest.mark.parametrize("count", [2, 11, 20, 99, 101, 1024, -10, True, "10"])
def test_a_count_of_groups_that_says_too_much(count: Any) -> None:
    with pytest.raises(FormatError, match="groups_at_most"):
        Suppression("a rule", count)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"claims": b""}, "claims: got 0 bytes, expected 1 to 65536"),
        ({"claims": bytes(65537)}, "claims: got 65537 bytes, expected 1 to 65536"),
        ({"attestation": bytes(12289)}, "attestation: got 12289 bytes, expected 1 to 12288"),
        ({"agreement": b""}, "agreement: got 0 bytes"),
        ({"approvals": []}, "approvals: got 0 items, expected at least 1"),
        ({"approvals": [b"a"] * 65}, "approvals: got 65 items, expected at most 64"),
        ({"approvals": [bytes(4097)]}, "approval: got 4097 bytes, expected 1 to 4096"),
        ({"approvals": ["a"]}, "approval: got str, expected bytes"),
        ({"result": b""}, "unknown keys"),
    ],
)
def test_receipt_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Receipt.decode_untrusted(encode({**fields(receipt().encode()), **changes}))
