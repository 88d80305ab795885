"""The file system of an EC2 instance with memory and CPUs set aside for enclaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ALLOCATOR = "etc/nitro_enclaves/allocator.yaml"
CPU_POOL = "sys/module/nitro_enclaves/parameters/ne_cpus"
SIBLINGS = "sys/devices/system/cpu/cpu0/topology/thread_siblings_list"
PAGES_2_MIB = "sys/kernel/mm/hugepages/hugepages-2048kB"
PAGES_1_GIB = "sys/kernel/mm/hugepages/hugepages-1048576kB"


@dataclass(frozen=True)
class Instance:
    """An instance whose files are below `root`."""

    root: Path

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def reserve(self, *, memory_mib: int, cpu_pool: str = "2,3,6-9", free_mib: int | None = None) -> None:
        """As the allocator does: what is free is what no enclave has."""
        self.write("dev/nitro_enclaves", "")
        self.write(CPU_POOL, f"{cpu_pool}\n")
        self.write(SIBLINGS, "0-1\n")
        self.write(ALLOCATOR, f"---\nmemory_mib: {memory_mib}\ncpu_pool: {cpu_pool or '2,3'}\n")
        gib, rest_mib = divmod(memory_mib, 1024)
        free_gib, free_rest_mib = divmod(memory_mib if free_mib is None else free_mib, 1024)
        self.write(f"{PAGES_1_GIB}/nr_hugepages", f"{gib}\n")
        self.write(f"{PAGES_1_GIB}/free_hugepages", f"{free_gib}\n")
        self.write(f"{PAGES_2_MIB}/nr_hugepages", f"{rest_mib // 2}\n")
        self.write(f"{PAGES_2_MIB}/free_hugepages", f"{free_rest_mib // 2}\n")
