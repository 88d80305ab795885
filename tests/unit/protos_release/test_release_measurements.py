"""Published measurements: one form, signed as bytes, and as many signers as the reader asks for."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from protos.formats import cose
from protos.formats.canonical import encode
from protos.formats.errors import FormatError, LimitExceededError, SignatureError
from protos.release.measurements import (
    MEASUREMENTS_MAX_BYTES,
    MEASUREMENTS_SIGNATURE_LABEL,
    PublishedMeasurements,
    verify_measurements_untrusted,
)
from tests.conformance.formats.samples import AIRLINE, STRANGER, WEATHER
from tests.conformance.release.samples import measurements, measurements_signature

FILE = measurements().encode()
SIGNERS = [AIRLINE.participant(), WEATHER.participant()]
BOTH = [measurements_signature(AIRLINE), measurements_signature(WEATHER)]


def verified(data: bytes = FILE, signatures: list[bytes] = BOTH, *, needed: int = 2) -> list[str]:
    _, signed = verify_measurements_untrusted(data, signatures, signers=SIGNERS, needed=needed)
    return [signature.signer for signature in signed]


def test_the_file_reads_like_what_it_is() -> None:
    text = FILE.decode()
    assert text.startswith('{\n  "format": "concordat/measurements/v1",\n  "version": "0.2.0",\n')
    assert f'"pcr2": "{measurements().pcr2.hex()}"' in text
    assert PublishedMeasurements.decode_untrusted(FILE) == measurements()


def test_a_signed_image_keeps_its_pcr8_and_its_release_has_none() -> None:
    with_signer = replace(measurements(), pcr8=b"\x08" * 48)
    assert PublishedMeasurements.decode_untrusted(with_signer.encode()) == with_signer
    release = with_signer.release(root_sha256=bytes(32), valid_until_s=7)
    assert (release.name, release.pcr0, release.valid_until_s) == ("0.2.0", measurements().pcr0, 7)
    assert b"\x08" * 48 not in release.to_value().values()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "0.2 0"}, "version: got '0.2 0'"),
        ({"version": 2}, "version: got '2'"),
        ({"built_on": "20261127"}, "built_on: got '20261127', expected a day"),
        ({"pcr0": bytes(48)}, "pcr0 is all zero"),
        ({"pcr1": bytes(47)}, "pcr1: got 47 bytes, expected 48"),
        ({"pcr8": bytes(48)}, "pcr8 is all zero"),
        ({"inputs": {}}, "inputs: got 0, expected 1 to 256"),
        ({"inputs": {"../x": "git:" + "0" * 40}}, "expected a name like a path"),
        ({"inputs": {"source": "git:" + "0" * 39}}, "input source: got 'git:0"),
        ({"inputs": {"source": None}}, "input source: got 'None'"),
    ],
)
def test_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        replace(measurements(), **changes)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ((), [], "measurements: got list, expected a table"),
        (("format",), "concordat/measurements/v2", "got format 'concordat/measurements/v2'"),
        (("format",), None, "got format 'None'"),
        (("date",), "2026-11-27", r"missing or unknown keys \['date'\]"),
        (("pcrs",), [], "pcrs: got list, expected a table"),
        (("pcrs",), {"pcr0": "01" * 48}, "expected pcr0, pcr1 and pcr2, and perhaps pcr8"),
        (("pcrs", "pcr3"), "01" * 48, "expected pcr0, pcr1 and pcr2, and perhaps pcr8"),
        (("pcrs", "pcr1"), 1, "pcr1: got int, expected text"),
        (("pcrs", "pcr1"), None, "pcr1: got NoneType, expected text"),
        (("inputs",), "source", "inputs: got str, expected a table"),
        (("built_on",), 20261127, "built_on: got '20261127'"),
        (("built_on",), "2026-W48-5", "built_on: got '2026-W48-5'"),
        (("version",), "\ud800", "version: got"),
    ],
)
def test_other_json_is_refused(path: tuple[str, ...], value: Any, message: str) -> None:
    fields: Any = json.loads(FILE)
    if path:
        place = fields if len(path) == 1 else fields[path[0]]
        place[path[-1]] = value
    else:
        fields = value
    with pytest.raises(FormatError, match=message):
        PublishedMeasurements.decode_untrusted((json.dumps(fields, indent=2) + "\n").encode())


@pytest.mark.parametrize("key", ["format", "version", "built_on", "pcrs", "inputs"])
def test_every_part_has_to_be_there(key: str) -> None:
    fields = json.loads(FILE)
    del fields[key]
    with pytest.raises(FormatError):
        PublishedMeasurements.decode_untrusted((json.dumps(fields, indent=2) + "\n").encode())


def test_as_many_inputs_as_there_may_be() -> None:
    inputs = {f"lock/{number}": "sha256:" + "0" * 64 for number in range(256)}
    full = replace(measurements(), inputs=inputs)
    assert PublishedMeasurements.decode_untrusted(full.encode()) == full
    with pytest.raises(FormatError, match="inputs: got 257, expected 1 to 256"):
        replace(full, inputs={**inputs, "more": "sha256:" + "0" * 64})


def test_a_signature_with_a_time_that_is_none_is_refused() -> None:
    payload = {
        "label": MEASUREMENTS_SIGNATURE_LABEL,
        "measurements": measurements().digest(),
        "signer": "airline",
        "signed_at_s": "today",
    }
    message = cose.sign(encode(payload), typ=MEASUREMENTS_SIGNATURE_LABEL, key=AIRLINE.signing)
    with pytest.raises(FormatError, match="signed_at_s"):
        verified(signatures=[message], needed=1)


def test_a_file_over_the_limit_is_not_parsed() -> None:
    with pytest.raises(LimitExceededError):
        PublishedMeasurements.decode_untrusted(b" " * (MEASUREMENTS_MAX_BYTES + 1))


def test_as_many_signers_as_are_asked_for() -> None:
    assert verified() == ["airline", "weather"]
    assert verified(signatures=BOTH[1:], needed=1) == ["weather"]
    with pytest.raises(SignatureError, match="signed by airline of the 2 signers that count, expected 2"):
        verified(signatures=BOTH[:1])


def test_one_signer_counts_once() -> None:
    with pytest.raises(SignatureError, match="signed by airline of the 2"):
        verified(signatures=BOTH[:1] * 2)


def test_strangers_do_not_count_and_do_not_harm() -> None:
    strange = measurements_signature(STRANGER)
    assert verified(signatures=[strange, *BOTH]) == ["airline", "weather"]
    with pytest.raises(SignatureError, match="signed by airline of"):
        verified(signatures=[strange, BOTH[0]])


@pytest.mark.parametrize("needed", [0, -1, 3])
def test_nobody_is_never_enough(needed: int) -> None:
    with pytest.raises(SignatureError, match="expected at least one"):
        verified(needed=needed)
    with pytest.raises(SignatureError, match="got 0 signers"):
        verify_measurements_untrusted(FILE, BOTH, signers=[], needed=needed)


def test_a_signature_of_another_file_is_refused() -> None:
    other = replace(measurements(), pcr2=b"\x02" * 48).encode()
    with pytest.raises(SignatureError, match="airline signed another file"):
        verified(other)
    with pytest.raises(SignatureError):
        verified(FILE + b" ")


def test_a_signature_says_whose_it_is() -> None:
    renamed = replace(AIRLINE.participant(), id="airport")
    with pytest.raises(SignatureError, match="the key is airport's"):
        verify_measurements_untrusted(FILE, BOTH[:1], signers=[renamed], needed=1)


def test_a_signed_file_that_is_none_is_refused() -> None:
    signatures = [measurements_signature(person, b"{}") for person in (AIRLINE, WEATHER)]
    with pytest.raises(FormatError):
        verified(b"{}", signatures)
