"""When to try something again that failed: after a pause that doubles with each failure, up to a minute.

Touches nothing but a clock that is handed in. For one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

FIRST_S: Final = 1.0
LONGEST_S: Final = 60.0
_Key = TypeVar("_Key", bound=Hashable)


class Pauses(Generic[_Key]):
    """What failed lately, by a key."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[_Key, float] = {}
        self._last_s: dict[_Key, float] = {}

    def is_due(self, key: _Key) -> bool:
        """Whether it may be tried now."""
        return self._clock() >= self._until.get(key, float("-inf"))

    def failed(self, key: _Key) -> None:
        """It was tried and failed."""
        pause_s = min(LONGEST_S, 2 * self._last_s[key]) if key in self._last_s else FIRST_S
        self._last_s[key] = pause_s
        self._until[key] = self._clock() + pause_s

    def forget(self, key: _Key) -> None:
        """It went well, or is not tried any more."""
        self._until.pop(key, None)
        self._last_s.pop(key, None)
