"""Golden vectors of releases: the bytes, the releases that count after them, and what has to be refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from protos.formats.canonical import encode
from protos.formats.errors import ConcordatError
from protos.release.history import read_changed_agreement_untrusted, verify_changes_untrusted
from protos.release.measurements import PublishedMeasurements, verify_measurements_untrusted
from tests.conformance.formats import samples as people
from tests.conformance.formats.notation import from_json
from tests.conformance.release import samples
from tests.conformance.release.generate import VECTORS, vectors
from tests.conformance.release.refused import READERS

GOLDEN: dict[str, Any] = json.loads(VECTORS.read_text(encoding="utf-8"))
BYTES = {entry["format"]: bytes.fromhex(entry["bytes"]) for entry in GOLDEN["messages"]}


def named(entry: dict[str, Any]) -> str:
    return " ".join(entry[key] for key in ("format", "what") if key in entry)


def test_the_generator_makes_the_same_file_again() -> None:
    assert vectors() == GOLDEN


@pytest.mark.parametrize("entry", GOLDEN["messages"], ids=named)
def test_value_has_one_encoding(entry: dict[str, Any]) -> None:
    assert encode(from_json(entry["value"])).hex() == entry["bytes"]


def test_the_changed_agreement_accepts_what_it_says() -> None:
    agreed = verify_changes_untrusted(*read_changed_agreement_untrusted(BYTES["changed-agreement"]))
    assert agreed.encode() == BYTES["changed-agreement"]
    assert [change.encode() for change, _ in agreed.changes] == [BYTES["release-change"]]
    assert [
        {"name": release.name, "from": release.valid_from_s, "until": release.valid_until_s}
        for release in agreed.releases
    ] == GOLDEN["releases"]


def test_the_measurements_are_signed() -> None:
    found, signed = verify_measurements_untrusted(
        GOLDEN["measurements"].encode(),
        [BYTES["measurements-signature"]],
        signers=[people.AIRLINE.participant()],
        needed=1,
    )
    assert (found, signed[0].signer) == (samples.measurements(), "airline")
    assert PublishedMeasurements.decode_untrusted(found.encode()) == found


@pytest.mark.parametrize("entry", GOLDEN["refused"], ids=named)
def test_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(ConcordatError) as caught:
        READERS[entry["format"]](bytes.fromhex(entry["bytes"]))
    assert type(caught.value).__name__ == entry["expect"], caught.value
    assert len(caught.value.message) < 2000
