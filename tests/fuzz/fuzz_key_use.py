"""Fuzz target: a use of a key, its consent, its answer and public keys mean one thing or are refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

from protos.formats.errors import FormatError, SignatureError
from protos.formats.key_answer import KeyAnswer, PublicKeys
from protos.formats.key_use import KeyCall, KeyRequest
from tests.conformance.formats.readers import read_key_approval
from tests.conformance.formats.refused import messages_of
from tests.conformance.formats.samples import messages
from tests.fuzz.runner import run

SEEDS = messages_of("key-request", "key-approval", "key-call", "key-answer", "public-keys")
READ: Final[tuple[Callable[[bytes], KeyRequest | KeyCall | KeyAnswer | PublicKeys], ...]] = (
    KeyRequest.decode_untrusted,
    KeyCall.decode_untrusted,
    KeyAnswer.decode_untrusted,
    PublicKeys.decode_untrusted,
)


def one_input(data: bytes) -> None:
    """Reads `data` as any of them; an approval is taken only if it is the one that was signed."""
    for read in READ:
        with contextlib.suppress(FormatError):
            assert read(data).encode() == data
    try:
        read_key_approval(data)
    except (FormatError, SignatureError):
        return
    assert data == messages()["key-approval"]


if __name__ == "__main__":
    run(one_input, seeds=SEEDS)
