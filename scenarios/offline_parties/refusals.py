"""What a KMS said to somebody who was not to get a key, and whether it is what was expected.

Reads the log of a SIMULATED KMS. A refusal counts only for the expected reason: a key that stays shut because
of a typing error would look the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from scenarios.errors import ScenarioError

_DIGITS_SHOWN: Final = 16
_REASON: Final = re.compile(r"\[SIMULATED KMS, AWS does not say: (?P<reason>.*)\]", re.DOTALL)
_LONG_HEX: Final = re.compile(rf"([0-9a-f]{{{_DIGITS_SHOWN}}})[0-9a-f]{{40,}}")


class NotRefusedError(ScenarioError):
    """A key service gave a key away, or refused it for another reason than it should have."""

    code = "scenario/not-refused"


@dataclass(frozen=True)
class Refused:
    """One attempt, and what every owner's KMS said to it."""

    deed: str
    said: Mapping[str, str]
    """Sentences by whose log they are in."""
    document: bytes | None = None
    """Of the enclave that asked, where a real one did."""


def require_refused(record: Mapping[str, Any], *, outcome: str, because: str, deed: str) -> str:
    """The reason in the log's `record`, for people. Raises `NotRefusedError` unless it has `because`."""
    message = str(record.get("message", ""))
    if record.get("outcome") != outcome or because not in message:
        raise NotRefusedError(
            f"{deed}: got {record.get('outcome')} ({message[:300]}), expected {outcome} for {because}"
        )
    match = _REASON.search(message)
    return _LONG_HEX.sub(r"\1…", match["reason"] if match else message)
