"""How the enclave says no: one exception that carries a code of the closed list and nothing about the data.

The message is for tests and for the enclave's own tracebacks; it never leaves. What leaves is `refusal`.
"""

from __future__ import annotations

from protos.formats.calls import Refusal
from protos.formats.errors import ConcordatError


class RefusedError(ConcordatError):
    """The enclave refuses a call. `next_chunk` is set where the caller needs it to go on."""

    code = "enclave/refused"

    def __init__(self, refusal: Refusal, message: str, *, next_chunk: int | None = None) -> None:
        super().__init__(f"{refusal}: {message}")
        self.refusal = refusal
        self.next_chunk = next_chunk
