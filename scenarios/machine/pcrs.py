"""The platform configuration registers of one SIMULATED enclave: what they hold and what may still change.

Thirty-two registers of 48 bytes. Extending makes SHA-384(old || data); a locked register never changes again.
At boot 0, 1, 2 hold the image (zeros in debug mode), 4 the instance, and 0..15 are locked.
"""

from __future__ import annotations

import hashlib
from typing import Final

PCR_COUNT: Final = 32
PCR_BYTES: Final = 48
LOCKED_AT_BOOT: Final = 16
ZERO: Final = bytes(PCR_BYTES)
_INSTANCE_PCR: Final = 4


class PcrIndexError(Exception):
    """There is no register of that number."""


class PcrLockedError(Exception):
    """The register is locked."""


def extended(value: bytes, data: bytes) -> bytes:
    """SHA-384(`value` || `data`)."""
    return hashlib.sha384(value + data).digest()


class PcrBank:
    """The registers of one enclave, from its boot to its end."""

    def __init__(self, *, pcr0: bytes, pcr1: bytes, pcr2: bytes, instance_id: str) -> None:
        self._values = [ZERO] * PCR_COUNT
        self._locked = [index < LOCKED_AT_BOOT for index in range(PCR_COUNT)]
        self._values[:3] = [pcr0, pcr1, pcr2]
        self._values[_INSTANCE_PCR] = extended(ZERO, instance_id.encode())

    def describe(self, index: int) -> tuple[bytes, bool]:
        """Value and lock of register `index`. Raises `PcrIndexError`."""
        self._require_index(index)
        return self._values[index], self._locked[index]

    def extend(self, index: int, data: bytes) -> bytes:
        """The new value of register `index`. Raises `PcrIndexError` or `PcrLockedError`."""
        self._require_unlocked(index)
        self._values[index] = extended(self._values[index], data)
        return self._values[index]

    def lock(self, index: int) -> None:
        """Register `index` keeps its value. Raises `PcrIndexError` or `PcrLockedError`."""
        self._require_unlocked(index)
        self._locked[index] = True

    def lock_first(self, count: int) -> None:
        """Registers 0..`count`-1 keep their values from now on. Raises `PcrIndexError`."""
        if count > PCR_COUNT:
            raise PcrIndexError
        self._locked[:count] = [True] * count

    def locked(self) -> dict[int, bytes]:
        """The locked registers by number: all that a document shows."""
        return {index: value for index, value in enumerate(self._values) if self._locked[index]}

    def _require_index(self, index: int) -> None:
        if not 0 <= index < PCR_COUNT:
            raise PcrIndexError

    def _require_unlocked(self, index: int) -> None:
        self._require_index(index)
        if self._locked[index]:
            raise PcrLockedError
