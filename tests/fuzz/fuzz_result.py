"""Fuzz target: a result opens unaltered or not at all, and padding comes off only as it was put on."""

from __future__ import annotations

import contextlib

from protos.formats.errors import FormatError, SealError
from protos.formats.result import SealedResult, open_result, pad, unpad
from tests.conformance.formats.refused import messages_of
from tests.conformance.formats.samples import ANALYST, RESULT, sealed_result
from tests.fuzz.runner import run

SEEDS = messages_of("sealed-result", "padded-result")
RECEIVING = ANALYST.receiving


def one_input(data: bytes) -> None:
    """Reads `data` as a sealed result, and as what a receiver finds inside one."""
    with contextlib.suppress(FormatError):
        assert pad(unpad(data)) == data
    try:
        sealed = SealedResult.decode_untrusted(data)
        assert sealed.encode() == data
        assert open_result(sealed, key=RECEIVING) == RESULT
        assert sealed == sealed_result()
    except (FormatError, SealError):
        return


if __name__ == "__main__":
    run(one_input, seeds=SEEDS)
