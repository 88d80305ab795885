"""The one exception root: what went wrong, whose input it was about, and what to do next.

Every error a person can meet is a `ConcordatError`. `code` is stable and safe to show anybody; the message
may name what was got and what was expected, but never a value out of somebody's dataset; `hint` is the next
step for the person who reads it.
"""

from __future__ import annotations

from typing import ClassVar


class ConcordatError(Exception):
    """Root of all errors that this project raises on purpose."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class FormatError(ConcordatError):
    """Bytes made by somebody else are not what the specification says."""

    code = "format/malformed"


class LimitExceededError(FormatError):
    """A size or count is over the limit that `limits` names for it."""

    code = "format/limit-exceeded"


class SignatureError(ConcordatError):
    """A signature is missing, by the wrong key, or does not fit the bytes."""

    code = "signature/invalid"


class SealError(ConcordatError):
    """Sealed bytes do not open: wrong key, wrong place, or altered on the way."""

    code = "seal/does-not-open"
