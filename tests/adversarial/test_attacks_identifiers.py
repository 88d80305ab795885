"""Pitfall 44: the same people, written in two ways. The agreed rule makes them meet inside the enclave."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from protos.formats.calls import Op
from protos.formats.schema import Dataset
from tests import world

PEOPLE = ("ann@example.org", "bob@example.org", "josé@example.org", "ömer@example.org")
WRITTEN = (
    " ann@example.org",
    "BOB@Example.ORG\t",
    unicodedata.normalize("NFD", "josé@example.org"),
    unicodedata.normalize("NFD", "ÖMER@example.org") + "\n",
)
VISITS = pa.table({"email": PEOPLE, "segment": ["news"] * len(PEOPLE)})
PURCHASES = pa.table({"email": WRITTEN, "amount": pa.array([1, 10, 100, 1000], pa.int64())})


def released(tmp_path: Path, normalise: str) -> list[dict[str, object]]:
    """What comes out when both owners agree on this rule."""

    def agreed_rule(dataset: Dataset) -> Dataset:
        email, *others = dataset.columns
        return replace(dataset, columns=(replace(email, normalise=normalise), *others))

    with world.simulated_enclave(tmp_path) as enclave:
        (root,) = enclave.roots
        datasets = tuple(agreed_rule(item) for item in (world.visits(2), world.purchases(2)))
        agreed = world.agreement(root.sha256, datasets=datasets)
        enclave.bind(agreed)
        enclave.upload(world.seal(agreed, enclave.keys(), "visits", [VISITS]))
        enclave.upload(world.seal(agreed, enclave.keys(), "purchases", [PURCHASES]))
        run_id = os.urandom(16)
        enclave.call(Op.RUN, world.run_request(agreed, enclave.keys(), run_id=run_id), run=run_id)
        rows: list[dict[str, object]] = enclave.result(run_id).to_pylist()
        return rows


def test_attack_44_messy_identifiers_still_match(tmp_path: Path) -> None:
    assert not set(PEOPLE) & set(WRITTEN), "nobody is written alike"
    assert released(tmp_path, "email/v1") == [{"segment": "news", "purchases": 4, "total": 1111}]


def test_attack_44_without_a_rule_nobody_is_guessed_to_be_the_same(tmp_path: Path) -> None:
    assert released(tmp_path, "none") == []


@pytest.mark.parametrize("twice", [WRITTEN[1], PEOPLE[1].upper()])
def test_attack_44_two_spellings_are_one_person(tmp_path: Path, twice: str) -> None:
    """Otherwise a threshold of two would be met by one person who is written in two ways."""
    with world.simulated_enclave(tmp_path) as enclave:
        (root,) = enclave.roots
        agreed = world.agreement(root.sha256)
        enclave.bind(agreed)
        enclave.upload(world.seal(agreed, enclave.keys(), "visits", [VISITS]))
        spellings = pa.table({"email": [PEOPLE[1], twice], "amount": pa.array([1, 1], pa.int64())})
        enclave.upload(world.seal(agreed, enclave.keys(), "purchases", [spellings]))
        run_id = os.urandom(16)
        enclave.call(Op.RUN, world.run_request(agreed, enclave.keys(), run_id=run_id), run=run_id)
        assert enclave.result(run_id).to_pylist() == []
