"""Encrypting to a key that nobody verified is refused by the type checker, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).parents[3]
PROGRAM = """
from party_client.attestation import VerifiedAttestation, VerifiedEnclave
from party_client.identity import Identity
from party_client.sealing import begin_sealing
from protos.formats.binding import KeyBundle
from protos.formats.schema import Dataset

def seal(enclave: {kind}, dataset: Dataset, identity: Identity) -> None:
    begin_sealing(enclave, dataset=dataset, identity=identity, compression="none")
"""
UNDER_A_KEY = """
from party_client.identity import Identity
from party_client.kms import KeyReport, SealingKey
from party_client.kms.data_keys import DataKey
from party_client.sealing import EnvelopeSealer
from protos.formats.kms import KeyService
from protos.formats.schema import Dataset

def seal(key: {kind}, data_key: DataKey, dataset: Dataset, identity: Identity) -> None:
    EnvelopeSealer(
        key, data_key, agreement_digest=b"", dataset=dataset, identity=identity, compression="none"
    )
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "accepted"),
    [("SealingKey", True), ("KeyReport", False), ("KeyService", False), ("str", False)],
)
def test_only_a_key_that_was_looked_at_can_be_sealed_under(kind: str, accepted: bool, tmp_path: Path) -> None:
    require(UNDER_A_KEY.format(kind=kind), accepted, names="EnvelopeSealer", folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "accepted"),
    [
        ("VerifiedEnclave", True),
        ("KeyBundle", False),
        ("VerifiedAttestation", False),
        ("bytes", False),
        ("VerifiedEnclave | None", False),
    ],
)
def test_only_a_verified_enclave_can_be_sealed_to(kind: str, accepted: bool, tmp_path: Path) -> None:
    require(PROGRAM.format(kind=kind), accepted, names="begin_sealing", folder=tmp_path)


def require(text: str, accepted: bool, *, names: str, folder: Path) -> None:
    """The type checker accepts `text`, or complains about a call of `names`."""
    program = folder / "program.py"
    program.write_text(text)
    out, _, status = api.run(
        [
            *("--config-file", str(ROOT / "pyproject.toml")),
            *("--cache-dir", str(ROOT / ".mypy_cache"), str(program)),
        ]
    )
    assert (status == 0) is accepted, out
    assert accepted or names in out
