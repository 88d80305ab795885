"""How a plan looks: text for people, or the same as JSON for programs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from coordinator.plan.fit import HOURS_PER_MONTH, Fit, Fits
from coordinator.plan.instances import PriceFile
from coordinator.plan.requirement import (
    KERNEL_MIB,
    MARGIN,
    PEAK_PER_COLUMNS,
    UNPACKED_PER_IMAGE,
    Need,
)

_SHOWN_MAX: Final = 8


def as_json(need: Need, found: Fits, prices: PriceFile, *, enclaves: int) -> dict[str, Any]:
    """All of it; prices as texts, because they are decimal."""
    return {
        "enclave": {**vars(need)},
        "enclaves": enclaves,
        "prices": {
            "dated": prices.dated.isoformat(),
            "region": prices.region,
            "currency": prices.currency,
            "source": prices.source,
        },
        "parent_alone": None if found.parent_alone is None else found.parent_alone.name,
        "fitting": [_fit_json(fit) for fit in found.fitting],
        "not_fitting": [{"name": misfit.type.name, "reason": misfit.reason} for misfit in found.misfits],
    }


def show(out: Console, need: Need, found: Fits, prices: PriceFile, *, enclaves: int) -> None:
    """Print the need, the types that fit, and what to write into `allocator.yaml`."""
    out.print(f"One enclave, {need.threads} threads, {need.columns_mib} MiB of columns:")
    out.print(_needs(need))
    out.print()
    if not found.fitting:
        out.print(f"No instance type of the file holds {_count(enclaves)}.")
    else:
        dated = f"{prices.region}, {prices.currency}, prices of {prices.dated} ({prices.source})"
        out.print(f"Instance types that hold {_count(enclaves)}, {dated}:")
        out.print(_types(found.fitting[:_SHOWN_MAX]))
        if len(found.fitting) > _SHOWN_MAX:
            out.print(f"... and {len(found.fitting) - _SHOWN_MAX} that cost more: --json has all.")
        out.print(_meaning_of_extra(found))
        first = found.fitting[0]
        out.print(f"\n/etc/nitro_enclaves/allocator.yaml on {first.type.name}:")
        out.print(first.reservation.yaml(), end="")
        out.print(
            f"\nserve with: --enclave-memory-mib {need.memory_mib} --enclave-vcpus {first.enclave_vcpus}"
        )
        out.print(f"in the agreement: memory_mib = {need.engine_mib}, threads = {need.threads}")
    if found.misfits:
        out.print("\nDoes not fit:")
        out.print(_rows([(each.type.name, each.reason) for each in found.misfits]))


def _needs(need: Need) -> Table:
    factors = f"{PEAK_PER_COLUMNS} times the columns as measured, and {MARGIN - 1:.0%} more"
    return _rows(
        [
            ("interpreter, engine and columns", f"{need.process_mib} MiB", factors),
            ("image, and its files unpacked", f"{need.image_mib} MiB", f"1 + {UNPACKED_PER_IMAGE} times it"),
            ("kernel", f"{need.kernel_mib} MiB", f"{KERNEL_MIB} and its records of pages, whole hugepages"),
            ("memory of the enclave", f"{need.memory_mib} MiB", ""),
        ]
    )


def _types(fitting: list[Fit]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("type", "enclave vCPUs", "left to the parent", "per hour", "extra/hour", "extra/month"):
        table.add_column(heading, header_style="dim", justify="left" if heading == "type" else "right")
    for fit in fitting:
        table.add_row(
            fit.type.name,
            str(fit.reservation.cpu_count),
            f"{fit.left_vcpus} vCPUs, {fit.left_memory_mib} MiB",
            f"{fit.type.price_per_hour:.4f}",
            _money(fit.extra_per_hour, 4),
            _money(fit.extra_per_month, 2),
        )
    return table


def _meaning_of_extra(found: Fits) -> str:
    if found.parent_alone is None:
        return "The file has no type for the parent alone, so the extra cost is not known."
    return (
        f"Extra: beyond {found.parent_alone.name}, the cheapest for the parent alone; "
        f"a month has {HOURS_PER_MONTH} hours."
    )


def _rows(rows: list[tuple[str, ...]]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for row in rows:
        table.add_row(*(f"  {cell}" for cell in row))
    return table


def _fit_json(fit: Fit) -> dict[str, Any]:
    return {
        "name": fit.type.name,
        "price_per_hour": str(fit.type.price_per_hour),
        "extra_per_hour": None if fit.extra_per_hour is None else str(fit.extra_per_hour),
        "extra_per_month": None if fit.extra_per_month is None else str(fit.extra_per_month),
        "enclave_vcpus": fit.enclave_vcpus,
        "left_vcpus": fit.left_vcpus,
        "left_memory_mib": fit.left_memory_mib,
        "allocator": {**vars(fit.reservation)},
    }


def _money(value: Decimal | None, places: int) -> str:
    return "not known" if value is None else f"{value:.{places}f}"


def _count(enclaves: int) -> str:
    return "it" if enclaves == 1 else f"{enclaves} of them"
