"""When the outcome of a run may be seen: at the next tick after it is known, and not before.

How long a computation took says something about the data: how many rows matched, how large a group is. So the
answer to a run, a refusal as well, waits until the time since its computation began is a whole number of the
agreement's ticks; what an outsider sees is how many ticks there were. A tick of 0 means at once. Clock and
sleep are handed in. Follows `protos/README.md`, "Run request".
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Ticks:
    """The ticks of one agreement."""

    def __init__(
        self,
        tick_s: int,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._tick_s = tick_s
        self._monotonic_s = monotonic_s
        self._sleep = sleep

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """A block that ends at a tick, however it ends."""
        began_s = self._monotonic_s()
        try:
            yield
        finally:
            if self._tick_s:
                ticks = max(1, math.ceil((self._monotonic_s() - began_s) / self._tick_s))
                while (left_s := began_s + ticks * self._tick_s - self._monotonic_s()) > 0:
                    self._sleep(left_s)
