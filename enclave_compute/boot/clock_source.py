"""Which clock the kernel counts time by: the hypervisor's where it offers one.

What the enclave decides by time of day, it decides by the security module's signed timestamps
(`enclave_compute.clock`); the kernel's clock counts deadlines. A clock that somebody else can slow down would
keep connections open for longer, so on AWS nothing but kvm-clock will do. An emulator has no such clock.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from enclave_compute.boot.errors import BootError

HYPERVISOR_CLOCK: Final = "kvm-clock"
_FOLDER: Final = Path("/sys/devices/system/clocksource/clocksource0")


def require_trusted_clock(*, folder: Path = _FOLDER) -> str:
    """The clock source in use. Raises `BootError` if the hypervisor offers one and another is in use."""
    current = (folder / "current_clocksource").read_text().strip()
    available = (folder / "available_clocksource").read_text().split()
    if HYPERVISOR_CLOCK in available and current != HYPERVISOR_CLOCK:
        raise BootError(f"clock source: got {current}, expected {HYPERVISOR_CLOCK}")
    return current
