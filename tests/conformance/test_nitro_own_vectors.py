"""Every vector of our own is answered as its index says, and is what the generator makes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from party_client.attestation import (
    AllOf,
    AllowDebugUnsafe,
    AnyMeasurementUnsafe,
    AttestationError,
    TrustedRoots,
    verify_replay,
)
from tests.conformance.nitro.cases import VALID, Laboratory
from tests.conformance.nitro.generate import INDEX, ROOT, VECTORS, all_cases, index

ENTRIES: list[dict[str, Any]] = json.loads((VECTORS / INDEX).read_text(encoding="utf-8"))["vectors"]
ROOTS = TrustedRoots.from_pem((VECTORS / ROOT).read_bytes(), name="test")


def answer(document: bytes, *, allow_debug: bool) -> str:
    policy = AllOf([AnyMeasurementUnsafe(), *([AllowDebugUnsafe()] if allow_debug else [])])
    try:
        verify_replay(document, roots=ROOTS, policy=policy)
    except AttestationError as error:
        assert error.message
        assert error.hint
        return error.code
    return VALID


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["file"])
def test_vector(entry: dict[str, Any]) -> None:
    document = (VECTORS / entry["file"]).read_bytes()
    assert answer(document, allow_debug=entry["allow_debug"]) == entry["expect"], entry["what"]


def test_the_index_names_every_file_and_every_case() -> None:
    assert {entry["file"] for entry in ENTRIES} == {path.name for path in VECTORS.glob("*.cbor")}
    assert json.loads((VECTORS / INDEX).read_text(encoding="utf-8")) == index(all_cases())


def test_the_generator_makes_the_same_bytes_again() -> None:
    laboratory = Laboratory()
    assert laboratory.chain.root.pem == (VECTORS / ROOT).read_bytes()
    changed = [
        case.name
        for case in all_cases().values()
        if case.make(laboratory) != (VECTORS / f"{case.name}.cbor").read_bytes()
    ]
    assert changed == []


def test_no_vector_is_valid_under_the_aws_root() -> None:
    for entry in ENTRIES:
        if entry["expect"] == VALID:
            with pytest.raises(AttestationError) as refusal:
                verify_replay(
                    (VECTORS / entry["file"]).read_bytes(),
                    roots=TrustedRoots.aws(),
                    policy=AnyMeasurementUnsafe(),
                )
            assert refusal.value.code == "attestation/untrusted-root"
