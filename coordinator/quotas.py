"""How much of the coordinator one caller may use.

A caller is a client certificate's name. Quotas keep one party from crowding out the others; they protect
availability and nothing else. All bounds are inclusive.
"""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.errors import OverQuotaError
from protos.formats.limits import APPROVALS_MAX, MIB

GIB = 1024 * MIB


@dataclass(frozen=True)
class Quotas:
    """Bounds for each caller, unless the field says otherwise."""

    agreements: int = 100
    """Agreements on the board."""
    approvals_per_agreement: int = APPROVALS_MAX
    """By all callers together, of whom each has one place: as many as an enclave takes."""
    deposits: int = 64
    """Datasets that wait here, under all agreements together, unfinished ones too."""
    jobs: int = 4
    """Jobs that are starting or running."""
    jobs_of_all: int = 8
    """The same for all callers together: each one is an enclave with its memory."""
    streams: int = 4
    """Upload streams that are open at once."""
    upload_bytes: int = 256 * GIB
    """Sealed bytes of one upload."""
    spool_bytes: int = 512 * GIB
    """Sealed bytes of all uploads that are kept at a time."""
    runs_at_once: int = 4
    """Runs that wait for their release."""

    def require(self, name: str, in_use: int) -> None:
        """Raise `OverQuotaError` unless one more fits under the bound called `name`."""
        bound = getattr(self, name)
        if in_use >= bound:
            raise OverQuotaError(
                f"quota {name}: got one more than {bound}, expected at most {bound}",
            )

    def require_bytes(self, name: str, *, in_use: int, more: int) -> None:
        """Raise `OverQuotaError` unless `more` bytes fit under the bound called `name`."""
        bound = getattr(self, name)
        if in_use + more > bound:
            raise OverQuotaError(
                f"quota {name}: this chunk would go over {bound} bytes",
            )
