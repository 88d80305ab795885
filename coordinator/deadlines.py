"""How long the coordinator waits for an enclave, by what it asks of it.

The waits are the launcher's word, because it knows how fast its enclaves are: emulated ones take several
times as long for the same work. What a caller waits for is the caller's own business.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Deadlines:
    """Waits on a real or simulated enclave, in seconds."""

    start_s: float = 120.0
    """From the launch until it takes a connection."""
    connect_s: float = 5.0
    status_s: float = 5.0
    call_s: float = 60.0
    """One request and its answer, whatever is not named below."""
    errand_s: float = 30.0
    """One request for a key, to the key service and back; that one answers within a second or so."""
    finish_s: float = 600.0
    """The enclave checks a whole dataset in it."""
    run_s: float = 3600.0

    def __post_init__(self) -> None:
        for each in fields(self):
            if not getattr(self, each.name) > 0:
                raise ValueError(f"{each.name}: got {getattr(self, each.name)}, expected seconds above 0")

    def slower(self, times: float) -> Deadlines:
        """The same for an enclave that takes `times` as long."""
        return Deadlines(**{each.name: getattr(self, each.name) * times for each in fields(self)})
