"""The SIMULATED KMS writes what AWS's own SDK for enclaves is tested with, byte for byte.

The messages are not part of this repository: without `../shared/vectors/kms-cms` beside it these tests skip.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios.kms.enveloped import assemble
from tests.unit.scenarios.kms.enveloped_reader import parse

FOLDER = Path(__file__).parents[2] / "../shared/vectors/kms-cms"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="no messages in ../shared/vectors/kms-cms")


@pytest.mark.parametrize("variant", ["", "_w_ctx"], ids=["octet strings", "context-specific"])
def test_message_of_aws(variant: str) -> None:
    message = (FOLDER / f"aws-sdk-c-input_ber{variant}.bin").read_bytes()
    found = parse(message)
    expected = [
        (FOLDER / f"aws-sdk-c-{name}{variant}.bin").read_bytes()
        for name in ("encrypted_key_out", "iv_out", "ciphertext_out")
    ]
    assert [found.encrypted_key, found.iv, found.ciphertext] == expected
    assert assemble(**vars(found)) == message
