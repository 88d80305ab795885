"""How often each key of a ring was used, for how many identifiers, and what is left.

A use is charged once, however often its request is repeated, and before anything of its answer can be seen.
Times are handed in, from the security module's clock. All of it follows from the uses that are remembered:
whoever keeps the state of a life keeps those.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from enclave_compute.errors import RefusedError
from protos.formats.budget import WINDOWS_S
from protos.formats.calls import Refusal
from protos.formats.key_budget import USES_WINDOW, VALUES_WINDOW, KeyLeft, key_limits
from protos.formats.key_ring import AgreedKey
from protos.formats.key_use import KeyRequest


@dataclass(frozen=True)
class Used:
    """One use that was charged."""

    request_id: bytes
    request_digest: bytes
    key: str
    number: int
    """Which use of this key it was, from 1."""
    at_s: int
    values: int
    """Identifiers in it; 0 unless it made tokens."""


class KeyLedger:
    """The uses of one ring. One thread at a time charges, uses take turns; any may read."""

    def __init__(self, keys: Sequence[AgreedKey], uses: Iterable[Used] = ()) -> None:
        self._of_key: dict[str, list[Used]] = {key.id: [] for key in keys}
        self._values: dict[str, int] = {key.id: 0 for key in keys}
        self._uses: dict[bytes, Used] = {}
        for used in uses:
            self.charge(used)

    def charged(self, request: KeyRequest) -> Used | None:
        """The use that this very request was charged as; None at first.

        Raises `RefusedError` when its id stands for another request.
        """
        used = self._uses.get(request.request_id)
        if used is not None and used.request_digest != request.digest():
            raise RefusedError(Refusal.WRONG_PLACE, "this request id stands for another request")
        return used

    def left(self, key: AgreedKey, *, now_s: int) -> tuple[KeyLeft, ...]:
        """What every window still lets through at `now_s`."""
        return tuple(
            KeyLeft(window, most, max(0, most - self._taken(key.id, window, now_s)))
            for window, most in key_limits(key).items()
        )

    def require_left(self, key: AgreedKey, *, values: int, now_s: int) -> None:
        """Raises `RefusedError` unless one more use of `key`, for so many identifiers, fits all windows."""
        left = {item.window: item.left for item in self.left(key, now_s=now_s)}
        if left[USES_WINDOW] < 1 or left.get(VALUES_WINDOW, 0) < values:
            raise RefusedError(Refusal.NO_USES_LEFT, f"key {key.id} has no use left, or too few values")
        if spent := [window for window in WINDOWS_S if left.get(window, 1) < 1]:
            raise RefusedError(Refusal.NO_USES_NOW, f"key {key.id} has no use left in this {spent[0]}")

    def next_use(self, request: KeyRequest, *, values: int, now_s: int) -> Used:
        """One more use as it would be charged now; after `require_left`."""
        number = len(self._of_key[request.key]) + 1
        return Used(request.request_id, request.digest(), request.key, number, now_s, values)

    def charge(self, used: Used) -> None:
        """Charge the use that `next_use` said."""
        self._uses[used.request_id] = used
        self._of_key[used.key].append(used)
        self._values[used.key] += used.values

    def _taken(self, key_id: str, window: str, now_s: int) -> int:
        if window == VALUES_WINDOW:
            return self._values[key_id]
        uses = self._of_key[key_id]
        if window == USES_WINDOW:
            return len(uses)
        return sum(used.at_s > now_s - WINDOWS_S[window] for used in uses)
