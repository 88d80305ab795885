"""Which instance types hold the enclaves, what is left for the parent, and what that costs.

The rules are AWS's: whole cores; the first core and what shares it stay with the parent; all memory and
processors of the enclaves come from one NUMA node; at most four enclaves. There is no rule of half of the
processors.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from coordinator.launchers.allocator import Reservation
from coordinator.plan.instances import InstanceType
from coordinator.plan.requirement import Need

HOURS_PER_MONTH: Final = 730
USABLE_SHARE: Final = 0.97
"""Of the memory that AWS lists: firmware and kernel keep some of it. A margin, not a measurement."""


@dataclass(frozen=True)
class ParentNeed:
    """What the instance itself needs, beside the enclaves."""

    vcpus: int
    memory_mib: int


@dataclass(frozen=True)
class Fit:
    """One instance type that holds the enclaves."""

    type: InstanceType
    reservation: Reservation
    """Of all enclaves together."""
    enclave_vcpus: int
    left_vcpus: int
    left_memory_mib: int
    extra_per_hour: Decimal | None
    """What it costs more than the cheapest type for the parent alone; None if the file has none."""

    @property
    def extra_per_month(self) -> Decimal | None:
        """The same for a month of `HOURS_PER_MONTH`."""
        return None if self.extra_per_hour is None else self.extra_per_hour * HOURS_PER_MONTH


@dataclass(frozen=True)
class Misfit:
    """One instance type that does not, and why."""

    type: InstanceType
    reason: str


@dataclass(frozen=True)
class Fits:
    """The types of a file, the cheapest first."""

    parent_alone: InstanceType | None
    """The cheapest type for the parent without enclaves, whatever its processors."""
    fitting: list[Fit]
    misfits: list[Misfit]


def fits(
    types: tuple[InstanceType, ...],
    need: Need,
    *,
    enclaves: int,
    parent: ParentNeed,
    architecture: str,
) -> Fits:
    """Sorts the types with such processors by whether they hold so many enclaves, beside the parent."""
    by_price = sorted(types, key=lambda each: (each.price_per_hour, each.memory_gib, each.name))
    alone = next((each for each in by_price if _holds_parent(each, parent)), None)
    fitting: list[Fit] = []
    misfits: list[Misfit] = []
    for each in by_price:
        if each.architecture != architecture:
            continue
        found = _fit(each, need, enclaves=enclaves, parent=parent, alone=alone)
        if isinstance(found, Fit):
            fitting.append(found)
        else:
            misfits.append(found)
    return Fits(alone, fitting, misfits)


def _fit(
    found: InstanceType,
    need: Need,
    *,
    enclaves: int,
    parent: ParentNeed,
    alone: InstanceType | None,
) -> Fit | Misfit:
    if not found.enclaves:
        return Misfit(found, "holds no enclaves")
    enclave_vcpus = found.threads_per_core * -(-need.threads // found.threads_per_core)
    reservation = Reservation(enclaves * need.memory_mib, enclaves * enclave_vcpus)
    left_vcpus = found.vcpus - reservation.cpu_count
    left_memory_mib = int(found.memory_mib * USABLE_SHARE) - reservation.memory_mib
    reason = _reason_against(found, reservation, parent, left_vcpus, left_memory_mib)
    if reason:
        return Misfit(found, reason)
    extra = None if alone is None else found.price_per_hour - alone.price_per_hour
    return Fit(found, reservation, enclave_vcpus, left_vcpus, left_memory_mib, extra)


def _reason_against(
    found: InstanceType, reservation: Reservation, parent: ParentNeed, left_vcpus: int, left_memory_mib: int
) -> str:
    least_vcpus = max(parent.vcpus, found.threads_per_core)
    if left_vcpus < least_vcpus:
        return f"leaves {max(left_vcpus, 0)} vCPUs to the parent, which needs {least_vcpus}"
    if left_memory_mib < parent.memory_mib:
        return f"leaves {max(left_memory_mib, 0)} MiB to the parent, which needs {parent.memory_mib}"
    node_vcpus = found.vcpus // found.numa_nodes
    if reservation.cpu_count > node_vcpus:
        return f"a NUMA node has {node_vcpus} vCPUs, the enclaves need {reservation.cpu_count} of one"
    node_memory_mib = int(found.memory_mib * USABLE_SHARE) // found.numa_nodes
    if reservation.memory_mib > node_memory_mib:
        return f"a NUMA node has {node_memory_mib} MiB, the enclaves need {reservation.memory_mib} of one"
    return ""


def _holds_parent(found: InstanceType, parent: ParentNeed) -> bool:
    return found.vcpus >= parent.vcpus and found.memory_mib * USABLE_SHARE >= parent.memory_mib
