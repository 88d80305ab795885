"""Every fuzz target holds on its own seeds and on mutations of them, so that it runs before a fuzzer does."""

from __future__ import annotations

import importlib
import random

import pytest

from tests.fuzz import runner
from tests.meta.repository import ROOT

FORMATS = ("agreement", "approval", "frames", "key_bundle", "manifest", "receipt", "result", "run_request")
OTHERS = ("budget", "changed_agreement", "image_file", "measurements", "schema", "sealed_header", "state")
KMS = ("kms_answer", "kms_enveloped", "key_use", "sealed_file")
TARGETS = [f"fuzz_{name}" for name in (*FORMATS, *OTHERS, *KMS)]


def byte_flipped(data: bytes, max_size: int) -> bytes:
    """Stands in for libFuzzer's own mutation."""
    chance = random.Random(data)
    at = chance.randrange(len(data) + 1)
    return (data[:at] + bytes([chance.randrange(256)]) + data[at + chance.randrange(2) :])[:max_size]


def test_every_target_is_known() -> None:
    assert {path.stem for path in (ROOT / "tests/fuzz").glob("fuzz_*.py")} >= set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_target_holds_on_its_seeds(name: str) -> None:
    target = importlib.import_module(f"tests.fuzz.{name}")
    chance = random.Random(name)
    assert target.SEEDS
    for seed in target.SEEDS:
        target.one_input(seed)
    for _ in range(200):
        seed = chance.choice(target.SEEDS)
        for _ in range(3):
            seed = runner.mutate_value(seed, 8192, chance, byte_flipped)
            target.one_input(seed)
