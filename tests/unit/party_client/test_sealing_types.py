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
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(kind=kind))
    out, _, status = api.run(
        [
            *("--config-file", str(ROOT / "pyproject.toml")),
            *("--cache-dir", str(ROOT / ".mypy_cache"), str(program)),
        ]
    )
    assert (status == 0) is accepted, out
    assert accepted or "begin_sealing" in out
