"""What the benchmark reads off processes and how it sums up rounds."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

MIB: Final = 1024 * 1024


def peak_mib(pid: int | str) -> float:
    """The largest resident size a process has had (VmHWM), in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"process {pid} has no VmHWM")


def cpu_s(pid: int) -> float:
    """The processor seconds, of the user's and the system's, that a process has had."""
    # The name in front may hold anything, even a parenthesis; after the last one come numbers.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median [smallest - largest]."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} [{low:.{digits}f} - {high:.{digits}f}]"
