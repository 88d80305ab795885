"""What time it is, by the security module's signed timestamp and never by the parent's clock.

The module's documents carry the hypervisor's time; the enclave's own clock can be influenced from outside.
Time never runs backwards here: an earlier timestamp than the last one counts as the last one.
"""

from __future__ import annotations

import threading

from enclave_compute.nsm import Nsm


class NsmClock:
    """Whole seconds since 1970 by the module, monotone also between threads."""

    def __init__(self, nsm: Nsm) -> None:
        self._nsm = nsm
        self._latest_ms = 0
        self._lock = threading.Lock()

    def now_s(self) -> int:
        """The module's time; asks it for a document."""
        with self._lock:
            self._latest_ms = max(self._latest_ms, self._nsm.now_ms())
            return self._latest_ms // 1000
