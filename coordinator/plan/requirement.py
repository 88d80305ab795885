"""How much memory an enclave of given data needs, part by part, from factors that were measured.

The coordinator cannot read an agreement, so sizes are given: the columns as plain values (16-byte keys,
texts with 4-byte offsets), before compression and sealing. The factors are named constants, each with where
it is from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from coordinator.launchers.nitro_host import MEMORY_STEP_MIB, EnclaveSize
from protos.formats.limits import MIB

PEAK_PER_COLUMNS: Final = 2.57
"""Peak memory of the enclave's process, interpreter and engine included, per byte of columns: 1,837 MiB for
715 MiB at 10 million rows a party (docs/benchmarks.md, "Against the targets")."""
PROCESS_LEAST_MIB: Final = 300
"""The same process at 1 million rows a party had 297 MiB: a floor for small data."""
INTERPRETER_MIB: Final = 120
"""What of that is not the engine's, about: 297 less 2.57 times the 71.5 MiB that were in it."""
MARGIN: Final = 1.25
"""For other queries than the measured join; a choice, not a measurement."""
UNPACKED_PER_IMAGE: Final = 4
"""The image's files live in memory, unpacked: 121 MB for an image of 38 MB, measured, which is 3.2 times it.
AWS's rule, memory of at least four times the image, assumes more."""
KERNEL_MIB: Final = 64
KERNEL_SHARE: Final = 1 / 64
"""A page's record is 64 bytes of every 4 KiB."""
IMAGE_MIB: Final = 64
"""Assumed where no image is given."""


@dataclass(frozen=True)
class Need:
    """One enclave's memory by what it is for, in MiB, and its threads."""

    columns_mib: int
    process_mib: int
    """Interpreter, engine and columns at their peak, with the margin."""
    engine_mib: int
    """The engine's part of it: the agreement's limit."""
    image_mib: int
    """The image as it is loaded, and its files unpacked."""
    kernel_mib: int
    memory_mib: int
    """All of it, as hugepages allow."""
    threads: int


def columns_bytes(*, rows: int, bytes_per_row: int) -> int:
    """A dataset's size as plain columns."""
    return rows * bytes_per_row


def need(*, data_bytes: int, image_bytes: int, threads: int) -> Need:
    """What an enclave needs that computes over `data_bytes` of columns, all datasets together."""
    columns_mib = _up(data_bytes / MIB)
    process_mib = _up(MARGIN * max(PROCESS_LEAST_MIB, PEAK_PER_COLUMNS * data_bytes / MIB))
    image_mib = _up((1 + UNPACKED_PER_IMAGE) * image_bytes / MIB)
    used_mib = process_mib + image_mib + KERNEL_MIB
    whole_mib = max(used_mib / (1 - KERNEL_SHARE), EnclaveSize(0, 0, image_bytes).least_memory_mib())
    memory_mib = MEMORY_STEP_MIB * _up(whole_mib / MEMORY_STEP_MIB)
    return Need(
        columns_mib=columns_mib,
        process_mib=process_mib,
        engine_mib=process_mib - INTERPRETER_MIB,
        image_mib=image_mib,
        kernel_mib=memory_mib - process_mib - image_mib,
        memory_mib=memory_mib,
        threads=threads,
    )


def _up(value: float) -> int:
    return int(-(-value // 1))
