"""The agreement, its people, releases and limits: refusal by refusal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protos.formats.agreement import Agreement, Limits
from protos.formats.canonical import decode_untrusted, encode
from protos.formats.errors import FormatError, LimitExceededError
from protos.formats.limits import AGREEMENT_MAX_BYTES
from protos.formats.participants import Participant, Release
from tests.conformance.formats.samples import AIRLINE, ANALYST, FLIGHTS, QUERY, STRANGER, WEATHER, agreement

PERSON = AIRLINE.participant()
RELEASE = agreement().releases[0]


def with_fields(**changes: Any) -> bytes:
    fields = decode_untrusted(agreement().encode(), max_bytes=AGREEMENT_MAX_BYTES, what="agreement")
    return encode({**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "Airline"}, "participant id: got 'Airline'"),
        ({"name": ""}, "name of airline: got 0 characters"),
        ({"name": "Air\x1b[31m"}, "name of airline: has a character that cannot be shown"),
        ({"signing_key": bytes(31)}, "signing key of airline: got 31 bytes, expected 32"),
        ({"receiving_key": bytes(32)}, "receiving key of airline: got 32 bytes, expected 1216"),
        ({"signing_key": "00" * 32}, "signing key of airline: got str, expected bytes"),
    ],
)
def test_participant_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        replace(PERSON, **changes)
    with pytest.raises(FormatError, match=message):
        Participant.from_value_untrusted({**PERSON.to_value(), **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "v" * 65}, "release name: got 65 characters, expected 1 to 64"),
        ({"pcr0": bytes(47)}, "release 0.1.0: pcr0: got 47 bytes, expected 48"),
        ({"pcr0": bytes(48)}, "pcr0 is all zero, which is what a debug-mode enclave reports"),
        ({"pcr1": bytes(48)}, "pcr1 is all zero"),
        ({"pcr2": bytes(48)}, "pcr2 is all zero"),
        ({"root_sha256": bytes(48)}, "root_sha256: got 48 bytes, expected 32"),
        ({"valid_from_s": -1}, "release 0.1.0: valid_from_s: got -1, expected 0"),
        ({"valid_until_s": "never"}, "release 0.1.0: valid_until_s: got str, expected an integer"),
        ({"valid_from_s": 9, "valid_until_s": 9}, "release 0.1.0: its validity ends before it begins"),
    ],
)
def test_release_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Release.from_value_untrusted({**RELEASE.to_value(), **changes})


def test_a_release_whose_measurements_have_zeros_in_them() -> None:
    release = replace(RELEASE, pcr0=bytes(47) + b"\x01", pcr1=b"\x01" + bytes(47), pcr2=b"\x00\x01" * 24)
    assert Release.from_value_untrusted(release.to_value()) == release


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"memory_mib": 63}, "limits: memory_mib: got 63, expected 64 to 4194304"),
        ({"threads": 0}, "limits: threads: got 0, expected 1 to 128"),
        ({"threads": 129}, "limits: threads: got 129"),
        ({"max_runs": 0}, "limits: max_runs: got 0"),
        ({"max_runs": None}, "limits: max_runs: got NoneType, expected an integer"),
    ],
)
def test_limits_refuse(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Limits(**{**agreement().limits.to_value(), **changes})


TWIN = replace(WEATHER.participant(), signing_key=AIRLINE.signing_key)
STRANGERS_QUERY = replace(QUERY, run_by=("analyst", "stranger"))


def crowd(count: int) -> tuple[Participant, ...]:
    return tuple(
        replace(PERSON, id=f"p{number}", signing_key=number.to_bytes(32, "big")) for number in range(count)
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": ""}, "agreement id: got ''"),
        ({"title": ""}, "title: got 0 characters"),
        ({"purpose": "p" * 4001}, "purpose: got 4001 characters, expected 1 to 4000"),
        ({"valid_from_s": -1}, "valid_from_s: got -1"),
        ({"valid_until_s": 1.5}, "valid_until_s: got float, expected an integer"),
        ({"valid_until_s": agreement().valid_from_s}, "the agreement ends before it begins"),
        ({"logged": "everything"}, r"logged: got 'everything', expected one of \['nothing', 'phases'\]"),
        ({"parties": ()}, "parties: got 0, expected 1 to 64"),
        ({"parties": crowd(65)}, "parties: got 65, expected 1 to 64"),
        ({"analysts": crowd(65)}, "analysts: got 65 items, expected at most 64"),
        ({"datasets": ()}, "datasets: got 0, expected 1 to 64"),
        ({"queries": ()}, "queries: got 0, expected 1 to 256"),
        ({"releases": ()}, r"releases: got 0, expected 1 to 64 \(empty means nothing is allowed\)"),
        ({"analysts": (PERSON,)}, "participant id 'airline' stands twice"),
        ({"parties": (PERSON, TWIN)}, "signing key '[0-9a-f]{64}' stands twice"),
        ({"datasets": (FLIGHTS, FLIGHTS)}, "dataset id 'flights' stands twice"),
        ({"queries": (QUERY, QUERY)}, "query id 'delay_by_day' stands twice"),
        ({"releases": (RELEASE, replace(RELEASE, name="0.1.1"))}, "release '[0-9a-f]{64}' stands twice"),
        ({"datasets": (replace(FLIGHTS, owner="analyst"),)}, "owner 'analyst' is not a party"),
        ({"queries": (STRANGERS_QUERY,)}, r"query delay_by_day: names \['stranger'\], who are neither"),
    ],
)
def test_agreement_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        replace(agreement(), **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"valid_from_s": "now"}, "valid_from_s: got str, expected an integer"),
        ({"parties": {}}, "parties: got dict, expected a list"),
        ({"analysts": [0] * 65}, "analysts: got 65 items, expected at most 64"),
        ({"limits": []}, "limits: got list, expected a map"),
        ({"limits": {"threads": 1}}, r"limits: missing keys \['max_runs', 'memory_mib', 'tick_s'\]"),
        ({"logged": 0}, "logged: got int, expected text"),
        ({"id": None}, "agreement id: got 'None'"),
        ({"version": 2}, "unknown keys"),
        ({"label": "concordat/agreement/v2"}, "got a map labelled 'concordat/agreement/v2', expected"),
    ],
)
def test_agreement_bytes_refuse(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Agreement.decode_untrusted(with_fields(**changes))


def test_agreement_comes_back() -> None:
    assert Agreement.decode_untrusted(agreement().encode()) == agreement()
    assert Agreement.decode_untrusted(with_fields(logged="phases")).logged == "phases"
    crowded = replace(agreement(), parties=crowd(2) + agreement().parties)
    assert Agreement.decode_untrusted(crowded.encode()) == crowded


@pytest.mark.parametrize(
    "changes",
    [
        {"parties": (*crowd(62), *agreement().parties)},
        {"analysts": (*crowd(63), *agreement().analysts)},
        {"datasets": (*agreement().datasets, *(replace(FLIGHTS, id=f"d{number}") for number in range(61)))},
        {"queries": tuple(replace(QUERY, id=f"q{number}") for number in range(256))},
        {"releases": tuple(replace(RELEASE, pcr0=bytes([number + 1]) * 48) for number in range(64))},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_as_many_as_there_may_be(changes: dict[str, Any]) -> None:
    full = replace(agreement(), **changes)
    assert Agreement.decode_untrusted(full.encode()) == full


def of_size(size_bytes: int) -> Agreement:
    """An agreement with so many bytes: the SQL of its queries is what fills it."""
    queries = [replace(QUERY, id=f"q{number:02}", sql="x" * 20_000) for number in range(52)]
    queries[0] = replace(QUERY, sql="x" * 1000)
    missing = size_bytes - len(replace(agreement(), queries=tuple(queries)).encode())
    queries[0] = replace(QUERY, sql="x" * (1000 + missing))
    return replace(agreement(), queries=tuple(queries))


def test_the_largest_agreement_that_there_can_be() -> None:
    largest = of_size(AGREEMENT_MAX_BYTES)
    assert len(largest.encode()) == AGREEMENT_MAX_BYTES
    assert Agreement.decode_untrusted(largest.encode()).digest() == largest.digest()
    with pytest.raises(LimitExceededError, match="agreement: got 1048577 bytes"):
        of_size(AGREEMENT_MAX_BYTES + 1).encode()


def test_names_are_found() -> None:
    agreed = agreement()
    assert [agreed.participant(name).id for name in ("airline", "analyst")] == ["airline", "analyst"]
    assert agreed.dataset("flights") == FLIGHTS
    assert agreed.query("delay_by_day") == QUERY
    assert ANALYST.participant() in agreed.analysts
    for find in (agreed.participant, agreed.dataset, agreed.query):
        with pytest.raises(KeyError):
            find(STRANGER.id)


def test_an_agreement_that_nobody_could_read_is_not_written() -> None:
    queries = tuple(replace(QUERY, id=f"q{number}", sql="x" * 20_000) for number in range(53))
    with pytest.raises(LimitExceededError, match=r"agreement: got \d+ bytes, expected at most 1048576"):
        replace(agreement(), queries=queries).encode()
    with pytest.raises(LimitExceededError, match="expected at most 1048576"):
        Agreement.decode_untrusted(bytes(AGREEMENT_MAX_BYTES + 1))
